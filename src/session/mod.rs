//! All that a way in may call, through two things.
//!
//! [`Service`] is one server: coming in, what operators do, upkeep, stopping. [`Session`] is one authenticated device on one
//! connection: what it says and reads. Below them each use case is a function of the few things it takes, which tell what
//! it knows: who is it (`login`, at the `gate`; `accounts`), what is said (`send` after a look at its `form`; `signals`), what
//! is read (`catch_up`, `requests`), who is there (`presence`), what operators ask ([`operator`]), what has to be done now
//! and then (`upkeep`).

mod accounts;
mod catch_up;
mod dispatch;
mod form;
mod gate;
mod login;
pub mod operator;
mod presence;
mod requests;
mod send;
mod service;
mod signals;
mod upkeep;

pub(crate) use self::{
    accounts::RegisterError,
    catch_up::{Entry, Page},
    dispatch::Session,
    gate::{Attempt, Gate, Rejection},
    login::{CameBack, LoggedIn},
    service::{Parts, Service},
    upkeep::Silence,
};
// What a channel carries: named here until the reader of the log is all that ways in know of it.
pub(crate) use crate::live::channel::{FIRST_TURN, Outbound};
