//! The runs that tests and developers start.

use super::run::{Outcome, run, run_dense};

/// How many times as much is written in each world as people do.
fn density() -> usize {
    std::env::var("HONGYAN_SIM_DENSITY").map_or(1, |density| density.parse().unwrap())
}

/// The command that shows a seed again.
fn again(seed: u64) -> String {
    let density = density();
    format!(
        "HONGYAN_SIM_SEED={seed} HONGYAN_SIM_DENSITY={density} \
         cargo test --profile sim -p hongyan --lib sim::tests::one_seed -- --ignored --nocapture"
    )
}

#[test]
fn seeds() {
    let count = std::env::var("HONGYAN_SIM_SEEDS").map_or(100, |count| count.parse().unwrap());
    let first = std::env::var("HONGYAN_SIM_FIRST").map_or(0, |first| first.parse().unwrap());
    let started = std::time::Instant::now();
    let (mut messages, mut shown) = (0, 0);
    let mut broken = Vec::new();
    for seed in first..first + count {
        let Outcome { violation, messages: answered, shown: stored, .. } = run_dense(seed, density());
        messages += answered;
        shown += stored;
        if let Some(violation) = violation {
            eprintln!("seed {seed}: {violation}");
            broken.push(seed);
        }
    }
    eprintln!("{count} seeds, {messages} messages, {shown} shown, {:?}", started.elapsed());
    assert!(broken.is_empty(), "{} seeds: {:?}\n{}", broken.len(), &broken[..broken.len().min(20)], again(broken[0]));
}

#[test]
fn a_seed_always_does_the_same() {
    (1000..1010).for_each(|seed| assert_eq!(run(seed), run(seed), "seed {seed}"));
}

#[test]
#[ignore = "shows one seed"]
fn one_seed() {
    let seed = std::env::var("HONGYAN_SIM_SEED").expect("HONGYAN_SIM_SEED names the seed").parse().unwrap();
    let show = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).without_time().with_ansi(false);
    let _guard = tracing::subscriber::set_default(show.with_writer(std::io::stderr).finish());
    let outcome = run_dense(seed, density());
    eprintln!("{outcome:#?}");
    assert_eq!(outcome.violation, None);
}
