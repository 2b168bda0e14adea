//! Who is connected: how many clients of which kind, how many there may be, and who goes first
//! when it gets tight.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::hub::SessionId;
use super::lock;

/// What a client has logged in as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing yet.
    New,
    /// A sender.
    Sender,
    /// A receiver.
    Receiver,
}

/// All places, taken and free.
#[derive(Debug)]
pub struct Places {
    /// How many clients there may be.
    pub max: usize,
    /// Clients in all.
    taken: AtomicUsize,
    /// Clients by [`Kind`].
    by_kind: [AtomicUsize; 3],
    /// How many places have been given back so far.
    given_back: AtomicU64,
    /// Somebody waits for a place to be given back.
    awaited: AtomicBool,
    half_closed: Mutex<HalfClosed>,
}

/// Receivers that have shut down their writing side. They may still be listening or may be gone;
/// nobody can tell until something is written to them.
#[derive(Debug, Default)]
struct HalfClosed {
    /// In the order in which they did that.
    sessions: BTreeMap<Ticket, SessionId>,
    next: u64,
}

/// When a receiver has shut down its writing side, in relation to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Places {
    /// `max` free places.
    pub fn new(max: usize) -> Self {
        Places {
            max,
            taken: AtomicUsize::new(0),
            by_kind: Default::default(),
            given_back: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            half_closed: Mutex::default(),
        }
    }

    /// Takes a place for a new client, if there is one.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        self.count(Kind::New).fetch_add(1, Ordering::SeqCst);
        Some(Place { places: Arc::clone(self), kind: Kind::New })
    }

    /// How many clients of that kind there are.
    pub fn taken(&self, kind: Kind) -> usize {
        self.count(kind).load(Ordering::SeqCst)
    }

    /// How many places have been given back so far.
    pub fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::SeqCst)
    }

    /// Somebody waits for a place to be given back, or no longer does.
    pub fn await_one(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    /// Somebody waits for a place to be given back.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    /// A receiver has shut down its writing side.
    pub fn note_half_closed(&self, session: SessionId) -> Ticket {
        let mut half_closed = lock(&self.half_closed);
        let ticket = Ticket(half_closed.next);
        half_closed.next += 1;
        half_closed.sessions.insert(ticket, session);
        ticket
    }

    /// A receiver that had shut down its writing side has left, or has moved.
    pub fn forget_half_closed(&self, ticket: Ticket) {
        lock(&self.half_closed).sessions.remove(&ticket);
    }

    /// The receiver that shut down its writing side the longest time ago, no longer on the list.
    pub fn oldest_half_closed(&self) -> Option<SessionId> {
        lock(&self.half_closed).sessions.pop_first().map(|(_, session)| session)
    }

    fn count(&self, kind: Kind) -> &AtomicUsize {
        &self.by_kind[kind as usize]
    }
}

/// One client's place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    kind: Kind,
}

impl Place {
    /// The client has logged in.
    pub fn set_kind(&mut self, kind: Kind) {
        self.places.count(kind).fetch_add(1, Ordering::SeqCst);
        self.places.count(self.kind).fetch_sub(1, Ordering::SeqCst);
        self.kind = kind;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.count(self.kind).fetch_sub(1, Ordering::SeqCst);
        self.places.taken.fetch_sub(1, Ordering::SeqCst);
        self.places.given_back.fetch_add(1, Ordering::SeqCst);
    }
}
