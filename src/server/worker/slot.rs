//! A connection, and what the worker that it lives on knows of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::door::Newcomer;
use super::stall::Stall;
use crate::server::chat::admission::Permit;
use crate::server::chat::placement::Assignment;

static SERIALS: AtomicU64 = AtomicU64::new(0);

/// A client that has just connected.
#[derive(Debug)]
pub(crate) struct Client {
    /// Who it is.
    pub newcomer: Newcomer,
    /// Its place.
    pub permit: Permit,
    /// Its share of the load of the worker that it is given to.
    pub assignment: Assignment,
}

/// One of a worker's connections.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Counts all connections.
    pub serial: u64,
    /// The connection.
    pub connection: Connection,
    /// Its share of the worker's load.
    pub assignment: Assignment,
    /// When the client has to have logged in.
    pub login_deadline: Option<Instant>,
    /// When its handshake has to be over.
    pub handshake_deadline: Option<Instant>,
    /// By when it has to take some of what it is owed, and how much it had taken before; if it takes
    /// nothing just now, and its system does not see to that.
    pub stuck: Option<Box<(Instant, u64)>>,
    /// The receiver's queue is above its mark, or has been of late.
    pub stall: Option<Box<Stall>>,
}

impl Slot {
    /// A client that has to log in until then.
    pub(crate) fn new(client: Client, login_deadline: Instant) -> Self {
        let Client { newcomer, permit, assignment } = client;
        Slot {
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
            connection: Connection::new(newcomer, permit),
            assignment,
            login_deadline: Some(login_deadline),
            handshake_deadline: None,
            stuck: None,
            stall: None,
        }
    }

    /// Notes whether a receiver is above its mark, or is given what a log has and takes nothing of
    /// it, which may not go on for `limit`; `true` if that has just begun, so that it has to be looked
    /// at now and then.
    pub(crate) fn watch(&mut self, limit: Duration) -> bool {
        let session = &self.connection.session;
        let Some(backlog) = session.backlog() else {
            return false;
        };
        let is_paged = backlog.lags() && backlog.bytes() > 0;
        let is_new = (backlog.is_over() || is_paged) && self.stall.is_none();
        if is_new {
            self.stall = Some(Box::new(Stall::new(limit, session.taken(), Instant::now())));
        }
        if let Some(stall) = &mut self.stall {
            let is_stuck = is_paged && (is_new || !stall.has_taken(session.taken()));
            stall.look(backlog.is_over() || is_stuck, Instant::now());
            stall.be_in(session.room().map(|room| room.name()));
        }
        is_new
    }
}
