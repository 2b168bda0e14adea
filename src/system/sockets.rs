//! What every connection of ours wants of its socket.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;

/// How long a connection may be quiet before its other end is asked whether it is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// How long to wait for an answer to that before it is asked again.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Sends each line at once, and notices an other end that vanishes without a word.
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

/// Spares a connection over loopback what some ways of congestion control do for each line: nothing
/// can get congested between its ends.
pub(crate) fn expect_no_congestion(socket: impl AsFd) {
    // The plainest one. Where it is not to be had, any other will do.
    let _ = sockopt::set_tcp_congestion(socket, "reno");
}
