//! What passes the sockets of a run, counted.

/// Bytes and system calls at the sockets, encrypted if TLS is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub calls: u64,
}
