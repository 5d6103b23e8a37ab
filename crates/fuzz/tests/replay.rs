//! Every target over the committed corpus, and over a few thousand generated inputs, on the stable toolchain.
//!
//! `HONGYAN_FUZZ_RUNS` makes it more; `HONGYAN_FUZZ_SEED`, with the number that a run printed, replays it.
#![allow(clippy::unwrap_used)]

use std::{fs, panic, path::Path};

use hongyan_fuzz::{TARGETS, Target, grammar, net::Rng};

/// Generated inputs of each target.
const RUNS: u64 = 3000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "fuzz/corpus/{name} is empty");
    corpus.iter().for_each(|input| (target.run)(input));
    let seed = setting("HONGYAN_FUZZ_SEED").unwrap_or_else(|| std::process::id().into());
    // Whole servers, or an hour of three devices, take longer than a frame.
    let is_large = ["pair", "users", "http", "websocket"].contains(&name);
    let runs = setting("HONGYAN_FUZZ_RUNS").unwrap_or(if is_large { RUNS / 10 } else { RUNS });
    for run in 0..runs {
        let mut rng = Rng(seed.wrapping_add(run));
        let mut input = match rng.below(3) {
            0 => corpus[rng.below(corpus.len() as u64) as usize].clone(),
            _ => (target.generate)(&mut rng),
        };
        (0..rng.below(4)).for_each(|_| grammar::mutate(&mut input, &mut rng));
        let outcome = panic::catch_unwind(|| (target.run)(&input));
        assert!(outcome.is_ok(), "{name}: HONGYAN_FUZZ_SEED={} HONGYAN_FUZZ_RUNS=1, input {input:02x?}", seed + run);
    }
}

macro_rules! replays {
    ($($target:ident),*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), replayed);
        }
    };
}

replays!(decoder, codec, server, client, pair, capture, token, config, records, users, http, websocket, json);
