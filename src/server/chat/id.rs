//! Names of sessions and of workers, and of where clients are.
//!
//! A worker is a loop that owns sessions; here it is a number.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Names one session, and never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId {
    /// The worker that owns the session.
    pub worker: usize,
    /// The session's place on its worker; used again after it.
    pub token: usize,
    /// Counts all sessions.
    pub serial: u64,
}

/// Where a client is, as the log calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// At that address.
    Inet(SocketAddr),
    /// At that address, over TLS.
    Tls(SocketAddr),
    /// On this machine, as the user with that number, over a Unix socket.
    Local(u32),
}

impl Peer {
    /// The same, now that TLS is spoken.
    pub(crate) fn over_tls(self) -> Self {
        match self {
            Peer::Inet(address) => Peer::Tls(address),
            peer => peer,
        }
    }

    /// How it came.
    pub(crate) fn way(self) -> Way {
        match self {
            Peer::Inet(_) => Way::Tcp,
            Peer::Tls(_) => Way::Tls,
            Peer::Local(_) => Way::Socket,
        }
    }

    /// What it is counted under.
    pub(crate) fn origin(self) -> Origin {
        match self {
            Peer::Inet(address) | Peer::Tls(address) => Origin::Address(address.ip()),
            Peer::Local(uid) => Origin::User(uid),
        }
    }
}

/// How a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over TCP as it is.
    Tcp,
    /// Over TLS.
    Tls,
    /// Over a Unix socket.
    Socket,
}

/// Whose clients are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// Those of an address.
    Address(IpAddr),
    /// Those of one of the system's users.
    User(u32),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Origin::Address(address)
    }
}

/// `127.0.0.1` or `uid 1000`
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Address(address) => address.fmt(f),
            Origin::User(uid) => write!(f, "uid {uid}"),
        }
    }
}

/// `127.0.0.1:4711`, `TLS 127.0.0.1:4711` or `socket, uid 1000`
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Inet(address) => address.fmt(f),
            Peer::Tls(address) => write!(f, "TLS {address}"),
            Peer::Local(uid) => write!(f, "socket, uid {uid}"),
        }
    }
}

/// Some of the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerSet(u64);

impl WorkerSet {
    /// The most workers there can be.
    pub(crate) const MAX: usize = 64;

    /// Adds one.
    pub(crate) fn add(&mut self, worker: usize) {
        self.0 |= 1 << worker;
    }

    /// All in the set, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |worker| self.0 >> worker & 1 == 1)
    }
}
