#![doc = include_str!("DESIGN.md")]

mod accounts;
mod chat;
mod config;
mod error;
mod history;
mod issuers;
pub(crate) mod listen;
mod outlet;
mod redis;
mod shutdown;
mod status;
mod tls;
mod validity;
mod worker;

use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};

use self::redis::Redis;
pub(crate) use self::redis::check_url as check_redis_url;
use accounts::Accounts;
use chat::admission::Admission;
use chat::frame::Budget;
use chat::log::Log;
use chat::placement::Placement;
use chat::rooms::Rooms;
pub(crate) use config::{
    Config, HistoryConfig, Keep, Limits, LogConfig, RedisConfig, SocketConfig, TlsConfig, Ways,
};
pub(crate) use error::ServerError;
use history::History;
use listen::{Entrances, SocketFile};
use outlet::Outlet;
use shutdown::Pace;
use tls::Security;
use worker::shared::{Message, SLOW_NAMED, Shared};
use worker::{ACCEPTING, Worker, spawn};

use crate::system::rate_limited::Warning;
use crate::system::{self, descriptors};

/// Descriptors that are none of the clients': a few that are open for a moment only.
const SPARE_DESCRIPTORS: usize = 8;

/// Descriptors that there is room for from the start, if there may be so many. Linux keeps eight
/// bytes for each.
const RESERVED_DESCRIPTORS: usize = 64 * 1024;

/// What the server is asked for from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Log the state.
    Report,
    /// Read certificates again.
    Renew,
    /// Stop in an orderly way.
    Stop,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    /// Ends when all workers have ended.
    ended: mpsc::Receiver<Infallible>,
    started: Instant,
    stop_timeout: Duration,
    /// How TLS is spoken, if it is.
    security: Option<Security>,
    /// The socket that is a file, until the end.
    file: Option<SocketFile>,
}

impl Server {
    /// Starts a server that lets clients in there.
    ///
    /// # Errors
    ///
    /// [`ServerError::History`] and [`ServerError::Redis`] if what is said cannot be kept,
    /// [`ServerError::Start`] if it cannot have its threads.
    pub(crate) fn start(config: Config, entrances: Entrances) -> Result<Self, ServerError> {
        let Entrances { mut doors, file, security, .. } = entrances;
        let descriptors = descriptors::raise_limit();
        if let Some(any) = doors.first() {
            descriptors::reserve(any, descriptors.min(RESERVED_DESCRIPTORS));
        }
        let processors = spawn::processors();
        let (wanted, asked) = (config.workers.unwrap_or(processors + 1), config.workers.is_some());
        let (mailboxes, threads) =
            spawn::spawn(wanted, asked, descriptors).map_err(ServerError::Start)?;
        let placement = if asked {
            Placement::regular(mailboxes.len())
        } else {
            Placement::automatic(mailboxes.len(), processors)
        };
        let log = open_log(config.log.as_ref())?;
        let max_clients = max_clients(config.max_clients, descriptors)?;
        let (accounts, desk) = Accounts::new(system::accounts::name_of);
        let shared = Arc::new(Shared {
            log: log.as_ref().map(Kept::log),
            placement: Arc::new(placement),
            mailboxes,
            rooms: Arc::new(Rooms::default()),
            accounts,
            admission: Arc::new(Admission::new(max_clients, config.max_per_address)),
            budget: Arc::new(Budget::new(config.limits.total_queue_limit)),
            limits: config.limits,
            tally: Arc::default(),
            slow_receivers: Mutex::new(Warning::at_most(SLOW_NAMED)),
        });
        start_log(log.as_ref(), &shared).map_err(ServerError::Start)?;
        if file.is_some() {
            start_accounts(desk, &shared).map_err(ServerError::Start)?;
        }
        let (working, ended) = mpsc::channel();
        for (index, thread) in threads.into_iter().enumerate() {
            let mut worker = Worker::new(index, Arc::clone(&shared), thread.inbox, thread.poll);
            if index == ACCEPTING {
                worker.accept_at(std::mem::take(&mut doors)).map_err(ServerError::Start)?;
            }
            let working = working.clone();
            thread.starter.start(move || {
                worker.run();
                drop(working);
            });
        }
        let (started, stop_timeout) = (Instant::now(), config.stop_timeout);
        Ok(Server { shared, ended, started, stop_timeout, security, file })
    }

