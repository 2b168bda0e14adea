//! Takes in clients, as long as there is a place for them.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use log::{debug, error, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::io::Errno;

use super::hub::{Hub, Message};
use crate::protocol::Reply;

/// The pause after a refusal, or after the system refused: knocking must not keep a processor
/// busy.
const REST: Duration = Duration::from_millis(5);

/// How long to wait for a place after the system refused for want of something.
const LONG_REST: Duration = Duration::from_secs(1);

/// How often to warn of the same thing.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The thread that accepts connections.
#[derive(Debug)]
pub struct Acceptor {
    hub: Arc<Hub>,
    listeners: Vec<TcpListener>,
    poll: Poll,
    stop: Arc<AtomicBool>,
    failures: Warning,
    refusals: Warning,
}

/// A warning that is not given again and again.
#[derive(Debug, Default)]
struct Warning {
    given: Option<Instant>,
}

impl Warning {
    fn warn(&mut self, text: Arguments<'_>) {
        if self.given.is_none_or(|given| given.elapsed() >= WARN_EVERY) {
            warn!("{text}");
            self.given = Some(Instant::now());
        }
    }
}

/// Stops an acceptor.
#[derive(Debug)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Stopper {
    /// Makes the acceptor end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Err(error) = self.waker.wake() {
            error!("cannot wake the acceptor: {error}");
        }
    }
}

impl Acceptor {
    /// An acceptor for the listeners.
    ///
    /// # Errors
    ///
    /// If the system has no more descriptors.
    pub fn new(hub: Arc<Hub>, mut listeners: Vec<TcpListener>) -> io::Result<(Self, Stopper)> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        for (index, listener) in listeners.iter_mut().enumerate() {
            registry.register(listener, Token(index), Interest::READABLE)?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let waker = Waker::new(registry, Token(listeners.len()))?;
        let stopper = Stopper { stop: Arc::clone(&stop), waker };
        let (failures, refusals) = Default::default();
        Ok((Acceptor { hub, listeners, poll, stop, failures, refusals }, stopper))
    }

    /// Accepts until stopped. Closes the listeners at the end.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(16);
        while !self.stopped() {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != ErrorKind::Interrupted
            {
                self.failures.warn(format_args!("cannot wait for clients: {error}"));
                std::thread::sleep(LONG_REST);
            }
            let listeners = events.iter().map(|event| event.token().0);
            for index in listeners.collect::<Vec<_>>() {
                self.accept_all(index);
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Accepts until nobody knocks any more.
    fn accept_all(&mut self, index: usize) {
        while !self.stopped()
            && let Some(listener) = self.listeners.get(index)
        {
            match listener.accept() {
                Ok((stream, peer)) => {
                    // IPv4 clients that came through an IPv6 socket are IPv4 clients still.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    self.admit(stream, peer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.rest(&error),
            }
        }
    }

    /// Waits a little, for what the system lacks or for a network that has trouble.
    fn rest(&mut self, error: &io::Error) {
        let scarce = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        self.failures.warn(format_args!("cannot accept a client: {error}"));
        if Errno::from_io_error(error).is_some_and(|errno| scarce.contains(&errno)) {
            self.make_room(LONG_REST);
        } else {
            std::thread::sleep(REST);
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let mut place = self.hub.places.take();
        if place.is_none() && self.make_room(REST) {
            place = self.hub.places.take();
        }
        let Some(place) = place else {
            return self.refuse(stream, peer);
        };
        let worker = self.hub.least_busy(0);
        self.hub.hand_over(worker, Message::Connected(stream, peer, place));
    }

    /// Lets go of a receiver that may be gone already, if there is one, and waits for a place.
    fn make_room(&self, most: Duration) -> bool {
        let places = &self.hub.places;
        let before = places.given_back();
        let most = match places.oldest_half_closed() {
            Some(session) => {
                self.hub.tell(session.worker, Message::LetGo(session));
                LONG_REST
            }
            None => most,
        };
        places.wait(before, most);
        !places.full()
    }

    fn refuse(&mut self, mut stream: TcpStream, peer: SocketAddr) {
        let max = self.hub.places.max;
        debug!("refused client {peer}: all {max} places are taken");
        self.refusals.warn(format_args!("refusing clients: all {max} places are taken"));
        let mut line = Vec::new();
        Reply::Err(b"the server is full, try again later").encode(&mut line);
        let _ = stream.write(&line);
        let _ = stream.shutdown(Shutdown::Write);
        // Unread input would make the system take the line back.
        let _ = stream.read(&mut [0; 1024]);
    }
}
