//! Runs one hot operation, or all, a few times, so that callgrind can count its instructions: `just instructions`.
//!
//! Only [`measured`] is to be counted (`--toggle-collect`). Without valgrind it tells nothing, but shows that all run.
#![allow(clippy::print_stdout)]

mod hot;

use hot::{OPERATIONS, Operation, Run};

/// The runs that are counted, after as many that warm caches and lazy statics up.
const RUNS: u64 = 100;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    match words.next() {
        Some(name) if name == "list" => OPERATIONS.iter().for_each(|operation| println!("{}", operation.name)),
        Some(name) => {
            let known = OPERATIONS.iter().find(|operation| operation.name == name);
            repeat(known.unwrap_or_else(|| panic!("there is no operation {name}; `list` names them")));
        }
        None => OPERATIONS.iter().for_each(repeat),
    }
}

/// Prints by what to divide the instructions of all runs for those of one message.
fn repeat(operation: &Operation) {
    for _ in 0..RUNS {
        (operation.prepare)()();
    }
    for _ in 0..RUNS {
        measured(&mut (operation.prepare)());
    }
    println!("{} {}", operation.name, RUNS * operation.messages);
}

/// Never inlined: callgrind finds it by its name.
#[inline(never)]
fn measured(run: &mut Run) {
    run();
}
