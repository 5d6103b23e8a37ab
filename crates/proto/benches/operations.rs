//! Times the hot operations: `cargo bench -p hongyan-proto --bench operations`. The clock of a shared machine is no
//! judge; what must not grow is kept by `tests/allocations.rs`, and counted by `instructions.rs`.

mod hot;

use hot::{OPERATIONS, Operation};

fn main() {
    divan::main();
}

fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|operation| operation.name)
}

#[divan::bench(args = names())]
fn run(bencher: divan::Bencher<'_, '_>, name: &str) {
    let named = |operation: &&Operation| operation.name == name;
    let operation = OPERATIONS.iter().find(named).expect("the names come from the table");
    bencher
        .counter(divan::counter::ItemsCount::new(operation.messages))
        .with_inputs(operation.prepare)
        .bench_local_refs(|run| run());
}
