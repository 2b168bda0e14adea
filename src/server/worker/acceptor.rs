//! Accepts clients, as long as there is a place for them.
//!
//! Belongs to one worker, and never blocks it. Who connects while there is no place is told so, at a
//! pace that costs next to nothing; and while the system lacks something that a client needs, nobody
//! is accepted.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::door::{Door, Newcomer};
use crate::server::chat::admission::{Admission, Kind, NotAdmitted, Permit};
use crate::server::chat::id::SessionId;
use crate::system::rate_limited::Warning;
use crate::wire::protocol::Reply;

/// The pause after a refusal: connecting must not keep a processor busy.
const REST: Duration = Duration::from_millis(5);

/// How long to wait for a place or a descriptor at the most.
const LONG_REST: Duration = Duration::from_secs(1);

/// The listening sockets, and who waits at them.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    /// The socket to look at first, so that each gets its turn.
    turn: usize,
    /// A client that was accepted and waits for a place that somebody else has to leave.
    waiting: Option<Newcomer>,
    admission: Arc<Admission>,
    rest: Option<Rest>,
    failures: Warning,
    refusals: Warning,
    refusals_by_origin: Warning,
    strangers: Warning,
    evictions: Warning,
    departures: Warning,
}

#[derive(Debug)]
struct Listener {
    door: Door,
    /// Somebody may be waiting there.
    pending: bool,
}

/// A pause: until then, or until a place is given back.
#[derive(Debug)]
struct Rest {
    until: Instant,
    released: u64,
}

/// What comes of accepting.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A client that has a place.
    Client(Newcomer, Permit),
    /// This session has to go, so that there is a place.
    Evict(SessionId),
    /// Nothing: a client was refused, for which others need not wait.
    Refused,
}

impl Acceptor {
    /// The first of the tokens of listening sockets. No client's is as high.
    pub(crate) const TOKEN: Token = Token(usize::MAX / 2);

    /// Accepts at these doors, which `registry` watches from now on.
    ///
    /// # Errors
    ///
    /// If the system does not watch them.
    pub(crate) fn new(
        doors: Vec<Door>,
        admission: Arc<Admission>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for (index, mut door) in doors.into_iter().enumerate() {
            let token = Token(Self::TOKEN.0 + index);
            registry.register(door.source(), token, Interest::READABLE)?;
            listeners.push(Listener { door, pending: true });
        }
        Ok(Acceptor {
            listeners,
            turn: 0,
            waiting: None,
            admission,
            rest: None,
            failures: Warning::default(),
            refusals: Warning::default(),
            refusals_by_origin: Warning::default(),
            strangers: Warning::default(),
            evictions: Warning::default(),
            departures: Warning::default(),
        })
    }

