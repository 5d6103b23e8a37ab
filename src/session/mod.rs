//! All that a way in may call, through two things.
//!
//! [`Service`] is one server: coming in, what operators do, upkeep, stopping. [`Session`] is one authenticated device on one
//! connection: what it says, and what its [`Reader`] gives it; [`Devices`] keeps the sessions of those that come and go
//! without a connection. Below them each use case is a function of the few things it takes, which tell what
//! it knows: who is it (`login`, at the `gate`; `accounts`), what is said (`send` after a look at its `form`; `signals`), what
//! is read (`catch_up`, `requests`), who is there (`presence`), what operators ask ([`operator`]), what has to be done now
//! and then (`upkeep`).

mod accounts;
mod catch_up;
mod devices;
mod dispatch;
mod form;
mod gate;
mod login;
pub mod operator;
mod place;
mod presence;
mod reader;
mod requests;
mod send;
mod service;
mod signals;
mod upkeep;

pub(crate) use self::{
    accounts::RegisterError,
    catch_up::Entry,
    devices::{DeviceError, DeviceLimits, Devices, Present},
    dispatch::Session,
    gate::{Attempt, Gate, Rejection},
    login::{CameBack, LoggedIn},
    place::Place,
    reader::{Next, Reader, Want},
    service::{Parts, Service},
    upkeep::Silence,
};
