//! The server: rooms, and everything between a client's socket and them.
//!
//! # Threads
//!
//! The main thread waits for signals. The [`acceptor`] takes in clients and gives each to one of
//! the [`worker`]s, of which there are as many as processors. A worker owns its clients' sockets;
//! nobody else reads or writes them.
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
//! - **Places and tallies**, [`places`], [`hub`]: atomics, and two small locks.
//!
//! No thread ever takes a second lock while it holds one, so there is no order in which two
//! threads could wait for each other. Nothing that can block is done under a lock.

mod acceptor;
mod batch;
mod connection;
mod directory;
mod hub;
mod listen;
mod outbox;
mod places;
mod room;
#[cfg(test)]
mod room_model;
mod session;
mod stop;
mod worker;
#[cfg(test)]
mod worker_steps;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use log::{info, warn};
use mio::{Poll, Waker};
use thiserror::Error;

use acceptor::{Acceptor, Stopper};
use directory::Directory;
pub use hub::Limits;
use hub::{Hub, Mailbox, Message, Tally, WorkerSet};
use places::{Kind, Places};
use worker::{WAKE, Worker};

use crate::descriptors;

/// Rooms that a report names at most.
const ROOMS_REPORTED: usize = 20;

/// Descriptors that are none of the clients': a few that are open for a moment only.
const SPARE_DESCRIPTORS: usize = 8;

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
    /// What holds for every client.
    pub limits: Limits,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    stopper: Stopper,
    acceptor: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    started: Instant,
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
        let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect();
        let listeners = listeners.into_iter().map(mio::net::TcpListener::from_std).collect();
        let acceptor = Recruit::new("acceptor").map_err(ServerError::Start)?;
        let workers = recruit_workers(descriptors).map_err(ServerError::Start)?;
        let mut mailboxes = Vec::new();
        let mut loops = Vec::new();
        for _ in &workers {
            let (mailbox, poll, inbox) = mailbox().map_err(ServerError::Start)?;
            mailboxes.push(mailbox);
            loops.push((poll, inbox));
        }
        let hub = Arc::new(Hub {
            mailboxes,
            directory: Arc::new(Directory::default()),
            places: Arc::new(Places::new(places(config.max_clients, descriptors))),
            limits: config.limits,
            tally: Tally::default(),
        });
        let (accept, stopper) =
            Acceptor::new(Arc::clone(&hub), listeners).map_err(ServerError::Start)?;
        let acceptor = acceptor.give(move || accept.run());
        let workers = workers.into_iter().zip(loops).enumerate();
        let workers = workers.map(|(index, (recruit, (poll, inbox)))| {
            let worker = Worker::new(index, Arc::clone(&hub), inbox, poll);
            recruit.give(move || worker.run())
        });
        let workers = workers.collect();
        for address in addresses.into_iter().flatten() {
            info!("listening on {address}");
        }
        Ok(Server { hub, stopper, acceptor, workers, started: Instant::now() })
    }

    /// Runs until `events` end or hold [`Event::Stop`], then stops in an orderly way.
    pub fn run(self, events: impl Iterator<Item = Event>) {
        for event in events {
            match event {
                Event::Report => self.report(),
                Event::Stop => break,
            }
        }
        self.stop();
    }

    /// Takes no more clients, carries out what was received, and writes out what is queued.
    fn stop(self) {
        info!("stopping");
        let begun = Instant::now();
        let Server { hub, stopper, acceptor, workers, .. } = self;
        stopper.stop();
        let _ = acceptor.join();
        stop::wind_down(&hub, begun, stop::PACE);
        for worker in workers {
            let _ = worker.join();
        }
        let texts = hub.tally.texts.load(Ordering::Relaxed);
        info!("stopped after {texts} texts");
    }

    /// Logs the server's state.
    fn report(&self) {
        let Hub { places, directory, tally, .. } = &*self.hub;
        let rooms = directory.rooms();
        let mut rooms: Vec<_> = rooms.iter().map(|room| (room.census(), room.name())).collect();
        rooms.sort_by(|a, b| b.cmp(a));
        let queued: usize = rooms.iter().map(|((_, bytes), _)| bytes).sum();
        info!(
            "report: up {} s; {} new clients, {} senders, {} receivers, at most {} in all; {} rooms, \
             {queued} bytes queued; so far {} texts, {} deliveries, {} receivers cut",
            self.started.elapsed().as_secs(),
            places.taken(Kind::New),
            places.taken(Kind::Sender),
            places.taken(Kind::Receiver),
            places.max,
            rooms.len(),
            tally.texts.load(Ordering::Relaxed),
            tally.deliveries.load(Ordering::Relaxed),
            tally.cut.load(Ordering::Relaxed),
        );
        let workers: Vec<_> = self.hub.mailboxes.iter().map(Mailbox::sessions).collect();
        info!("report: clients on each worker: {workers:?}");
        for ((receivers, bytes), name) in rooms.iter().take(ROOMS_REPORTED) {
            info!("report: room {name}: {receivers} receivers, {bytes} bytes queued");
        }
        if rooms.len() > ROOMS_REPORTED {
            info!("report: and {} rooms more", rooms.len() - ROOMS_REPORTED);
        }
        info!("end of report");
    }
}

/// A thread that waits to be told what to do.
struct Recruit {
    thread: JoinHandle<()>,
    orders: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl Recruit {
    fn new(name: &str) -> io::Result<Self> {
        let (orders, wait) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        // There are no orders if the server does not come to be.
        let follow = move || wait.recv().into_iter().for_each(|order| order());
        let thread = thread::Builder::new().name(name.into()).spawn(follow)?;
        Ok(Recruit { thread, orders })
    }

    fn give(self, order: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        // It waits for this, and for nothing else.
        let _ = self.orders.send(Box::new(order));
        self.thread
    }
}

/// A thread for a worker a processor, or for as many as there are threads to be had.
fn recruit_workers(descriptors: usize) -> io::Result<Vec<Recruit>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    // Each needs two descriptors, which are the clients' if there are few.
    let affordable = (descriptors / 16).clamp(1, WorkerSet::MAX);
    let mut recruits = vec![Recruit::new("worker 0")?];
    for index in 1..processors.max(2).min(affordable) {
        match Recruit::new(&format!("worker {index}")) {
            Ok(recruit) => recruits.push(recruit),
            Err(error) => {
                warn!("cannot have more than {index} workers: {error}");
                break;
            }
        }
    }
    Ok(recruits)
}

/// What a worker and those who write to it need.
fn mailbox() -> io::Result<(Mailbox, Poll, mpsc::Receiver<Message>)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let (queue, inbox) = mpsc::channel();
    Ok((Mailbox::new(queue, waker), poll, inbox))
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
