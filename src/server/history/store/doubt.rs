//! What became of a commit that has failed: the file says so.

use log::warn;

use super::{Store, checkpoint, connect_to_write, last, new_epoch, set_synchronous};
use crate::server::chat::batch::Batch;
use crate::wire::position::Position;
use crate::wire::protocol::Stamp;

impl Store {
    /// Opens the database once more after a commit that failed: returns its stamps if it is there
    /// all the same. If something is not there that was, begins a new epoch.
    ///
    /// # Errors
    ///
    /// What SQLite says: it cannot be told yet.
    pub(crate) fn resolve(&mut self, batches: &[Batch]) -> rusqlite::Result<Option<Vec<Stamp>>> {
        self.connection = connect_to_write(&self.path, self.synced)?;
        let (mut now, mut is_whole) = (self.last.clone(), true);
        for (room, known) in &mut now {
            let there = last(&self.connection, room)?;
            is_whole &= there >= *known;
            *known = there;
        }
        // All of it is there, or nothing.
        let is_there = match (batches.last(), self.doubt.as_ref().and_then(|it| it.stamps.last())) {
            (Some(batch), Some(stamp)) => {
                let seq = stamp.position.seq + batch.texts() - 1;
                last(&self.connection, batch.room().name())? >= seq
            }
            _ => false,
        };
        if is_there {
            self.make_sure()?;
        } else if self.doubt.as_ref().is_some_and(|doubt| doubt.is_written) {
            self.write_over()?;
        }
        if !is_whole {
            let transaction = self.connection.transaction()?;
            let epoch = new_epoch(&transaction, self.epoch)?;
            transaction.execute("UPDATE state SET epoch = ?1", [epoch as i64])?;
            transaction.commit()?;
            self.epoch = epoch;
            warn!("texts are lost, so positions begin a new epoch, {}", self.epoch);
        }
        self.last = now;
        let doubt = self.doubt.take().filter(|_| is_there);
        Ok(doubt.map(|doubt| {
            let at = |it: Stamp| Position { epoch: self.epoch, ..it.position };
            doubt.stamps.into_iter().map(|it| Stamp { position: at(it), ..it }).collect()
        }))
    }

    /// A commit is there although it has failed. If commits are synced, it has to be on the disk.
    fn make_sure(&self) -> rusqlite::Result<()> {
        if !self.synced {
            return Ok(());
        }
        // A sync that has failed is not tried again: what it was for is written into the database.
        checkpoint(&self.connection, "FULL")
    }

    /// Writes over what a commit that is not there may have written ahead, with one that changes
    /// nothing: whoever opens the file after the end of this process finds that. It need not be on the
    /// disk: if that does not work, nothing is answered any more.
    fn write_over(&mut self) -> rusqlite::Result<()> {
        set_synchronous(&self.connection, false)?;
        let transaction = self.connection.transaction()?;
        // What is as it was is not written, but for this.
        (0..2).try_for_each(|_| {
            transaction.execute("UPDATE state SET clean = NOT clean", []).map(drop)
        })?;
        transaction.commit()?;
        set_synchronous(&self.connection, self.synced)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_int;
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use rusqlite::Connection;
    use rusqlite::ffi::{self, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};

    use super::*;
    use crate::server::history::file::beside;
    use crate::server::history::store_tests::{Scratch, batch};

    /// What the index of the log of changes begins with: up to where the log is part of the database,
    /// twice.
    const HEADERS: usize = 96;

    fn fails(store: &mut Store, batches: &[Batch], stamps: Vec<Stamp>, why: c_int) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(why), None);
        store.undo(batches, stamps, error);
    }

    /// What whoever opens a copy of these files finds, which are named as the file with these ends.
    fn last_in_a_copy(file: &Path, ends: &[&str]) -> i64 {
        let copy: PathBuf = beside(file, ".copy");
        for end in ends {
            fs::copy(beside(file, end), beside(&copy, end)).unwrap();
        }
        let connection = Connection::open(&copy).unwrap();
        let sql = "SELECT last FROM rooms WHERE room = 'a'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The kernel has not synced what SQLite has written: it is there, and no part of the database.
    #[test]
    fn what_a_failed_sync_leaves_does_not_come_back() {
        let scratch = Scratch::new("sync");
        let mut store = Store::open(&scratch.file(), true).unwrap();
        store.commit(&[batch("a", 2)], Duration::ZERO).unwrap();
        let index = OpenOptions::new().read(true).write(true).open(beside(&scratch.file(), "-shm"));
        let (index, mut before) = (index.unwrap(), [0; HEADERS]);
        index.read_exact_at(&mut before, 0).unwrap();
        let batches = [batch("a", 3)];
        let stamps = store.commit(&batches, Duration::ZERO).unwrap();
        index.write_all_at(&before, 0).unwrap();
        fails(&mut store, &batches, stamps, SQLITE_IOERR_FSYNC);
        assert_eq!(last_in_a_copy(&scratch.file(), &["", "-wal"]), 5, "there is nothing to fear");
        assert_eq!(store.resolve(&batches).unwrap(), None);
        assert_eq!(last_in_a_copy(&scratch.file(), &["", "-wal"]), 2);
        let stamps = store.commit(&batches, Duration::ZERO).unwrap();
        assert_eq!(stamps[0].position.seq, 3);
        assert_eq!(store.synchronous(), 2);
    }

    /// As long as nothing can be written, nothing could be answered.
    #[test]
    fn what_could_not_be_written_need_not_be_written_over() {
        for (why, can_be_told) in [(SQLITE_IOERR_WRITE, true), (SQLITE_IOERR_FSYNC, false)] {
            let scratch = Scratch::new(&format!("write-{why}"));
            let mut store = Store::open(&scratch.file(), false).unwrap();
            let stamps = store.number(&[batch("a", 2)]).unwrap();
            fails(&mut store, &[batch("a", 2)], stamps, why);
            let other = Connection::open(scratch.file()).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            assert_eq!(store.resolve(&[batch("a", 2)]).is_ok(), can_be_told, "{why}");
        }
    }

    #[test]
    fn what_is_there_although_its_sync_has_failed_is_on_the_disk_before_it_is_answered() {
        let scratch = Scratch::new("unsynced");
        let mut store = Store::open(&scratch.file(), true).unwrap();
        let batches = [batch("a", 3)];
        let stamps = store.commit(&batches, Duration::ZERO).unwrap();
        fails(&mut store, &batches, stamps.clone(), SQLITE_IOERR_FSYNC);
        assert_eq!(store.resolve(&batches).unwrap(), Some(stamps));
        assert_eq!(last_in_a_copy(&scratch.file(), &[""]), 3);
    }

    #[test]
    fn what_is_there_bears_the_epoch_that_it_is_in() {
        let scratch = Scratch::new("epoch");
        let mut store = Store::open(&scratch.file(), false).unwrap();
        store.commit(&[batch("b", 5)], Duration::ZERO).unwrap();
        let batches = [batch("a", 3)];
        let stamps = store.commit(&batches, Duration::ZERO).unwrap();
        fails(&mut store, &batches, stamps.clone(), SQLITE_IOERR_FSYNC);
        let other = Connection::open(scratch.file()).unwrap();
        other.execute_batch("UPDATE rooms SET last = 4 WHERE room = 'b'").unwrap();
        let found = store.resolve(&batches).unwrap().unwrap();
        assert_eq!(found[0].position, Position { epoch: store.epoch(), ..stamps[0].position });
        assert!(found[0].position.epoch > stamps[0].position.epoch);
    }
}
