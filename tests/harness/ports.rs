//! Ports that a test may count on although nobody listens there yet, or any more.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::net::{bind, getsockname};

use super::inet_socket;

/// The system gives none of these to somebody who asks for any port, or who connects.
const GIVEN_TO_NOBODY: Range<u16> = 10_000..32_000;

/// A port of its own for a program that cannot say which one it got, or that comes again. Had it been
/// any port, somebody else could be given it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let Range { start, end } = GIVEN_TO_NOBODY;
    // Other programs' tests begin elsewhere.
    let first = std::process::id() as u16;
    let next = || first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (end - start) + start;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    std::iter::repeat_with(next).take(1000).find(is_free).expect("no port is free")
}

/// A port that refuses whoever connects, for as long as this is there.
pub struct ClosedPort {
    _socket: OwnedFd,
    pub port: u16,
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = inet_socket();
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
        ClosedPort { _socket: socket, port: address.port() }
    }
}
