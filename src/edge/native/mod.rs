//! The native way in: each connection that comes [`way`] in is a [`link`], which drives it over a [`transport`], for a
//! [`stranger`] until the login.

pub mod link;
pub mod stranger;
pub mod transport;
pub mod way;
