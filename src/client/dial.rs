//! Several addresses of a host → a connection to one of them, in little time whichever answers.
//!
//! An address that does not answer at once must not hold up the next one: they are tried side by side,
//! each a short while after the one before, as browsers do (RFC 8305).

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use log::debug;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::system::descriptors;

/// How long an address may take to answer.
pub(super) const CONNECT: Duration = Duration::from_secs(20);

/// How long an address is tried alone, before the next one is tried too.
const LEAD: Duration = Duration::from_millis(250);

/// Connects to the first of some addresses that answers, and says which. Reads and writes of the stream
/// fail where they would wait.
///
/// # Errors
///
/// What the system says of the last address that failed, if all do.
pub(super) fn connect_to_one(
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> io::Result<(SocketAddr, TcpStream)> {
    let mut dial = Dial { attempts: Vec::new(), last: ErrorKind::NotFound.into() };
    let mut addresses = addresses.into_iter().peekable();
    let mut next_start = Instant::now();
    loop {
        if (Instant::now() >= next_start || dial.attempts.is_empty())
            && let Some(address) = addresses.next()
        {
            dial.start(address);
            next_start = Instant::now() + LEAD;
        }
        if dial.attempts.is_empty() {
            match addresses.peek() {
                Some(_) => continue,
                None => return Err(dial.last),
            }
        }
        let until = addresses.peek().map(|_| next_start);
        if let Some(connected) = dial.wait(until)? {
            return Ok(connected);
        }
    }
}

/// Attempts to connect, side by side.
struct Dial {
    attempts: Vec<Attempt>,
    /// Why the last of those failed that did.
    last: io::Error,
}

/// A connection that is being made.
struct Attempt {
    socket: OwnedFd,
    address: SocketAddr,
    /// When it is given up.
    deadline: Instant,
}

impl Dial {
    fn start(&mut self, address: SocketAddr) {
        debug!("connecting to {address}");
        match begin(address) {
            Ok(socket) => {
                let deadline = Instant::now() + CONNECT;
                self.attempts.push(Attempt { socket, address, deadline });
            }
            Err(error) => self.fail(address, error),
        }
    }

    fn fail(&mut self, address: SocketAddr, error: io::Error) {
        debug!("cannot connect to {address}: {error}");
        self.last = error;
    }

    /// Waits until one is connected, or fails, or until then. Returns the one that is connected, if any.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<Option<(SocketAddr, TcpStream)>> {
        let deadlines = self.attempts.iter().map(|attempt| attempt.deadline);
        let until = deadlines.chain(until).min();
        let most = until.map(|until| until.saturating_duration_since(Instant::now()));
        let poll = |attempt| PollFd::new(attempt, PollFlags::OUT);
        let mut fds: Vec<_> = self.attempts.iter().map(|one| poll(&one.socket)).collect();
        descriptors::wait(&mut fds, most)?;
        let ready: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let now = Instant::now();
        for (attempt, ready) in std::mem::take(&mut self.attempts).into_iter().zip(ready) {
            let outcome = if ready { sockopt::socket_error(&attempt.socket)? } else { Ok(()) };
            match outcome {
                Ok(()) if ready => return Ok(Some((attempt.address, attempt.socket.into()))),
                Ok(()) if attempt.deadline > now => self.attempts.push(attempt),
                Ok(()) => self.fail(attempt.address, ErrorKind::TimedOut.into()),
                Err(error) => self.fail(attempt.address, error.into()),
            }
        }
        Ok(None)
    }
}

/// Begins to connect. The socket can be written to when it is connected, or has an error.
fn begin(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::system::sockets;

    /// A listener whose queue is full, so that it does not answer; and who fills the queue.
    fn dead() -> (TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, LEAD).ok();
        let queue = std::iter::from_fn(connect).take(100).collect();
        (listener, queue)
    }

    /// So many addresses to which nobody can connect as long as their sockets are there.
    fn refusing(count: usize) -> (Vec<OwnedFd>, Vec<SocketAddr>) {
        (0..count).map(|_| sockets::closed().unwrap()).unzip()
    }

    #[test]
    fn an_address_that_does_not_answer_does_not_hold_up_the_next() {
        let dead = [dead(), dead()];
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = live.local_addr().unwrap();
        let dead = dead.iter().map(|(listener, _)| listener.local_addr().unwrap());
        let begun = Instant::now();
        let (connected, stream) = connect_to_one(dead.chain([address])).unwrap();
        assert_eq!(connected, address);
        assert_eq!(stream.peer_addr().unwrap(), address);
        // One after the other would take twice as long as one may take.
        assert!(begun.elapsed() >= 2 * LEAD && begun.elapsed() < CONNECT, "{:?}", begun.elapsed());
    }

    #[test]
    fn an_address_that_refuses_makes_room_for_the_next_at_once() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = live.local_addr().unwrap();
        let (_sockets, addresses) = refusing(100);
        let begun = Instant::now();
        let (connected, stream) = connect_to_one(addresses.into_iter().chain([address])).unwrap();
        assert_eq!(connected, address);
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(begun.elapsed() < 50 * LEAD, "{:?}", begun.elapsed());
    }

    #[test]
    fn if_none_answers_the_last_says_why() {
        let (_sockets, addresses) = refusing(2);
        let error = connect_to_one(addresses).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(connect_to_one([]).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
