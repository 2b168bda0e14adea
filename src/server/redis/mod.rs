#![doc = include_str!("REDIS.md")]
//!
//! # The module
//!
//! A log over Redis Streams. One thread gives texts to Redis, fetches those of other servers, and
//! publishes both; one hears that there is something to fetch; one gives texts back.
//!
//! Knows batches and rooms, and how to say what became of them; knows neither sockets nor the loops.

mod entry;
mod error;
mod link;
mod news;
mod pages;
mod presence;
mod room;
mod status;
mod want;
mod writer;

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use log::info;

use super::chat::batch::{Batch, Publisher};
use super::chat::id::SessionId;
use super::chat::log::{Log, Opened, STOPS};
use super::chat::replay::{PageRequest, Start};
use super::chat::room::Room;
use super::config::RedisConfig;
use super::outlet::Outlet;
use crate::wire::position::Resume;
pub(crate) use error::RedisError;
use link::{Target, Trouble};
use pages::Pages;
use presence::{Arrival, Presence};
use status::Status;
use want::Want;
use writer::Writer;

/// A reply of Redis may take so long, if the time-out is not shorter; then it is asked again. But for
/// the start, where it may take all of the time-out, for nobody asks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// While other servers have to come first, at the start.
const PAUSE: Duration = Duration::from_millis(50);

/// A log over Redis Streams.
#[derive(Debug)]
pub(crate) struct Redis {
    address: String,
    status: Arc<Status>,
    wants: mpsc::Sender<Want>,
    pages: mpsc::Sender<PageRequest>,
    /// What the threads have, as soon as they are started.
    unstarted: Mutex<Option<Unstarted>>,
}

#[derive(Debug)]
struct Unstarted {
    presence: Presence,
    timeout: Duration,
    wanted: mpsc::Receiver<Want>,
    wanted_pages: mpsc::Receiver<PageRequest>,
}

/// Looks whether this may be the URL of a Redis.
///
/// # Errors
///
/// [`RedisError::Url`] if not.
pub(crate) fn check_url(url: &str) -> Result<(), RedisError> {
    Target::new(url, None, "").map(drop)
}

impl Redis {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`RedisError`]: there is none that could be used.
    pub(crate) fn connect(config: &RedisConfig) -> Result<Self, RedisError> {
        let target = Target::new(&config.url, config.password.as_deref(), &config.prefix)?;
        let address = target.address.clone();
        let mut presence = Presence::new(target, config.keep, config.timeout);
        loop {
            let address = address.clone();
            match presence.arrive() {
                Ok(Arrival::Same | Arrival::Other(..)) => break,
                Ok(Arrival::Early) => thread::sleep(PAUSE),
                Ok(Arrival::Disagree(theirs)) => {
                    return Err(RedisError::Disagreement { theirs, ours: presence.keeps() });
                }
                Err(Trouble::TooOld(version)) => {
                    return Err(RedisError::TooOld { address, version });
                }
                Err(trouble) => {
                    return Err(RedisError::Unusable { address, reason: trouble.to_string() });
                }
            }
        }
        let tried = news::try_it(&presence.target, config.timeout);
        let patience = PATIENCE.min(config.timeout);
        if let Err(trouble) = tried.and_then(|()| presence.set_patience(patience)) {
            return Err(RedisError::Unusable { address, reason: trouble.to_string() });
        }
        let (wants, wanted) = mpsc::channel();
        let (pages, wanted_pages) = mpsc::channel();
        let unstarted = Unstarted { presence, timeout: config.timeout, wanted, wanted_pages };
        let (status, unstarted) = (Arc::default(), Mutex::new(Some(unstarted)));
        Ok(Redis { address, status, wants, pages, unstarted })
    }

    /// Starts its threads, which say what they have to say to `outlet`.
    ///
    /// # Errors
    ///
    /// If they are not to be had.
    pub(crate) fn start(&self, outlet: Outlet) -> io::Result<()> {
        let unstarted = self.unstarted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Unstarted { presence, timeout, wanted, wanted_pages }) = unstarted else {
            return Ok(());
        };
        info!("what is said is kept in Redis at {}", self.address);
        let (outlet, status) = (Arc::new(outlet), Arc::clone(&self.status));
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map(drop)
        };
        let (wants, server, target) =
            (self.wants.clone(), presence.name.clone(), presence.target.clone());
        let patience = (PATIENCE.min(timeout), timeout);
        let pages = Pages::new(target.clone(), patience, Arc::clone(&outlet), Arc::clone(&status));
        let writer = Writer::new(presence, timeout, outlet, status, wanted);
        start("redis pages", Box::new(move || pages.run(&wanted_pages)))?;
        start("redis writer", Box::new(move || writer.run()))?;
        start("redis news", Box::new(move || news::listen(&target, &server, &wants)))
    }
}

impl Log for Redis {
    fn gives_back(&self) -> bool {
        true
    }

    fn append(&self, batches: Vec<Batch>, publisher: &mut Publisher<'_>) {
        let Err(mpsc::SendError(Want::Keep(batches))) = self.wants.send(Want::Keep(batches)) else {
            return;
        };
        for batch in batches {
            batch.refused(STOPS.into(), publisher.effects);
        }
    }

    fn open(&self, room: &Arc<Room>, resume: Option<Resume>, session: SessionId) -> Opened {
        // Who resumes has to be told the end that Redis knows.
        if resume.is_none() && room.published().is_some() && !self.status.is_away() {
            return Opened::Now(Start::default());
        }
        match self.wants.send(Want::Open((Arc::clone(room), resume, session))) {
            Ok(()) => Opened::Later,
            Err(_) => Opened::Never(STOPS),
        }
    }

    fn report(&self) -> Option<String> {
        Some(format!("log: Redis at {}: {}", self.address, self.status))
    }

    fn page(&self, request: PageRequest) {
        drop(self.pages.send(request));
    }

    fn finish(&self, until: Instant) {
        // Some of the time is for the answers.
        let left = until.saturating_duration_since(Instant::now());
        let (done, is_done) = mpsc::channel();
        if self.wants.send(Want::Finish(Instant::now() + left * 3 / 4, done)).is_ok() {
            let _ = is_done.recv_timeout(left);
        }
    }

    fn close(&self, _until: Instant) {}
}
