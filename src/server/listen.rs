//! Opens the sockets that clients connect to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::ServerError;

/// Clients that may have connected and wait to be accepted.
const BACKLOG: i32 = 4096;

/// A client that is silent for so long is asked whether it is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// … and asked again, if it does not answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long data may wait for a client whose system confirms nothing and takes nothing.
const UNCONFIRMED: Duration = Duration::from_secs(25);

/// Listens on `port` of every address that `hosts` name, or of every interface if there are none.
/// For port 0, the system chooses one, the same for all.
///
/// # Errors
///
/// [`ServerError`] if a host is unknown or an address cannot be used.
pub fn listen_on(hosts: &[String], port: u16) -> Result<Vec<TcpListener>, ServerError> {
    if hosts.is_empty() {
        return Ok(vec![listen_everywhere(port)?]);
    }
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = port;
    for host in hosts {
        let resolve = |source| ServerError::UnknownHost { host: host.clone(), source };
        for address in (host.as_str(), port).to_socket_addrs().map_err(resolve)? {
            let address = SocketAddr::new(address.ip(), port);
            if listeners.iter().any(|other| other.local_addr().is_ok_and(|a| a == address)) {
                continue;
            }
            let listener = listen_at(address, true)?;
            port = local_port(&listener, address)?;
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// IPv6 and IPv4 through one socket, or IPv4 alone where there is no IPv6.
fn listen_everywhere(port: u16) -> Result<TcpListener, ServerError> {
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    match listen_at(v6, false) {
        Err(ServerError::Listen { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
            ) || source.raw_os_error()
                == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
        {
            listen_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), false)
        }
        result => result,
    }
}

fn local_port(listener: &TcpListener, address: SocketAddr) -> Result<u16, ServerError> {
    let local = listener.local_addr();
    Ok(local.map_err(|source| ServerError::Listen { address, source })?.port())
}

fn listen_at(address: SocketAddr, only_v6: bool) -> Result<TcpListener, ServerError> {
    open(address, only_v6).map_err(|error| ServerError::Listen { address, source: error.into() })
}

fn open(address: SocketAddr, only_v6: bool) -> rustix::io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, only_v6)?;
    }
    // The port can be used again at once, although old connections may linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Accepted sockets inherit all of the following.
    sockopt::set_tcp_nodelay(&socket, true)?;
    // Urgent data is data like any other.
    sockopt::set_socket_oobinline(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_user_timeout(&socket, UNCONFIRMED.as_millis() as u32)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
