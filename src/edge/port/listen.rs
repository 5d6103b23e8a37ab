//! Binding the ports. What is set on a listener is inherited by the connections that it accepts.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes that the kernel takes for a peer before it has sent them, so that one that does not read stays cheap.
const UNSENT_IN_KERNEL: u32 = 16 * 1024;
const BACKLOG: i32 = 4096;

/// Why an address is not listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {source}")]
pub struct ListenError {
    pub key: &'static str,
    pub address: SocketAddr,
    pub source: io::Error,
}

/// Binds the native port, which `key` configures.
pub fn bind_native(key: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    bind_all(key, addresses, |_| Ok(()))
}

/// Binds the HTTP port. A peer that takes nothing of what was sent to it for `stall_timeout` is cut off by the system.
pub fn bind_http(
    key: &'static str,
    addresses: &[SocketAddr],
    stall_timeout: Duration,
) -> Result<Vec<TcpListener>, ListenError> {
    bind_all(key, addresses, |socket| {
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(stall_timeout))?;
        Ok(())
    })
}

fn bind_all(
    key: &'static str,
    addresses: &[SocketAddr],
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> Result<Vec<TcpListener>, ListenError> {
    let bound = addresses.iter().map(|&address| {
        let has_ipv4_beside = addresses.iter().any(|other| other.is_ipv4() && other.port() == address.port());
        let socket = bind(address, has_ipv4_beside).and_then(|socket| prepare(&socket).map(|()| socket.into()));
        socket.map_err(|source| ListenError { key, address, source })
    });
    bound.collect()
}

/// `only_v6`: an address of IPv6 that stands for all does not stand for those of IPv4, which have a listener of their own.
fn bind(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_IN_KERNEL)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn all_of_ipv6_is_all_of_ipv4_too_unless_that_stands_beside() {
        // Where there is no IPv6 nothing can be shown.
        let Ok(both) = bind_native("listen", &["[::]:0".parse().unwrap()]) else { return };
        let address = both[0].local_addr().unwrap();
        TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        drop(both);
        let apart = ["0.0.0.0", "[::]"].map(|ip| format!("{ip}:{}", address.port()).parse().unwrap());
        assert_eq!(bind_native("listen", &apart).unwrap().len(), 2);
        let taken = bind_native("listen", &[apart[0], apart[0]]).unwrap_err().to_string();
        assert!(taken.starts_with(&format!("cannot listen on {} (listen): ", apart[0])), "{taken}");
    }
}
