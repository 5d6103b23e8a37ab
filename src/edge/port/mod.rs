//! Accepting connections: [`listen`] binds a port, its [`door`] has a place for each connection, a [`headcount`] bounds
//! those of a kind. Of [`proxies`] in front a [`proxy_header`] may say who is behind them. Then quiet [`socket`]s and [`tls`].

pub mod door;
pub mod headcount;
pub mod listen;
pub mod proxies;
pub mod proxy_header;
pub mod socket;
pub mod tls;
