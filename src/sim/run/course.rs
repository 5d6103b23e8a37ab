//! The course of a run, from its beginning to its end.

use super::state::Run;

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub violation: Option<String>,
    /// The same for the same seed.
    pub trace: u64,
    /// Messages that were taken and answered.
    pub messages: u64,
    /// Messages that were stored by devices.
    pub shown: u64,
}

/// Runs the world of a seed from its beginning to its end.
pub fn run(seed: u64) -> Outcome {
    run_dense(seed, 1)
}

/// The same with so many times as much being written in it.
pub fn run_dense(seed: u64, density: usize) -> Outcome {
    let mut run = Run::new(seed, density);
    run.live();
    run.heal();
    run.drain();
    run.write_once_more();
    run.leave();
    let mut ledger = run.world.ledger.borrow_mut();
    Outcome {
        violation: ledger.violation().map(ToOwned::to_owned),
        trace: run.executor.trace(),
        messages: std::mem::take(&mut ledger.answered),
        shown: ledger.shown,
    }
}
