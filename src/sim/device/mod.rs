//! A device: the real client end of the protocol, with a simple application and a notebook that survives crashes. It
//! follows the same rules as the SDK: store first, then ack, answer and show.
//!
//! It is one [`task`], which goes from [`turn`] to [`turn`]. What the connection tells ([`events`]: of the [`login`], of the
//! [`log`], of what comes [`beside`] it, [`answers`], and what is loaded after a [`reset`]) is noted in a [`round`] and then
//! written into the [`notebook`]. Its person has [`wishes`], and it has its [`fate`].

mod answers;
mod beside;
mod events;
mod fate;
mod line;
mod log;
mod login;
mod notebook;
mod parting;
mod reload;
mod requests;
mod reset;
mod round;
mod seeing;
mod state;
mod tap;
mod task;
mod turn;
mod wishes;

pub use notebook::Notebook;
pub use state::{Crash, Device};
pub use wishes::Wish;
