#![doc = include_str!("HISTORY.md")]
//!
//! # The module
//!
//! A log that keeps all texts in a SQLite database. What waits is one transaction. A worker commits by
//! itself while nobody else does and that takes no time worth mentioning; else a thread that is there
//! for it does. Another gives texts back, and a third lets go of old ones and cuts the database's log
//! off.
//!
//! Knows batches and rooms, and how to say what became of them; knows neither sockets nor the loops.

mod desk;
mod error;
mod file;
mod reader;
mod store;
#[cfg(test)]
mod store_tests;
mod upkeep;
mod view;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::chat::batch::{Batch, Publisher};
use super::chat::effects::{Effect, Effects};
use super::chat::id::SessionId;
use super::chat::log::{Log, Opened, STOPS};
use super::chat::replay::{PageRequest, Start};
use super::chat::room::Room;
use super::chat::rooms::Rooms;
use super::config::Keep;
use super::outlet::Outlet;
use crate::system::rate_limited::Warning;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::Stamp;
use desk::{Desk, Entry, Open, Taken};
pub(crate) use error::HistoryError;
use error::UNREADABLE;
use reader::{Job, Reader};
use store::{Failure, Store};
use upkeep::Upkeep;

/// How long to wait for one who has locked the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two attempts to find out what became of a commit.
const RETRY: Duration = Duration::from_millis(200);

/// Transactions in a row that a worker commits, so that its own clients do not wait for long.
const ROUNDS: usize = 2;

/// The history that a server keeps.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    desk: Desk,
    jobs: mpsc::Sender<Job>,
    /// The other end, until the reader has it.
    wanted: Mutex<Option<mpsc::Receiver<Job>>>,
    outlet: OnceLock<Arc<Outlet>>,
    keep: Keep,
    failures: Mutex<Warning>,
}

impl History {
    /// Opens the history at `path`, or begins one; `synced` says that what is answered survives also
    /// the end of the whole system.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]: what was there is as it was.
    pub(crate) fn open(path: &Path, synced: bool, keep: Keep) -> Result<Self, HistoryError> {
        let store = Store::open(path, synced)?;
        let (jobs, wanted) = mpsc::channel();
        Ok(History {
            path: path.to_owned(),
            desk: Desk::new(store),
            jobs,
            wanted: Mutex::new(Some(wanted)),
            outlet: OnceLock::new(),
            keep,
            failures: Mutex::default(),
        })
    }

