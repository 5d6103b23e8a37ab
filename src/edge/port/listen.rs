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

/// Binds the native port.
pub fn bind_native(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address).map(TcpListener::from)
}

/// Binds the HTTP port. A peer that takes nothing of what was sent to it for `stall_timeout` is cut off by the system.
pub fn bind_http(address: SocketAddr, stall_timeout: Duration) -> io::Result<TcpListener> {
    let socket = bind(address)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(stall_timeout))?;
    Ok(socket.into())
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_IN_KERNEL)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
