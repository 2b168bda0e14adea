//! Opens the TCP sockets that clients connect to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use log::{Level, log};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::error::ListenError;
use crate::server::config::UNCONFIRMED;
use crate::system::sockets;

/// How often to look for a port that is free for IPv4 and IPv6 alike.
const TRIES: usize = 20;

/// Listens on `port` of every address that `hosts` name, or of every interface if there are none.
/// For port 0, the system chooses one, the same for all. Of several addresses of one host, those
/// that this machine does not have are passed over, with a warning.
///
/// # Errors
///
/// [`ListenError`] if a host is unknown or has no address of this machine, or if an address cannot
/// be used.
pub(super) fn listen_on(hosts: &[String], port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut addresses = Vec::new();
    for host in hosts {
        let unknown = |source| ListenError::UnknownHost { host: host.clone(), source };
        addresses
            .push((without_brackets(host), port).to_socket_addrs().map_err(unknown)?.collect());
    }
    if hosts.is_empty() {
        // Each with a socket of its own, which costs IPv4 clients less than one for both.
        let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        addresses.push(everywhere.map(|address| SocketAddr::new(address, port)).into());
    }
    let mut tries = 0;
    loop {
        match listen_at_all(&addresses, port) {
            // The port that was free for the first address need not be for the next.
            Err(_) if port == 0 && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// An IPv6 address may stand in brackets, as it has to where a port follows.
fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.filter(|inner| inner.contains(':')).unwrap_or(host)
}

/// Listens at each address of each host, once. Port 0 becomes the one that the system chooses for
/// the first.
fn listen_at_all(
    hosts: &[Vec<SocketAddr>],
    mut port: u16,
) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for addresses in hosts {
        let mut missing = Vec::new();
        for &(mut address) in addresses {
            // Other parts of it, such as an IPv6 zone, stay as they are.
            address.set_port(port);
            let is_done = |listener: &TcpListener| listener.local_addr().ok() == Some(address);
            if listeners.iter().any(is_done) {
                continue;
            }
            match listen_at(address) {
                Ok(listener) => {
                    port = local_port(&listener, address)?;
                    listeners.push(listener);
                }
                Err(ListenError::Address { source, .. }) if is_missing(&source) => {
                    missing.push((address, source));
                }
                Err(error) => return Err(error),
            }
        }
        pass_over(missing, addresses)?;
    }
    Ok(listeners)
}

/// What to say of those of a host's addresses that this machine does not have.
fn pass_over(
    mut missing: Vec<(SocketAddr, io::Error)>,
    addresses: &[SocketAddr],
) -> Result<(), ListenError> {
    if missing.len() == addresses.len()
        && let Some((address, source)) = missing.pop()
    {
        return Err(ListenError::Address { address, source });
    }
    for (address, error) in missing {
        log!(level_of_missing(address), "cannot listen on {address}: {error}");
    }
    Ok(())
}

/// How much it matters that this machine does not have an address. Not every machine has IPv6, and
/// nobody has asked for it by name.
fn level_of_missing(address: SocketAddr) -> Level {
    if address.ip().is_unspecified() { Level::Debug } else { Level::Warn }
}

fn is_missing(error: &io::Error) -> bool {
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT];
    Errno::from_io_error(error).is_some_and(|errno| missing.contains(&errno))
}

fn local_port(listener: &TcpListener, address: SocketAddr) -> Result<u16, ListenError> {
    let local = listener.local_addr();
    Ok(local.map_err(|source| ListenError::Address { address, source })?.port())
}

fn listen_at(address: SocketAddr) -> Result<TcpListener, ListenError> {
    open(address).map_err(|error| ListenError::Address { address, source: error.into() })
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
    listen(&socket, sockets::BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(words: &[&str]) -> Vec<SocketAddr> {
        words.iter().map(|word| SocketAddr::new(word.parse().unwrap(), 0)).collect()
    }

    /// No machine has an address that is there for documents.
    const NOBODYS: &str = "192.0.2.1";

    #[test]
    fn of_a_hosts_addresses_those_that_there_are_will_do() {
        for words in [[NOBODYS, "127.0.0.1"], ["127.0.0.1", NOBODYS], ["127.0.0.1", "127.0.0.1"]] {
            let listeners = listen_at_all(&[addresses(&words)], 0).unwrap();
            let at: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap().ip()).collect();
            assert_eq!(at, ["127.0.0.1".parse::<IpAddr>().unwrap()], "{words:?}");
        }
        let levels: Vec<_> =
            addresses(&[NOBODYS, "::1", "::"]).into_iter().map(level_of_missing).collect();
        assert_eq!(levels, [Level::Warn, Level::Warn, Level::Debug]);
        let hosts = [addresses(&["127.0.0.1"]), addresses(&[NOBODYS, NOBODYS])];
        let error = listen_at_all(&hosts, 0).unwrap_err();
        assert!(error.to_string().contains(NOBODYS), "{error}");
    }

    #[test]
    fn an_address_may_stand_in_brackets_and_a_name_may_not() {
        assert_eq!(without_brackets("[::1]"), "::1");
        assert_eq!(without_brackets("[fe80::1%lo]"), "fe80::1%lo");
        for word in ["::1", "[localhost]", "[::1", "::1]", "[]", "", "127.0.0.1"] {
            assert_eq!(without_brackets(word), word);
        }
    }

    #[test]
    fn one_port_for_all_and_one_that_is_taken_is_an_error() {
        let listeners = listen_at_all(&[addresses(&["127.0.0.1", "127.0.0.2"])], 0).unwrap();
        let ports: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
        assert_eq!(ports[0], ports[1]);
        let taken = [addresses(&["127.0.0.3", "127.0.0.2"])];
        let error = listen_at_all(&taken, ports[0]).unwrap_err();
        assert!(error.to_string().contains("127.0.0.2"), "{error}");
    }
}
