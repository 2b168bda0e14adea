//! What a history needs now and then: old texts go, and what is written ahead goes into the database
//! itself.

use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::params;

use super::desk::Desk;
use super::error::HistoryError;
use super::store::{now, number};
use super::view::View;
use crate::server::config::Keep;
use crate::system::rate_limited::Warning;

/// How often to look.
const PAUSE: Duration = Duration::from_secs(1);

/// How often to look for old texts.
const TRIM: Duration = Duration::from_secs(10);

/// Texts that go in one step.
const STEP: u64 = 500;

/// How long to wait for those who read, while nobody can say anything.
const PATIENCE: Duration = Duration::from_millis(20);

/// Pages written ahead that are too many.
const TOO_MANY: i64 = 32_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sees to a history now and then.
#[derive(Debug)]
pub(super) struct Upkeep {
    view: View,
    keep: Keep,
    trimmed: Option<Instant>,
    /// The last time, changes could not be cut off.
    is_stuck: bool,
    readers: Warning,
    failures: Warning,
}

impl Upkeep {
    /// For the history at `path`.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Database`] if it cannot be opened.
    pub(super) fn new(path: &Path, keep: Keep) -> Result<Self, HistoryError> {
        let (view, readers, failures) = (View::open(path)?, Warning::default(), Warning::default());
        Ok(Upkeep { view, keep, trimmed: None, is_stuck: false, readers, failures })
    }

    /// Sees to it until the end.
    pub(super) fn run(mut self, desk: &Desk) {
        while desk.sleep(PAUSE) {
            let done = self.checkpoint(desk).and_then(|()| self.trim(desk));
            if let Err(error) = done {
                self.failures.warn(format_args!("cannot keep the history in order: {error}"));
            }
        }
    }

    /// Writes what is written ahead into the database: most of it while others write, the rest while
    /// nobody does, so that the next change begins at the front.
    fn checkpoint(&mut self, desk: &Desk) -> rusqlite::Result<()> {
        let begun = self.checkpoint_once("PASSIVE");
        let Some(mut store) = desk.take_store() else {
            return Ok(());
        };
        // The history's own reader is at it again and again, but never for long.
        let done = begun.and_then(|_| self.checkpoint_once("RESTART"));
        // Also if that has failed: it is tried again after a pause, and not at once.
        store.forget_changes();
        drop(store);
        let (is_blocked, pages) = done?;
        let was_stuck = mem::replace(&mut self.is_stuck, is_blocked && pages > TOO_MANY);
        if was_stuck && self.is_stuck {
            self.readers.warn(format_args!(
                "another program reads the history and does not end: {pages} pages of changes \
                 cannot be cut off"
            ));
        }
        Ok(())
    }

    /// Whether somebody who reads is in the way, and how many pages were written ahead.
    fn checkpoint_once(&mut self, mode: &str) -> rusqlite::Result<(bool, i64)> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        self.view.read(|it| {
            it.busy_timeout(PATIENCE)?;
            it.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }

    /// Lets old texts go.
    fn trim(&mut self, desk: &Desk) -> rusqlite::Result<()> {
        let is_due = self.trimmed.is_none_or(|trimmed| trimmed.elapsed() >= TRIM);
        if !is_due || self.keep.texts.is_none() && self.keep.days.is_none() {
            return Ok(());
        }
        self.trimmed = Some(Instant::now());
        for (room, last) in self.rooms()? {
            while let Some(up_to) = self.oldest_to_go(&room, last)? {
                let Some(mut store) = desk.take_store() else {
                    return Ok(());
                };
                let trimmed = store.trim(&room, up_to, STEP);
                store.is_well = trimmed.is_ok();
                let is_due = store.has_many_changes();
                drop(store);
                if trimmed? == 0 {
                    break;
                }
                if is_due {
                    self.checkpoint(desk)?;
                }
            }
        }
        Ok(())
    }

    /// All rooms, with the numbers of their last texts.
    fn rooms(&mut self) -> rusqlite::Result<Vec<(String, u64)>> {
        self.view.read(|connection| {
            let mut rooms = connection.prepare_cached("SELECT room, last FROM rooms")?;
            let rooms = rooms.query_map([], |row| Ok((row.get(0)?, number(row.get(1)?))))?;
            rooms.collect()
        })
    }

    /// Up to where the oldest texts of a room have to go, as far as one step is concerned.
    fn oldest_to_go(&mut self, room: &str, last: u64) -> rusqlite::Result<Option<u64>> {
        let by_number = self.keep.texts.map_or(0, |most| last.saturating_sub(most as u64));
        let by_time =
            self.keep.days.and_then(|days| now().checked_sub(DAY * days.min(100_000) as u32));
        let before = by_time.map_or(0, |time| time.as_millis() as i64);
        let sql = "SELECT seq, time FROM texts WHERE room = ?1 ORDER BY seq LIMIT ?2";
        self.view.read(|connection| {
            let mut oldest = connection.prepare_cached(sql)?;
            let mut rows = oldest.query(params![room, STEP as i64])?;
            let mut up_to = None;
            while let Some(row) = rows.next()? {
                let (seq, time) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)?);
                if seq > by_number && time >= before {
                    break;
                }
                up_to = Some(seq);
            }
            Ok(up_to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::history::file;
    use crate::server::history::store::Store;
    use crate::server::history::store_tests::{Scratch, batch};

    /// As on a full disk, where changes can still be written ahead: else it would be tried again and
    /// again, without a pause.
    #[test]
    fn what_cannot_be_written_into_the_database_is_tried_again_after_a_pause() {
        let scratch = Scratch::new("upkeep");
        let path = scratch.file();
        let mut store = scratch.store();
        store.commit(&[batch("a", 1)], Duration::ZERO).unwrap();
        assert!(store.changes() > 0);
        let desk = Desk::new(store);
        let mut upkeep = Upkeep::new(&path, Keep::default()).unwrap();
        // Within a transaction of its own it cannot, nor where there is no such file.
        upkeep.view.read(|it| it.execute_batch("BEGIN; SELECT * FROM texts")).unwrap();
        std::fs::rename(&path, file::beside(&path, "-elsewhere")).unwrap();
        assert!(upkeep.checkpoint(&desk).is_err());
        assert_eq!(desk.take_store().unwrap().changes(), 0);
    }

    #[test]
    fn what_is_let_go_of_is_written_into_the_database_meanwhile() {
        let scratch = Scratch::new("let-go");
        let mut store = Store::open(&scratch.file(), true).unwrap();
        let texts = 100_000;
        store.commit(&[batch("a", texts)], Duration::ZERO).unwrap();
        let connection = rusqlite::Connection::open(scratch.file()).unwrap();
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        store.forget_changes();
        let desk = Desk::new(store);
        let keep = Keep { texts: Some(1), ..Keep::default() };
        Upkeep::new(&scratch.file(), keep).unwrap().trim(&desk).unwrap();
        let left = connection.query_row("SELECT count(*) FROM texts", [], |row| row.get(0));
        assert_eq!(left, Ok(1));
        let ahead = std::fs::metadata(file::beside(&scratch.file(), "-wal")).unwrap().len();
        assert!(ahead < 1024 * 1024, "{ahead} bytes");
    }
}
