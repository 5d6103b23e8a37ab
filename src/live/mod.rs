//! What lives while connections do: a [`channel`] for each live device, the map of them, [`sessions`], and who of them
//! follows whose presence, [`followers`].

pub mod channel;
pub mod followers;
pub mod sessions;
