//! What an operator does to a server: [`request`] is what is asked and answered, [`execute`] does it, [`trace`] tells what
//! became of a message.

pub(super) mod execute;
pub(super) mod request;
pub mod trace;

pub use request::{Request, Response, User};
