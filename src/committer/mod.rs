//! The committer: the one place where messages get their numbers and become durable.
//!
//! It takes whatever has been handed over since the last commit, stages all of it (numbers, rows), commits once, and then
//! lets the effects happen in the order of the commit. While it waits for the disk the next batch gathers by itself, so
//! one sync serves one message when there is little to do and thousands when there is much. Where messages come one by one
//! and quickly, commits begin a moment apart (`gathering`), since a sync costs as much for one as for many.
//!
//! ```text
//!   CommitQueue ──▶ stage: submit, login, account, upkeep ──▶ Engine::commit ──▶ effects: answer, offer, bind
//!                        numbers and rows, nothing visible        durable             visible
//! ```
//!
//! If a commit fails, nothing of it has happened: whoever waits is told so, and what is in memory is read anew from the
//! log. Time comes in as an argument, randomness with the operations, so a simulator can run it.
//!
//! The files, from the bottom up: `state` is what is in memory between commits, with what is `due` when, and `draft` what
//! the batch under way changes of it. `rules` decide; `acts` are what people do besides writing. `submit` takes a SEND,
//! `stage` tells the operations apart, `commit` makes what they have come to durable, and `run` sleeps in between.
//!
//! *Architecture Invariant*: nobody else writes to the store, and nobody else binds and unbinds channels.

mod acts;
mod commit;
mod conversation;
mod draft;
mod due;
mod effect;
mod gathering;
pub mod op;
mod plan;
mod queue;
mod rules;
mod run;
mod settings;
mod stage;
mod state;
mod submit;
mod syncing;
#[cfg(test)]
mod tests;
mod user;

pub use queue::CommitQueue;
pub use run::run;
pub use settings::CommitterSettings;
pub use state::Committer;
pub use syncing::Syncing;
