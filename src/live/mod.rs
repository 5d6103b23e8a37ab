//! What lives while connections do: a [`channel`] for each live device and the [`queue`] of what waits there, the map of
//! them, [`sessions`], and who of them follows whose presence, [`followers`].

pub mod apply;
pub mod channel;
pub mod followers;
pub mod queue;
pub mod sessions;
