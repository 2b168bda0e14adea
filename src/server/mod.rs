//! The server: rooms, and everything between a client's socket and them.
//!
//! # Threads
//!
//! The main thread waits for signals, and one thread writes the log. Clients are served by
//! [`worker`]s, a fixed number of threads. A worker owns its clients' sockets; nobody else reads or
//! writes them. The first one lets clients in, through the [`door`].
//!
//! # What is shared, and which lock guards it
//!
//! - **Which rooms there are**, [`directory`]: a lock of its own, held for a look-up.
//! - **A room's receivers and the order of its texts**, [`room`]: a lock a room, held while a
//!   frame goes into every receiver's queue.
//! - **A receiver's queue**, [`outbox`]: a `std::sync::mpsc` channel. Publishers on any worker
//!   hold its sending end through the room; the worker that owns the receiver's socket holds the
//!   receiving end.
//! - **What one worker has to tell another**, [`hub`]: again an `mpsc` channel a worker.
//! - **Places and tallies**, [`mod@places`], [`hub`]: atomics, and a lock for a list.
//!
//! No thread ever takes a second lock while it holds one, so there is no order in which two
//! threads could wait for each other. Nothing that can block is done under a lock.

mod batch;
mod connection;
mod directory;
mod door;
mod hub;
mod lane;
mod listen;
mod outbox;
mod places;
mod report;
mod room;
#[cfg(test)]
mod room_model;
mod session;
#[cfg(test)]
mod stage;
mod stall;
mod stop;
mod threads;
mod warning;
mod worker;
#[cfg(test)]
mod worker_bounds;
#[cfg(test)]
mod worker_ends;
#[cfg(test)]
mod worker_steps;
mod write_queue;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use thiserror::Error;

use directory::Directory;
pub use hub::Limits;
use hub::{Hub, Tally};
use places::Places;
use stop::Pace;
use worker::{DOOR_WORKER, Worker};

use crate::descriptors;

/// Descriptors that are none of the clients': a few that are open for a moment only.
const SPARE_DESCRIPTORS: usize = 8;

/// Descriptors that there is room for from the start, if there may be so many. Linux keeps eight
/// bytes for each.
const RESERVED_DESCRIPTORS: usize = 64 * 1024;

/// What keeps a server from running.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A name to listen on means nothing.
    #[error("cannot listen on {host}: {source}")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread, or what it needs, is not to be had.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
}

/// What the server is asked for from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Log the state.
    Report,
    /// Stop in an orderly way.
    Stop,
}

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port, 0 for any.
    pub port: u16,
    /// Names or addresses to listen on; all interfaces if empty.
    pub bind: Vec<String>,
    /// Clients there may be; as many as there are descriptors for if `None`.
    pub max_clients: Option<usize>,
    /// Clients there may be from one address; no limit if `None`.
    pub max_per_address: Option<usize>,
    /// Threads that serve clients; as many as there are processors if `None`, and then the last of
    /// several is a reserve.
    pub workers: Option<usize>,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// What holds for every client.
    pub limits: Limits,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    /// Ends when all workers have ended.
    ended: mpsc::Receiver<Infallible>,
    started: Instant,
    stop_timeout: Duration,
}

/// Takes a lock. A thread that panicked under it leaves nothing half-done that others could not
/// live with, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Starts a server and says on the log where it listens.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if it cannot listen or cannot have its threads.
    pub fn start(config: Config) -> Result<Self, ServerError> {
        let descriptors = descriptors::raise_limit();
        let listeners = listen::listen_on(&config.bind, config.port)?;
        if let Some(any) = listeners.first() {
            descriptors::reserve(any, descriptors.min(RESERVED_DESCRIPTORS));
        }
        let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect();
        let (mailboxes, posts) =
            threads::start(config.workers, descriptors).map_err(ServerError::Start)?;
        let reserve = usize::from(config.workers.is_none() && mailboxes.len() > 1);
        let hub = Arc::new(Hub {
            regulars: mailboxes.len() - reserve,
            mailboxes,
            directory: Arc::new(Directory::default()),
            places: Arc::new(Places::new(
                places(config.max_clients, descriptors),
                config.max_per_address,
            )),
            limits: config.limits,
            tally: Tally::default(),
            slow_receivers: Mutex::default(),
        });
        let (working, ended) = mpsc::channel();
        let mut sockets = listeners.into_iter().map(mio::net::TcpListener::from_std).collect();
        for (index, post) in posts.into_iter().enumerate() {
            let mut worker = Worker::new(index, Arc::clone(&hub), post.inbox, post.poll);
            if index == DOOR_WORKER {
                worker.open_door(std::mem::take(&mut sockets)).map_err(ServerError::Start)?;
            }
            let working = working.clone();
            post.recruit.give(move || {
                worker.run();
                drop(working);
            });
        }
        for address in addresses.into_iter().flatten() {
            info!("listening on {address}");
        }
        Ok(Server { hub, ended, started: Instant::now(), stop_timeout: config.stop_timeout })
    }

    /// Runs until `events` end or hold [`Event::Stop`], then stops in an orderly way. Returns when
    /// what was logged has to be written.
    pub fn run(self, events: impl Iterator<Item = Event>) -> Instant {
        for event in events {
            match event {
                Event::Report => report::log(&self.hub, self.started.elapsed()),
                Event::Stop => break,
            }
        }
        self.stop()
    }

    /// Takes no more clients, carries out what was received, and writes out what is queued.
    fn stop(self) -> Instant {
        let pace = Pace::within(self.stop_timeout);
        info!("stopping");
        stop::wind_down(&self.hub, pace);
        stop::wait_for_end(&self.ended, pace.end);
        debug!("stopped after {} texts", self.hub.tally.texts.load(Ordering::Relaxed));
        pace.log
    }
}

/// How many clients there may be: as many as are wanted, if there are descriptors for them.
fn places(wanted: Option<usize>, descriptors: usize) -> usize {
    let reserved = descriptors::open_now() + SPARE_DESCRIPTORS;
    let affordable = descriptors.saturating_sub(reserved).max(1);
    let wanted = wanted.unwrap_or(affordable);
    if wanted > affordable {
        warn!("the limit on descriptors allows {affordable} clients, not {wanted}");
    }
    wanted.min(affordable)
}
