//! All that a way in may call: who is it ([`login`], [`accounts`]), what is said ([`send`], [`signals`], [`requests`]),
//! what is read ([`catch_up`]), who is there ([`presence`]). [`dispatch`] is the one device that says and reads it,
//! [`service`] what all of them share.

pub mod accounts;
pub mod catch_up;
pub mod dispatch;
mod form;
pub mod gate;
pub mod login;
pub mod presence;
pub mod requests;
pub mod send;
pub mod service;
pub mod signals;
pub mod trace;
pub mod upkeep;
