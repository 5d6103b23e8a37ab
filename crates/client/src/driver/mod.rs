//! The driver of a client. It owns everything; nothing else changes the state.
//!
//! One turn (`turn.rs`): wait for something to happen; take the commands that have arrived (`commands.rs`) and the
//! events of the protocol (`incoming.rs`), which together make a [`round::Round`]; commit it in one transaction
//! (`commit.rs`); only then ack, answer callers, show events and write.
//!
//! The state is in `state.rs`, its parts below that in files of their own: what it knows of its conversation list
//! (`rows.rs`), of large groups (`large.rs`), of what is still to be loaded (`reload.rs`), of messages and questions
//! without an answer (`outbox.rs`, `requests.rs`), of events that the application has not taken (`queue.rs`), who logs
//! in (`hello.rs`), and the store (`keeper.rs`). Above stands what happens to it: `show.rs`, `list.rs`, `places.rs`,
//! `loading.rs`, `reconnect.rs`, each calling only those before it; then those of a turn. `start.rs` makes the whole.

mod clock;
mod commands;
mod commit;
mod hello;
mod incoming;
mod keeper;
mod large;
mod list;
mod loading;
mod outbox;
mod places;
mod queue;
mod reconnect;
mod reload;
mod requests;
mod round;
mod rows;
mod show;
mod start;
mod state;
mod turn;

pub(crate) use start::Ends;
pub(crate) use state::Driver;
