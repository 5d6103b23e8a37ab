//! What every room may stand on, and what stands on nothing of this program: the [`number`]s of users, devices and
//! conversations, which addresses are one person's ([`address`]), the [`environment`] (time, waiting, chance), [`alarms`] and
//! [`parking`] (two ways to wait), the [`watch`] over tasks that must not end, [`rate`] and [`metrics`].

pub mod address;
pub mod alarms;
pub mod environment;
pub mod metrics;
pub mod number;
pub mod parking;
pub mod rate;
pub mod watch;
