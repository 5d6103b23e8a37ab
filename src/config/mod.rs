//! The configuration of a server: what can be set, where it comes from, and what is wrong with it.
//!
//! `sections` declares every setting once. [`load()`] puts the sources over each other (`layers`), reads each value
//! by its `kind`, finds unknown keys, and applies the rules between settings (`validate`); all problems come back
//! together. [`to_toml`] prints a configuration so that it reads back the same.
//!
//! Nothing here opens what a setting names (certificates, keys, the data directory) or takes effect by itself.

mod kind;
mod layers;
mod load;
mod print;
mod problem;
mod proxies;
mod sections;
mod setting;
#[cfg(test)]
mod tests;
mod token_keys;
pub mod units;
mod validate;

pub use layers::{Flag, Inputs};
pub use load::load;
pub use print::to_toml;
pub use problem::{Problem, Problems};
pub use proxies::{Proxies, ToldBy};
pub use sections::{
    Auth, Config, Delivery, Drain, Heartbeat, Limits, Log, LogFormat, Retention, Store, Sync, Tls, Web,
};
pub use token_keys::{KeyMaterial, TokenKey};
pub use validate::Purpose;
