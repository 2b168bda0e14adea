//! The sockets at which clients come in, and what is known of each who does.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener};

use super::plain::Plain;
use super::tls::Tls;
use super::transport::Transport;
use crate::server::chat::admission::NotAdmitted;
use crate::server::chat::id::Peer;
use crate::server::chat::vouched::Vouched;
use crate::server::tls::Security;
use crate::system::{accounts, sockets};

/// A socket at which clients come in.
#[derive(Debug)]
pub(crate) enum Door {
    /// For anybody who can reach it.
    Tcp(TcpListener),
    /// For those who speak TLS.
    Tls(TcpListener, Security),
    /// For the users of this machine who may reach it.
    Unix {
        /// The socket.
        socket: UnixListener,
        /// Anybody may use any name.
        any_name: bool,
    },
}

/// Somebody who has come in, and has no place yet.
#[derive(Debug)]
pub(crate) struct Newcomer {
    /// The way to it.
    pub transport: Transport,
    /// Where it is.
    pub peer: Peer,
    /// What vouches for its name.
    pub vouched: Vouched,
}

impl Newcomer {
    /// Whether it may have a place, if there is one.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted::Stranger`] if nobody knows who it is, where that is known of everybody.
    pub(crate) fn may_stay(&self) -> Result<(), NotAdmitted> {
        match self.peer {
            Peer::Local(accounts::FROM_ELSEWHERE) => Err(NotAdmitted::Stranger),
            _ => Ok(()),
        }
    }

    /// The user whose account has to be looked up before it can log in.
    pub(crate) fn unnamed_user(&self) -> Option<u32> {
        match (self.peer, &self.vouched) {
            (Peer::Local(uid), Vouched::Awaited) => Some(uid),
            _ => None,
        }
    }
}

impl Door {
    /// What the system watches.
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match self {
            Door::Tcp(socket) | Door::Tls(socket, _) => socket,
            Door::Unix { socket, .. } => socket,
        }
    }

    /// Lets somebody in.
    ///
    /// # Errors
    ///
    /// What the system says if nobody waits, or nobody can be let in.
    pub(crate) fn accept(&self) -> io::Result<Newcomer> {
        match self {
            Door::Tcp(socket) => {
                let (stream, peer) = accept_inet(socket)?;
                let transport = Transport::Tcp(Plain::new(stream));
                Ok(Newcomer { transport, peer: Peer::Inet(peer), vouched: Vouched::Nothing })
            }
            Door::Tls(socket, security) => {
                let (stream, peer) = accept_inet(socket)?;
                let tls = Tls::new(Plain::new(stream), security.clone());
                let has_to_show = security.wants_certificates();
                let vouched = if has_to_show { Vouched::Awaited } else { Vouched::Nothing };
                // Unless it turns out to be something else.
                let may_differ = security.allows_plain();
                let peer = if may_differ { Peer::Inet(peer) } else { Peer::Tls(peer) };
                Ok(Newcomer { transport: Transport::Tls(Box::new(tls)), peer, vouched })
            }
            Door::Unix { socket, any_name } => {
                let (stream, _) = socket.accept()?;
                // Whoever the system does not tell of is nobody.
                let uid = accounts::peer_of(&stream).unwrap_or(accounts::FROM_ELSEWHERE);
                let is_trusted = *any_name || uid == accounts::ROOT || uid == accounts::own();
                let vouched = if is_trusted { Vouched::Nothing } else { Vouched::Awaited };
                let transport = Transport::Unix(Plain::new(stream));
                Ok(Newcomer { transport, peer: Peer::Local(uid), vouched })
            }
        }
    }
}

fn accept_inet(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = socket.accept()?;
    // IPv4 clients that came through an IPv6 socket are IPv4 clients still.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    if peer.ip().is_loopback() {
        sockets::expect_no_congestion(&stream);
    }
    Ok((stream, peer))
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Door::Tcp(socket) | Door::Tls(socket, _) => socket.as_fd(),
            Door::Unix { socket, .. } => socket.as_fd(),
        }
    }
}
