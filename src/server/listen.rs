//! Opens the sockets that clients connect to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::ServerError;
use crate::sockets;

/// Clients that may have connected and wait to be accepted.
const BACKLOG: i32 = 4096;

/// How long data may wait for a client whose system confirms nothing and takes nothing.
const UNCONFIRMED: Duration = Duration::from_secs(25);

/// How often to look for a port that is free for IPv4 and IPv6 alike.
const TRIES: usize = 20;

/// Listens on `port` of every address that `hosts` name, or of every interface if there are none.
/// For port 0, the system chooses one, the same for all.
///
/// # Errors
///
/// [`ServerError`] if a host is unknown or an address cannot be used.
pub fn listen_on(hosts: &[String], port: u16) -> Result<Vec<TcpListener>, ServerError> {
    if hosts.is_empty() {
        return listen_everywhere(port);
    }
    let mut addresses = Vec::new();
    for host in hosts {
        let unknown = |source| ServerError::UnknownHost { host: host.clone(), source };
        addresses.extend((host.as_str(), port).to_socket_addrs().map_err(unknown)?);
    }
    listen_at_all(&addresses)
}

/// IPv4 and IPv6, each with a socket of its own, which costs IPv4 clients less than one for both.
fn listen_everywhere(port: u16) -> Result<Vec<TcpListener>, ServerError> {
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    let mut tries = 0;
    loop {
        match listen_at_all(&[v4, v6]) {
            // Not every machine has IPv6.
            Err(ServerError::Listen { address, source })
                if address.is_ipv6() && is_unsupported(&source) =>
            {
                return listen_at_all(&[v4]);
            }
            // The port that was free for IPv4 need not be for IPv6.
            Err(_) if port == 0 && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT];
    Errno::from_io_error(error).is_some_and(|errno| unsupported.contains(&errno))
}

/// Listens at each address once. If the first has port 0, all get the port that the system chooses
/// for it.
fn listen_at_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut done = Vec::new();
    let mut port = 0;
    for address in addresses {
        let port_wanted = if address.port() == 0 { port } else { address.port() };
        let address = SocketAddr::new(address.ip(), port_wanted);
        if done.contains(&address.ip()) {
            continue;
        }
        let listener = listen_at(address)?;
        port = local_port(&listener, address)?;
        done.push(address.ip());
        listeners.push(listener);
    }
    Ok(listeners)
}

fn local_port(listener: &TcpListener, address: SocketAddr) -> Result<u16, ServerError> {
    let local = listener.local_addr();
    Ok(local.map_err(|source| ServerError::Listen { address, source })?.port())
}

fn listen_at(address: SocketAddr) -> Result<TcpListener, ServerError> {
    open(address).map_err(|error| ServerError::Listen { address, source: error.into() })
}

fn open(address: SocketAddr) -> rustix::io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // The port can be used again at once, although old connections may linger.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Accepted sockets inherit all of the following.
    sockets::set_options(&socket)?;
    // Urgent data is data like any other.
    sockopt::set_socket_oobinline(&socket, true)?;
    sockopt::set_tcp_user_timeout(&socket, UNCONFIRMED.as_millis() as u32)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
