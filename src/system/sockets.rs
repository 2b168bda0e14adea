//! The options of every connection's socket, how many clients may wait for one, and a socket for none.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

/// Clients that may have connected and wait to be accepted.
pub(crate) const BACKLOG: i32 = 4096;

/// How long a connection may be quiet before the first keepalive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// How long to wait for the answer to a probe before the next.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A socket on an address of this machine to which nobody can connect, for it does not listen; nor can
/// anybody else as long as it is there.
///
/// # Errors
///
/// If the system has none.
pub(crate) fn closed() -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = getsockname(&socket)?.try_into()?;
    Ok((socket, address))
}

/// Sends each line at once, and notices when the other end vanishes without closing.
///
/// # Errors
///
/// If the system refuses an option.
pub(crate) fn set_options(socket: impl AsFd) -> rustix::io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)
}

/// Chooses the cheapest congestion control, for a connection over loopback: nothing can get congested
/// between its ends.
pub(crate) fn expect_no_congestion(socket: impl AsFd) {
    // Where this one is not available, the default will do.
    let _ = sockopt::set_tcp_congestion(socket, "reno");
}
