//! What lives while connections do: a [`channel`] for each live device, and the map of them, [`sessions`].

pub mod channel;
pub mod sessions;