    /// Starts its threads, which say what they have to say to `outlet`.
    ///
    /// # Errors
    ///
    /// If they are not to be had, or the file cannot be opened again: as an I/O error.
    pub(crate) fn start(self: &Arc<Self>, outlet: Outlet) -> io::Result<()> {
        let outlet = Arc::new(outlet);
        if let Some(store) = self.desk.take_store() {
            outlet.epoch.store(store.epoch(), Ordering::SeqCst);
        }
        info!("what is said is kept in {}", self.path.display());
        let _ = self.outlet.set(Arc::clone(&outlet));
        let reader = Reader::new(&self.path, outlet).map_err(io::Error::other)?;
        let upkeep = Upkeep::new(&self.path, self.keep).map_err(io::Error::other)?;
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map(drop)
        };
        if let Some(wanted) = wanted {
            start("history reader", Box::new(move || reader.run(&wanted)))?;
        }
        let history = Arc::clone(self);
        start("history writer", Box::new(move || history.write()))?;
        let history = Arc::clone(self);
        start("history upkeep", Box::new(move || upkeep.run(&history.desk)))
    }

    /// Commits what the workers do not.
    fn write(&self) {
        let Some(outlet) = self.outlet.get() else { return };
        let (effects, wanted) = Effects::new();
        while let Some(mut store) = self.desk.wait_for_work() {
            let (tally, budget) = (&*outlet.tally, &outlet.budget);
            let mut publisher = Publisher { here: None, effects: &effects, tally, budget };
            let outcome = match self.desk.take_failed() {
                Some(failed) => Err(failed),
                None => self.commit(&mut store, self.desk.next(), PATIENCE, &mut publisher),
            };
            store.is_well = outcome.is_ok();
            if let Err((failure, mut entries)) = outcome {
                if matches!(failure, Failure::Busy) {
                    // Whoever else waits has waited as long.
                    entries.extend(self.desk.take_all());
                }
                self.fail(&mut store, failure, entries, &mut publisher);
            }
            wanted.try_iter().for_each(|effect| outlet.carry_out(effect));
        }
    }

    /// Commits what waits, on a worker.
    fn commit_here(&self, mut store: Taken<'_>, publisher: &mut Publisher<'_>) {
        for _ in 0..ROUNDS {
            let entries = self.desk.next();
            if entries.is_empty() {
                break;
            }
            let Err((failure, entries)) =
                self.commit(&mut store, entries, Duration::ZERO, publisher)
            else {
                continue;
            };
            store.is_well = false;
            if matches!(failure, Failure::Busy) {
                return self.desk.put_back(entries);
            }
            return self.desk.put_failed(failure, entries);
        }
    }

    /// Commits these, and says so; gives them back if that fails.
    fn commit(
        &self,
        store: &mut Store,
        entries: Vec<Entry>,
        patience: Duration,
        publisher: &mut Publisher<'_>,
    ) -> Result<(), (Failure, Vec<Entry>)> {
        let (batches, opens) = sort(entries);
        if !batches.is_empty() {
            match store.commit(&batches, patience) {
                Ok(stamps) => publish(batches, &stamps, publisher),
                Err(failure) => {
                    let batches = batches.into_iter().map(Entry::Batch);
                    return Err((
                        failure,
                        batches.chain(opens.into_iter().map(Entry::Open)).collect(),
                    ));
                }
            }
        }
        self.answer(store, opens, publisher.effects);
        Ok(())
    }

    /// Who waits for a room hears that it is known, or is sent on to the reader.
    fn answer(&self, store: &mut Store, opens: Vec<Open>, effects: &Effects) {
        for (room, resume, session) in opens {
            match (learn(store, &room), resume) {
                (Ok(()), Some(resume)) => self.resolve(&room, resume, session),
                (Ok(()), None) => effects.add(Effect::Opened(session, Ok(Start::default()))),
                (Err(error), _) => {
                    self.warn(&error);
                    effects.add(Effect::Opened(session, Err(UNREADABLE.into())));
                }
            }
        }
    }

    fn resolve(&self, room: &Room, resume: Resume, session: SessionId) {
        self.want(Job::Resolve(room.name().clone(), resume, session));
    }

    /// Wants something of the reader. Should that have ended, nobody waits for it.
    fn want(&self, job: Job) {
        let (Err(mpsc::SendError(job)), Some(outlet)) = (self.jobs.send(job), self.outlet.get())
        else {
            return;
        };
        outlet.carry_out(match job {
            Job::Resolve(_, _, session) => Effect::Opened(session, Err(UNREADABLE.into())),
            Job::Page(PageRequest { session, number, .. }) => Effect::Page(session, number, None),
        });
    }

    /// A commit has failed: finds out what became of it, and says so.
    fn fail(
        &self,
        store: &mut Store,
        failure: Failure,
        entries: Vec<Entry>,
        publisher: &mut Publisher<'_>,
    ) {
        let (batches, opens) = sort(entries);
        self.fail_batches(store, failure, batches, publisher);
        // To read may be possible all the same.
        self.answer(store, opens, publisher.effects);
    }

    fn fail_batches(
        &self,
        store: &mut Store,
        failure: Failure,
        batches: Vec<Batch>,
        publisher: &mut Publisher<'_>,
    ) {
        let reason: Arc<str> = match failure {
            Failure::Busy => {
                self.warn(&"another program has locked it");
                "not kept: another program has locked the history".into()
            }
            Failure::Refused(error) => {
                self.warn(&error);
                format!("not kept: {error}").into()
            }
            Failure::Doubtful(error) => {
                self.warn(&error);
                match self.find_out(store, &batches) {
                    Some(stamps) => return publish(batches, &stamps, publisher),
                    None => format!("not kept: {error}").into(),
                }
            }
        };
        for batch in batches {
            batch.refused(Arc::clone(&reason), publisher.effects);
        }
    }

    /// What became of a commit that may or may not be there. Until that can be told, nothing is
    /// answered.
    fn find_out(&self, store: &mut Store, batches: &[Batch]) -> Option<Vec<Stamp>> {
        let stamps = self.insist(|| store.resolve(batches))?;
        if let Some(outlet) = self.outlet.get()
            && outlet.epoch.swap(store.epoch(), Ordering::SeqCst) != store.epoch()
        {
            let unpublished = if stamps.is_some() { batches } else { &[] };
            self.begin_epoch(store, &outlet.rooms, unpublished);
        }
        stamps
    }

    /// Lets all rooms know where they are in the new epoch; what is `unpublished` comes after that.
    fn begin_epoch(&self, store: &mut Store, rooms: &Rooms, unpublished: &[Batch]) {
        for room in rooms.all() {
            let batches = unpublished.iter().filter(|batch| Arc::ptr_eq(batch.room(), &room));
            let texts: u64 = batches.map(Batch::texts).sum();
            let Some(last) = self.insist(|| store.last(room.name())) else { return };
            room.begin_epoch(Position { epoch: store.epoch(), seq: last.saturating_sub(texts) });
        }
    }

    /// Tries it again and again; `None` at the end.
    fn insist<T>(&self, mut attempt: impl FnMut() -> rusqlite::Result<T>) -> Option<T> {
        loop {
            match attempt() {
                Ok(value) => return Some(value),
                Err(error) => self.warn(&error),
            }
            if self.desk.is_closed() {
                return None;
            }
            thread::sleep(RETRY);
        }
    }

    fn warn(&self, error: &dyn std::fmt::Display) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.warn(format_args!("cannot write {}: {error}", self.path.display()));
    }
}

