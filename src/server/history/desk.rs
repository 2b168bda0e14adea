//! What waits to be committed, and the store, which is taken out by the one who commits.
//!
//! Whoever has the store commits and publishes, one batch after the other; so the order of numbers is
//! the order in which a room hears them. Nobody holds the lock meanwhile.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::store::{Failure, Store};
use crate::server::chat::batch::Batch;
use crate::server::chat::id::SessionId;
use crate::server::chat::room::Room;
use crate::wire::position::Resume;

/// Bytes of lines that one transaction is for, so that none takes long.
const TRANSACTION: usize = 1024 * 1024;

/// A worker commits by itself as long as that takes no longer.
const SHORT: Duration = Duration::from_millis(1);

/// A receiver that waits until it is known how many texts its room has.
pub(super) type Open = (Arc<Room>, Option<Resume>, SessionId);

/// Something that waits for the store.
#[derive(Debug)]
pub(super) enum Entry {
    /// Texts.
    Batch(Batch),
    /// A receiver.
    Open(Open),
}

/// What waits, and the store.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// There is something to commit, and the store is there.
    work: Condvar,
    /// Somebody waits for the store, which is there, or until nothing waits any more.
    free: Condvar,
    /// It is time to write changes into the database.
    due: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Entry>,
    store: Option<Box<Store>>,
    /// Only the thread that is there for it may commit: somebody has locked the database, or something
    /// has failed.
    is_troubled: bool,
    is_closed: bool,
    /// A commit of a worker that has failed, and what it was of.
    failed: Option<(Failure, Vec<Entry>)>,
    /// Those who wait for the store, or until nothing waits any more.
    waiters: usize,
    /// Those among them who wait for the store: they come first, but not twice in a row.
    takers: usize,
    /// The last who had the store is one of them.
    was_taker: bool,
}

/// The store, which is given back when this is dropped, for whatever reason.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    desk: &'a Desk,
    store: Option<Box<Store>>,
    /// The last commit has succeeded.
    pub is_well: bool,
}

impl Deref for Taken<'_> {
    type Target = Store;

    #[expect(clippy::expect_used, reason = "it is taken out only when this is dropped")]
    fn deref(&self) -> &Store {
        self.store.as_ref().expect("it is there")
    }
}

impl DerefMut for Taken<'_> {
    #[expect(clippy::expect_used, reason = "it is taken out only when this is dropped")]
    fn deref_mut(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is there")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            self.desk.give_back(store, self.is_well && !thread::panicking());
        }
    }
}

impl State {
    /// There is something to commit, or to find out about.
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.failed.is_some()
    }

    /// It is the turn of the thread that commits.
    fn is_writers_turn(&self) -> bool {
        self.has_work() && (self.takers == 0 || self.was_taker || self.failed.is_some())
    }

    /// Takes the store out, if it is there.
    fn take(&mut self, is_taker: bool) -> Option<Box<Store>> {
        let store = self.store.take()?;
        self.was_taker = is_taker;
        Some(store)
    }
}