    /// Somebody waits at the socket with that token, if it is one of these.
    pub(crate) fn note(&mut self, token: Token) {
        let index = token.0.wrapping_sub(Self::TOKEN.0);
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.pending = true;
        }
    }

    /// What the system has told may be lost: somebody may be waiting anywhere.
    pub(crate) fn doubt(&mut self) {
        self.listeners.iter_mut().for_each(|listener| listener.pending = true);
    }

    /// How long there is nothing to do here; `None` if that is for the system to tell.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let pending = self.listeners.iter().any(|listener| listener.pending);
        (pending || self.waiting.is_some()).then(|| match &self.rest {
            Some(rest) => rest.until.saturating_duration_since(Instant::now()),
            None => Duration::ZERO,
        })
    }

    /// What comes of the next client, or of one that has to go; `None` if there is none for now.
    pub(crate) fn next(&mut self) -> Option<Accepted> {
        if self.is_resting() {
            return None;
        }
        if let Some(newcomer) = self.waiting.take() {
            return self.admit(newcomer);
        }
        while let Some(index) = self.next_pending() {
            match self.listeners[index].door.accept() {
                Ok(newcomer) => {
                    self.turn = index + 1;
                    return self.admit(newcomer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.listeners[index].pending = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(index, &error),
            }
        }
        None
    }

    /// The socket where somebody may be waiting and whose turn it is.
    fn next_pending(&self) -> Option<usize> {
        let count = self.listeners.len();
        let mut in_turn = (self.turn..self.turn + count).map(|index| index % count);
        in_turn.find(|index| self.listeners[*index].pending)
    }

    /// Gives a place to a client, or sees to it that there is one soon.
    fn admit(&mut self, newcomer: Newcomer) -> Option<Accepted> {
        let place = newcomer.may_stay();
        let reason = match place.and_then(|()| self.admission.take(newcomer.peer.origin())) {
            Ok(permit) => return Some(Accepted::Client(newcomer, permit)),
            Err(reason) => reason,
        };
        if reason == NotAdmitted::Full
            && let Some(evicted) = self.make_room()
        {
            self.waiting = Some(newcomer);
            return Some(evicted);
        }
        self.refuse(newcomer, reason);
        (reason != NotAdmitted::Full).then_some(Accepted::Refused)
    }

    fn is_resting(&mut self) -> bool {
        let over = |rest: &Rest| {
            rest.until <= Instant::now() || rest.released != self.admission.released()
        };
        if self.rest.as_ref().is_some_and(over) {
            self.rest = None;
            self.admission.set_awaited(false);
        }
        self.rest.is_some()
    }

    fn rest(&mut self, most: Duration) {
        // In this order: who releases one after the look says so.
        self.admission.set_awaited(true);
        let released = self.admission.released();
        self.rest = Some(Rest { until: Instant::now() + most, released });
    }

    /// Names somebody who has to go for others, if there is anybody, and waits until that is done.
    fn make_room(&mut self) -> Option<Accepted> {
        let (kind, session) = self.admission.next_to_evict(Instant::now())?;
        let (warning, whom) = match kind {
            Kind::New => (&mut self.evictions, "clients that have not logged in"),
            _ => (&mut self.departures, "receivers that have shut down their writing side"),
        };
        warning.warn(format_args!("letting go of {whom}: others need the place"));
        self.rest(LONG_REST);
        Some(Accepted::Evict(session))
    }

    fn refuse(&mut self, newcomer: Newcomer, reason: NotAdmitted) {
        let Newcomer { mut transport, peer, .. } = newcomer;
        debug!("refused client {peer}: {reason}");
        let mut line = Vec::new();
        Reply::Err(reason.to_string().as_bytes()).encode(&mut line);
        let _ = transport.refuse(&line);
        transport.close(false);
        match reason {
            NotAdmitted::Full => {
                let max = self.admission.max;
                self.refusals.warn(format_args!("refusing clients: all {max} places are taken"));
                self.rest(REST);
            }
            NotAdmitted::Address(max) | NotAdmitted::User(max) => {
                let origin = peer.origin();
                self.refusals_by_origin
                    .warn(format_args!("refusing clients from {origin}: it has {max} already"));
            }
            NotAdmitted::Stranger => {
                self.strangers.warn(format_args!(
                    "refusing clients of whom the system does not say who they are ({peer})"
                ));
            }
        }
    }

    /// Nobody can be accepted just now.
    fn fail(&mut self, index: usize, error: &io::Error) -> Option<Accepted> {
        let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        if !Errno::from_io_error(error).is_some_and(|errno| scarce.contains(&errno)) {
            self.failures.warn(format_args!("cannot accept a client: {error}"));
            self.rest(REST);
            return None;
        }
        // Without descriptors this fails even if nobody waits.
        let mut fds = [PollFd::new(&self.listeners[index].door, PollFlags::IN)];
        if poll(&mut fds, Some(&Timespec::default())) == Ok(0) {
            self.listeners[index].pending = false;
            return None;
        }
        self.failures.warn(format_args!("cannot accept a client: {error}"));
        let evicted = self.make_room();
        self.rest(LONG_REST);
        evicted
    }
}

#[cfg(test)]
mod tests {
    use mio::net::TcpListener;
    use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};

    use super::*;
    use crate::server::worker::transport::Transport;

    #[test]
    fn a_connection_over_loopback_has_the_plainest_congestion_control_there_is() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        // Accepted sockets inherit it, so that there is something to change.
        let _ = set_tcp_congestion(&listener, "bbr").or(set_tcp_congestion(&listener, "cubic"));
        let mut poll = mio::Poll::new().unwrap();
        let admission = Arc::new(Admission::new(1, None));
        let mut acceptor =
            Acceptor::new(vec![Door::Tcp(listener)], admission, poll.registry()).unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        poll.poll(&mut mio::Events::with_capacity(1), None).unwrap();
        let accepted = acceptor.next();
        let Some(Accepted::Client(newcomer, _)) = accepted else { panic!("{accepted:?}") };
        let Transport::Tcp(tcp) = newcomer.transport else { panic!("{newcomer:?}") };
        // A system may not have it for everybody.
        if set_tcp_congestion(&client, "reno").is_ok() {
            assert_eq!(tcp_congestion(&tcp.stream).unwrap(), "reno");
        }
    }
}