/// Texts, and receivers.
fn sort(entries: Vec<Entry>) -> (Vec<Batch>, Vec<Open>) {
    let (mut batches, mut opens) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Batch(batch) => batches.push(batch),
            Entry::Open(open) => opens.push(open),
        }
    }
    (batches, opens)
}

/// The batches are committed: their rooms and senders hear of it.
fn publish(batches: Vec<Batch>, stamps: &[Stamp], publisher: &mut Publisher<'_>) {
    for (batch, stamp) in batches.into_iter().zip(stamps) {
        batch.ordered(*stamp, publisher);
    }
}

/// Lets a room know how many texts it has. All that is committed is published by then.
fn learn(store: &mut Store, room: &Room) -> rusqlite::Result<()> {
    if room.published().is_none() {
        let seq = store.last(room.name())?;
        room.set_published(Position { epoch: store.epoch(), seq });
    }
    Ok(())
}

impl Log for History {
    fn gives_back(&self) -> bool {
        true
    }

    fn append(&self, batches: Vec<Batch>, publisher: &mut Publisher<'_>) {
        match self.desk.add(batches.into_iter().map(Entry::Batch)) {
            Ok(Some(store)) => self.commit_here(store, publisher),
            Ok(None) => {}
            Err(entries) => {
                for entry in entries {
                    if let Entry::Batch(batch) = entry {
                        batch.refused(STOPS.into(), publisher.effects);
                    }
                }
            }
        }
    }

    fn open(&self, room: &Arc<Room>, resume: Option<Resume>, session: SessionId) -> Opened {
        if room.published().is_none() {
            let entry = || Entry::Open((Arc::clone(room), resume, session));
            let Some(mut store) = self.desk.store_or_add(entry) else {
                return Opened::Later;
            };
            if let Err(error) = learn(&mut store, room) {
                self.warn(&error);
                return Opened::Never(UNREADABLE);
            }
        }
        match resume {
            None => Opened::Now(Start::default()),
            Some(resume) => {
                self.resolve(room, resume, session);
                Opened::Later
            }
        }
    }

    fn page(&self, request: PageRequest) {
        self.want(Job::Page(request));
    }

    fn finish(&self, until: Instant) {
        self.desk.settle(until);
    }

    fn close(&self, until: Instant) {
        let closed = self.desk.close(until).map(|store| store.close());
        if !matches!(closed, Some(Ok(()))) {
            warn!("{} was not closed cleanly", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::store_tests::Scratch;
    use super::*;
    use crate::wire::protocol::Name;

    /// What is committed and not published yet comes as something new.
    #[test]
    fn a_room_begins_an_epoch_before_what_is_still_to_be_published() {
        let scratch = Scratch::new("begins");
        let history = History::open(&scratch.file(), false, Keep::default()).unwrap();
        let mut store = history.desk.take_store().unwrap();
        let rooms = Rooms::default();
        let name = |name: &str| Name::parse(name.as_bytes()).unwrap();
        let [a, b, unknown] =
            ["a", "b", "c"].map(|room| rooms.enter(&name(room), || Room::new(name(room), 0, 1)));
        [&a, &b].iter().for_each(|room| room.set_published(Position { epoch: 1, seq: 9 }));
        let batch = |room: &Arc<Room>, texts| {
            let mut batch = Batch::new(Arc::clone(room), None, 0, Vec::new());
            (0..texts).for_each(|_| batch.add(&[b"delivery:cafe:bob:hi\n"], None));
            batch
        };
        store.commit(&[batch(&a, 5), batch(&b, 5)], Duration::ZERO).unwrap();
        let unpublished = [batch(&a, 2), batch(&b, 1), batch(&a, 1)];
        store.commit(&unpublished, Duration::ZERO).unwrap();
        history.begin_epoch(&mut store, &rooms, &unpublished);
        let epoch = store.epoch();
        assert_eq!(a.published(), Some(Position { epoch, seq: 5 }));
        assert_eq!(b.published(), Some(Position { epoch, seq: 5 }));
        assert_eq!(unknown.published(), None);
    }
}