impl Desk {
    pub(super) fn new(store: Store) -> Self {
        let store = Some(Box::new(store));
        let state = State {
            waiting: VecDeque::new(),
            store,
            is_troubled: false,
            is_closed: false,
            failed: None,
            waiters: 0,
            takers: 0,
            was_taker: false,
        };
        Desk {
            state: Mutex::new(state),
            work: Condvar::new(),
            free: Condvar::new(),
            due: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread that commits if it has something to do. To wake one costs more than a commit.
    fn wake_writer(&self, state: &State) {
        if state.is_writers_turn() && state.store.is_some() {
            self.work.notify_one();
        }
    }

    fn taken(&self, store: Box<Store>) -> Taken<'_> {
        Taken { desk: self, store: Some(store), is_well: true }
    }

    /// Adds entries; gives the store out if the caller may commit them itself. After the end, gives
    /// the entries back.
    pub(super) fn add(
        &self,
        entries: impl Iterator<Item = Entry>,
    ) -> Result<Option<Taken<'_>>, Vec<Entry>> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(entries.collect());
        }
        state.waiting.extend(entries);
        let may = !state.is_troubled
            && state.waiters == 0
            && state.store.as_ref().is_some_and(|store| store.pace() < SHORT);
        let store = if may { state.take(false) } else { None };
        self.wake_writer(&state);
        Ok(store.map(|store| self.taken(store)))
    }

    /// Gives the store out if nothing waits for it; else adds an entry.
    pub(super) fn store_or_add(&self, entry: impl FnOnce() -> Entry) -> Option<Taken<'_>> {
        let mut state = self.lock();
        if !state.has_work()
            && !state.is_troubled
            && state.takers == 0
            && let Some(store) = state.take(false)
        {
            return Some(self.taken(store));
        }
        if !state.is_closed {
            state.waiting.push_back(entry());
            self.wake_writer(&state);
        }
        None
    }

    /// The next entries that are for one transaction.
    pub(super) fn next(&self) -> Vec<Entry> {
        let mut state = self.lock();
        let mut bytes = 0;
        let is_one_more = |entry: &&Entry| {
            let fits = bytes < TRANSACTION;
            if let Entry::Batch(batch) = *entry {
                bytes += batch.bytes();
            }
            fits
        };
        let count = state.waiting.iter().take_while(is_one_more).count();
        state.waiting.drain(..count).collect()
    }

    /// All that waits.
    pub(super) fn take_all(&self) -> VecDeque<Entry> {
        mem::take(&mut self.lock().waiting)
    }

    /// These have to wait on, and only the thread that is there for it may commit them.
    pub(super) fn put_back(&self, entries: Vec<Entry>) {
        let mut state = self.lock();
        state.is_troubled = true;
        entries.into_iter().rev().for_each(|entry| state.waiting.push_front(entry));
    }

    /// The commit of these has failed: for the thread that is there for it to find out what came of
    /// that, before anything else is committed.
    pub(super) fn put_failed(&self, failure: Failure, entries: Vec<Entry>) {
        let mut state = self.lock();
        state.is_troubled = true;
        state.failed = Some((failure, entries));
    }

    /// What [`Desk::put_failed`] was told of.
    pub(super) fn take_failed(&self) -> Option<(Failure, Vec<Entry>)> {
        self.lock().failed.take()
    }

    /// Takes the store as soon as it is there, and what has waited while it was taken last is
    /// committed; `None` at the end.
    pub(super) fn take_store(&self) -> Option<Taken<'_>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if !(state.failed.is_some() || state.was_taker && state.has_work())
                && let Some(store) = state.take(true)
            {
                return Some(self.taken(store));
            }
            state.waiters += 1;
            state.takers += 1;
            state = self.free.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiters -= 1;
            state.takers -= 1;
        }
    }

    /// Waits until something has to be committed and the store is there; `None` at the end.
    pub(super) fn wait_for_work(&self) -> Option<Taken<'_>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if state.is_writers_turn()
                && let Some(store) = state.take(false)
            {
                return Some(self.taken(store));
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the store back; `is_well` says that the last commit has succeeded.
    fn give_back(&self, store: Box<Store>, is_well: bool) {
        let mut state = self.lock();
        if store.has_many_changes() {
            self.due.notify_one();
        }
        state.store = Some(store);
        state.is_troubled &= !is_well;
        if state.waiters > 0 {
            self.free.notify_all();
        }
        self.wake_writer(&state);
    }

    /// Waits until nothing waits any more.
    pub(super) fn settle(&self, until: Instant) {
        let mut state = self.lock();
        while !(state.is_closed || !state.has_work() && state.store.is_some()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state.waiters += 1;
            let waited = self.free.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiters -= 1;
        }
    }

    /// Sleeps for so long, or until there are many changes; `false` at the end.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let is_due = state.store.as_ref().is_some_and(|store| store.has_many_changes());
            if left.is_zero() || is_due || state.is_closed {
                return !state.is_closed;
            }
            let waited = self.due.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// It is the end.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The end: takes the store, if it is there in time.
    pub(super) fn close(&self, until: Instant) -> Option<Box<Store>> {
        self.settle(until);
        let mut state = self.lock();
        state.is_closed = true;
        [&self.work, &self.free, &self.due].iter().for_each(|waits| waits.notify_all());
        state.store.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::history::store_tests::{Scratch, batch};

    #[test]
    fn who_takes_the_store_again_and_again_lets_others_commit_in_between() {
        let scratch = Scratch::new("turns");
        let desk = Desk::new(scratch.store());
        let taken = desk.take_store().unwrap();
        assert!(desk.add([Entry::Batch(batch("a", 1))].into_iter()).unwrap().is_none());
        drop(taken);
        thread::scope(|scope| {
            let again = scope.spawn(|| desk.take_store().is_some());
            while desk.lock().takers == 0 {
                assert!(!again.is_finished(), "it comes first once more");
                thread::yield_now();
            }
            let store = desk.wait_for_work().unwrap();
            assert_eq!(desk.next().len(), 1);
            // Now others have to wait.
            assert!(desk.add([Entry::Batch(batch("a", 1))].into_iter()).unwrap().is_none());
            drop(store);
            assert!(again.join().unwrap());
        });
        assert!(desk.wait_for_work().is_some());
    }
}
