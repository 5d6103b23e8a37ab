//! All that knows sockets: [`port`] (accepting, admission, TLS), [`native`] (the protocol's own way in), [`web`] (HTTP and
//! WebSocket), [`admin`] (operators, on a socket in the data directory).

pub mod admin;
pub mod native;
pub mod port;
pub mod web;