    /// How many workers it has, and what its clients may have at most, in one line.
    pub(crate) fn summary(&self) -> String {
        let Shared { placement, admission, limits, .. } = &*self.shared;
        let mut text = format!(
            "{} workers; at most {} clients, {} bytes queued for one, {} for all",
            placement.workers(),
            admission.max,
            limits.queue_limit,
            limits.total_queue_limit,
        );
        if let Some(most) = admission.max_per_address {
            text += &format!(", {most} clients from one address");
        }
        text
    }

    /// Runs until `events` end or hold [`Event::Stop`], then stops in an orderly way. Returns when
    /// what was logged has to be written.
    pub(crate) fn run(self, events: impl Iterator<Item = Event>) -> Instant {
        for event in events {
            match event {
                Event::Report => {
                    let has_ways = self.security.is_some() || self.file.is_some();
                    status::log(&self.shared, self.started.elapsed(), has_ways);
                }
                Event::Renew => self.renew(),
                Event::Stop => break,
            }
        }
        self.stop()
    }

    /// Reads certificates and keys again. If one of them will not do, nothing changes.
    fn renew(&self) {
        match self.security.as_ref().map(Security::renew) {
            None => info!("there is nothing to be read again"),
            Some(Err(error)) => error!("everything stays as it was: {error}"),
            Some(Ok(())) => {
                info!("certificates are read again");
                self.shared.tell_all(|| Message::Renewed);
            }
        }
    }

    /// Takes no more clients, carries out what was received, and writes out what is queued.
    fn stop(self) -> Instant {
        let pace = Pace::within(self.stop_timeout);
        info!("stopping");
        shutdown::wind_down(&self.shared, pace);
        shutdown::wait_for_end(&self.ended, pace.end);
        if let Some(log) = &self.shared.log {
            log.close(pace.log);
        }
        let unanswered = self.shared.tally.unanswered.load(Ordering::Relaxed);
        if unanswered > 0 {
            warn!("{unanswered} texts are not answered: it is not known what became of them");
        }
        debug!("stopped after {} texts", self.shared.tally.texts.load(Ordering::Relaxed));
        pace.log
    }
}

/// A log, before its threads are started.
enum Kept {
    File(Arc<History>),
    Redis(Arc<Redis>),
}

impl Kept {
    fn log(&self) -> Arc<dyn Log> {
        match self {
            Kept::File(history) => Arc::clone(history) as _,
            Kept::Redis(redis) => Arc::clone(redis) as _,
        }
    }
}

fn open_log(config: Option<&LogConfig>) -> Result<Option<Kept>, ServerError> {
    Ok(Some(match config {
        None => return Ok(None),
        Some(LogConfig::History(HistoryConfig { path, keep, synced })) => {
            Kept::File(Arc::new(History::open(path, *synced, *keep)?))
        }
        Some(LogConfig::Redis(config)) => Kept::Redis(Arc::new(Redis::connect(config)?)),
    }))
}

/// Starts a log's threads, which tell the workers what they have to say.
fn start_log(log: Option<&Kept>, shared: &Arc<Shared>) -> io::Result<()> {
    let workers = Arc::downgrade(shared);
    let carry_out = move |effect| {
        if let Some(shared) = workers.upgrade() {
            shared.carry_out(effect);
        }
    };
    let Shared { tally, budget, rooms, .. } = &**shared;
    let outlet = Outlet::new(carry_out, Arc::clone(tally), Arc::clone(budget), Arc::clone(rooms));
    match log {
        None => Ok(()),
        Some(Kept::File(history)) => history.start(outlet),
        Some(Kept::Redis(redis)) => redis.start(outlet),
    }
}

/// Starts the thread that tells the workers what the accounts of their clients are called.
fn start_accounts(desk: accounts::Desk, shared: &Arc<Shared>) -> io::Result<()> {
    let workers = Arc::downgrade(shared);
    desk.start(move |session, vouched| {
        let shared = workers.upgrade();
        let tell = |shared: Arc<Shared>| {
            shared.tell(session.worker, Message::Vouched(session, vouched));
        };
        shared.map(tell).is_some()
    })
}

/// How many clients there may be: as many as are wanted, if there are descriptors for them.
fn max_clients(wanted: Option<usize>, descriptors: usize) -> Result<usize, ServerError> {
    let reserved = descriptors::open_now() + SPARE_DESCRIPTORS;
    if descriptors <= reserved {
        return Err(ServerError::Descriptors { limit: descriptors, needed: reserved + 1 });
    }
    let affordable = descriptors - reserved;
    let wanted = wanted.unwrap_or(affordable);
    if wanted > affordable {
        warn!("the limit on descriptors allows {affordable} clients, not {wanted}");
    }
    Ok(wanted.min(affordable))
}
