//! Opens the ways in which clients are to come.
#![doc = include_str!("WHO.md")]

mod error;
mod socket;
mod tcp;

use std::fmt::Display;

use log::warn;

use super::config::Ways;
use super::tls::Security;
use super::worker::door::Door;
pub(crate) use error::ListenError;
pub(crate) use socket::SocketFile;

/// The ways in which clients come.
#[derive(Debug)]
pub(crate) struct Entrances {
    /// The sockets.
    pub doors: Vec<Door>,
    /// Where they are.
    pub addresses: Vec<String>,
    /// The one of them that is a file.
    pub file: Option<SocketFile>,
    /// How TLS is spoken, if it is.
    pub security: Option<Security>,
}

/// Listens at all of them. For port 0, the system chooses one, the same for all.
///
/// # Errors
///
/// [`ListenError`] if one of them cannot be listened at.
pub(crate) fn open(ways: &Ways) -> Result<Entrances, ListenError> {
    let mut entrances =
        Entrances { doors: Vec::new(), addresses: Vec::new(), file: None, security: None };
    let mut port = ways.port;
    if let Some(hosts) = &ways.tcp {
        entrances.security = ways.tls.as_ref().map(Security::new).transpose()?;
        let security = entrances.security.clone();
        for listener in tcp::listen_on(hosts, port)? {
            if let Ok(address) = listener.local_addr() {
                port = address.port();
                let socket = mio::net::TcpListener::from_std(listener);
                entrances.add(
                    match &security {
                        Some(security) => Door::Tls(socket, security.clone()),
                        None => Door::Tcp(socket),
                    },
                    address,
                );
            }
        }
    }
    if let Some(config) = &ways.socket {
        let (socket, file) = socket::listen_in(&config.folder, port)?;
        let any_name = config.any_name;
        entrances.add(Door::Unix { socket, any_name }, file.path().display());
        entrances.file = Some(file);
        if !any_name && ways.is_open() {
            warn!("anybody may use any name over TCP, unlike on the socket: --no-tcp is without");
        }
    }
    Ok(entrances)
}

impl Entrances {
    fn add(&mut self, door: Door, address: impl Display) {
        self.doors.push(door);
        self.addresses.push(address.to_string());
    }
}
