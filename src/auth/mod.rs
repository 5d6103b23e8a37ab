//! The pieces a login is made of: tokens, passwords, resume tokens and the back-off after failures.
//!
//! Nothing here knows a socket, the store or the configuration. The login code brings plain values and a time, and
//! keeps what comes back. The order in which it asks:
//!
//! 1. [`backoff`]: may this user, from this address, try now?
//! 2. [`token`] (with the keys of [`keys`]), [`password`] or [`resume`]: is the proof good?
//! 3. [`backoff`] again: remember how it ended.
//!
//! What it must add from the store: whether the user exists and is enabled, and that the token's revocation epoch is
//! not below the user's.
//!
//! A password comes here as a [`Secret`], which nobody can print by mistake. `ring_provider` lets the crate for JSON Web
//! Tokens sign and verify with `ring`.

pub mod backoff;
pub mod keys;
pub mod password;
pub mod resume;
mod ring_provider;
mod secret;
pub mod token;

pub use secret::Secret;
