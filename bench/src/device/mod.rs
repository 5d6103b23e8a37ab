//! One user's device, without a socket: [`protocol`] is what it speaks, with [`sending`] for one direction and
//! [`incoming`] for the other; an [`event`] is what it tells its scenario.

mod event;
mod incoming;
mod protocol;
mod sending;

pub use event::Event;
pub use protocol::Device;
pub use sending::To;
