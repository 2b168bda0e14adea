//! The database of a history: its tables, and the one connection that writes to it.
//!
//! Gives texts their numbers, from a table of the last of each room and never from the texts that are
//! there. What is answered with a number is committed.

mod doubt;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::warn;
use rusqlite::config::DbConfig;
use rusqlite::ffi::{SQLITE_BUSY, SQLITE_IOERR_WRITE};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, ffi, params};

use super::error::HistoryError;
use super::file::{self, APPLICATION_ID, Claim, VERSION};
use crate::server::chat::batch::Batch;
use crate::wire::position::Position;
use crate::wire::protocol::{Name, Reply, Stamp};

/// Rooms whose last numbers are kept in memory.
const ROOMS: usize = 10_000;

/// Pages that a batch changes, beside those that its texts fill.
const PAGES_EACH: usize = 2;

/// Bytes of texts that fill a page, about.
const BYTES_A_PAGE: usize = 1024;

/// Texts on a page, about, where it is not known how long they are.
const TEXTS_A_PAGE: usize = 2;

/// How long the end waits for others who read.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Pages that may be written ahead before they are to go into the database. The more, the fewer of the
/// texts come while that goes on.
const MANY: usize = 16_000;

/// The same where each commit is synced: that takes longer as long as the file grows, and not once it is
/// begun again from its front.
const MANY_SYNCED: usize = 1_000;

/// Bytes of a page. Each room in a transaction changes a page of its own, and pages are written
/// whole.
const PAGE: i64 = 2048;

/// A file that is there, for one thread at a time.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The tables.
const SCHEMA: &str = "
    CREATE TABLE texts (
        room TEXT NOT NULL,
        seq INTEGER NOT NULL,
        time INTEGER NOT NULL,
        sender TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (room, seq)
    ) WITHOUT ROWID;
    CREATE TABLE rooms (room TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE ends (
        epoch INTEGER NOT NULL,
        room TEXT NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (epoch, room)
    ) WITHOUT ROWID;
    CREATE TABLE epochs (epoch INTEGER PRIMARY KEY);
    CREATE TABLE state (
        epoch INTEGER NOT NULL,
        clean INTEGER NOT NULL,
        synced INTEGER NOT NULL,
        boot TEXT NOT NULL
    );";

/// The database, for the one who writes.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    connection: Connection,
    /// Every commit is on the disk before it is answered.
    synced: bool,
    epoch: u64,
    /// The numbers of the last texts of rooms.
    last: HashMap<Name, u64>,
    /// How long the last commits took.
    pace: Duration,
    /// About how many pages have been written ahead since that was last asked for.
    changes: usize,
    /// A commit has failed, and it is not known whether it is there.
    doubt: Option<Doubt>,
    _claim: Claim,
}

/// A commit that may be there.
#[derive(Debug)]
struct Doubt {
    /// The stamps that it gave.
    stamps: Vec<Stamp>,
    /// All of it may have been written ahead, where whoever opens the file next would find it: it was
    /// not the writing that failed.
    is_written: bool,
}

/// Why a commit is not there.
#[derive(Debug)]
pub(super) enum Failure {
    /// Somebody else has locked the database.
    Busy,
    /// There is no place left, or the like: it is as if nothing had been tried.
    Refused(rusqlite::Error),
    /// It may be there: [`Store::resolve`] says so.
    Doubtful(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Busy,
            Some(ErrorCode::DiskFull) => Failure::Refused(error),
            _ => Failure::Doubtful(error),
        }
    }
}

impl Store {
    /// Opens the history at `path`, or makes one.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; what was there is as it was.
    pub(super) fn open(path: &Path, synced: bool) -> Result<Self, HistoryError> {
        let path = &file::real(path)?;
        let mut claim = Claim::new(path)?;
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                HistoryError::Damaged { path: path.to_owned() }
            }
            _ => HistoryError::Database { path: path.to_owned(), source },
        };
        if claim.is_new {
            let new = file::beside(path, file::NEW);
            let io = |source| HistoryError::Open { path: new.clone(), source };
            file::make(&new).map_err(io)?;
            create(&new).map_err(failed)?;
            std::fs::rename(&new, path).map_err(io)?;
        }
        claim.lock_database(path)?;
        if claim.is_short && !is_sound(path).map_err(failed)? {
            return Err(HistoryError::Damaged { path: path.to_owned() });
        }
        let connection = connect_to_write(path, synced).map_err(failed)?;
        let mut store = Store {
            path: path.to_owned(),
            connection,
            synced,
            epoch: 0,
            last: HashMap::new(),
            pace: Duration::ZERO,
            changes: 0,
            doubt: None,
            _claim: claim,
        };
        store.begin().map_err(failed)?;
        Ok(store)
    }

    /// The epoch of all that is committed from now on.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How long commits take.
    pub(super) fn pace(&self) -> Duration {
        self.pace
    }

    /// So many pages have been written ahead that they are to go into the database.
    pub(super) fn has_many_changes(&self) -> bool {
        self.changes >= if self.synced { MANY_SYNCED } else { MANY }
    }

    /// About how many pages have been written ahead, and not into the database.
    #[cfg(test)]
    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// What has been written ahead is in the database.
    pub(super) fn forget_changes(&mut self) {
        self.changes = 0;
    }

    /// Finds out in which epoch this is, and notes that the history is in use.
    fn begin(&mut self) -> rusqlite::Result<()> {
        let boot = boot_id();
        // It has to be on the disk before anything is answered.
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = self.connection.transaction()?;
        let sql = "SELECT epoch, clean OR synced OR (boot = ?1 AND boot <> '') FROM state";
        let (epoch, is_whole): (i64, bool) =
            transaction.query_row(sql, [&boot], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.epoch = number(epoch);
        if !is_whole {
            self.epoch = new_epoch(&transaction, self.epoch)?;
            warn!(
                "the system has stopped since: texts may be lost, so positions begin a new epoch, {}",
                self.epoch
            );
        }
        let sql = "UPDATE state SET epoch = ?1, clean = 0, synced = ?2, boot = ?3";
        transaction.execute(sql, params![self.epoch as i64, self.synced, boot])?;
        transaction.commit()?;
        set_synchronous(&self.connection, self.synced)
    }

    /// The number of a room's last text; 0 if it has none.
    pub(super) fn last(&mut self, room: &Name) -> rusqlite::Result<u64> {
        if let Some(last) = self.last.get(room) {
            return Ok(*last);
        }
        let last = last(&self.connection, room)?;
        // Who only joins rooms takes no more memory with each.
        if self.last.len() < ROOMS {
            self.last.insert(room.clone(), last);
        }
        Ok(last)
    }

    /// Commits all of them at once, and waits so long if somebody else has locked the database.
    /// Returns the stamp of the first text of each.
    pub(super) fn commit(
        &mut self,
        batches: &[Batch],
        patience: Duration,
    ) -> Result<Vec<Stamp>, Failure> {
        let begun = Instant::now();
        self.doubt = None;
        self.connection.busy_timeout(patience)?;
        let stamps = self.number(batches)?;
        let committed = self.insert(batches, &stamps);
        self.pace = (self.pace * 7 + begun.elapsed()) / 8;
        self.changes += PAGES_EACH * batches.len();
        self.changes += batches.iter().map(Batch::bytes).sum::<usize>() / BYTES_A_PAGE;
        match committed {
            Ok(()) => Ok(stamps),
            Err(error) => Err(self.undo(batches, stamps, error)),
        }
    }

    /// A commit has failed: its numbers are those of the next one.
    fn undo(&mut self, batches: &[Batch], stamps: Vec<Stamp>, error: rusqlite::Error) -> Failure {
        if !self.connection.is_autocommit() {
            // What fails here is over without it.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        for (batch, stamp) in batches.iter().zip(&stamps).rev() {
            self.last.insert(batch.room().name().clone(), stamp.position.seq - 1);
        }
        let is_written =
            error.sqlite_error().is_none_or(|it| it.extended_code != SQLITE_IOERR_WRITE);
        let failure = Failure::from(error);
        if let Failure::Doubtful(_) = failure {
            self.doubt = Some(Doubt { stamps, is_written });
        }
        failure
    }

    /// Gives the first text of each batch its stamp.
    fn number(&mut self, batches: &[Batch]) -> rusqlite::Result<Vec<Stamp>> {
        if self.last.len() >= ROOMS {
            self.last.clear();
        }
        // Whatever fails does so before there are any numbers.
        for room in batches.iter().map(|batch| batch.room().name()) {
            if !self.last.contains_key(room) {
                self.last.insert(room.clone(), last(&self.connection, room)?);
            }
        }
        let (epoch, time) = (self.epoch, now().as_millis() as u64);
        let stamp = |batch: &Batch| {
            let last = self.last.entry(batch.room().name().clone()).or_default();
            let position = Position { epoch, seq: *last + 1 };
            *last += batch.texts();
            Stamp { position, time }
        };
        Ok(batches.iter().map(stamp).collect())
    }

    fn insert(&mut self, batches: &[Batch], stamps: &[Stamp]) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let sql = "INSERT INTO texts (room, seq, time, sender, text) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = self.connection.prepare_cached(sql)?;
        let sql = "INSERT OR REPLACE INTO rooms (room, last) VALUES (?1, ?2)";
        let mut set_last = self.connection.prepare_cached(sql)?;
        for (batch, stamp) in batches.iter().zip(stamps) {
            let room = batch.room().name().as_str();
            let mut seq = stamp.position.seq;
            for line in batch.lines().split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let Ok(Reply::Delivery(delivery)) = Reply::parse(line) else {
                    continue;
                };
                let sender = String::from_utf8_lossy(delivery.sender);
                let time = stamp.time as i64;
                // What is no UTF-8 is kept all the same, byte for byte.
                match std::str::from_utf8(delivery.text) {
                    Ok(text) => insert.execute(params![room, seq as i64, time, sender, text])?,
                    Err(_) => {
                        insert.execute(params![room, seq as i64, time, sender, delivery.text])?
                    }
                };
                seq += 1;
            }
            set_last.execute(params![room, (seq - 1) as i64])?;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Rooms whose last numbers are kept in memory, and how many of them there may be.
    #[cfg(test)]
    pub(super) fn rooms_in_memory(&self) -> (usize, usize) {
        (self.last.len(), ROOMS)
    }

    /// How synced commits are: 1 is NORMAL, 2 is FULL.
    #[cfg(test)]
    pub(super) fn synchronous(&self) -> i64 {
        self.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap_or(-1)
    }

    /// Removes up to `most` texts of a room up to that number, from the front.
    pub(super) fn trim(&mut self, room: &str, up_to: u64, most: u64) -> rusqlite::Result<usize> {
        self.connection.busy_timeout(Duration::ZERO)?;
        let sql = "DELETE FROM texts WHERE room = ?1 AND seq <= ?2 AND seq < ?3 + \
                   (SELECT min(seq) FROM texts WHERE room = ?1)";
        let mut delete = self.connection.prepare_cached(sql)?;
        let trimmed = delete.execute(params![room, up_to as i64, most as i64])?;
        self.changes += PAGES_EACH + trimmed / TEXTS_A_PAGE;
        Ok(trimmed)
    }

    /// The end: nothing is missing, and nothing is left beside the file.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(LAST_PATIENCE)?;
        self.connection.execute("UPDATE state SET clean = 1", [])?;
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        checkpoint(&self.connection, "TRUNCATE")
    }
}

/// Changes that are written ahead make up for what the file itself does not have.
fn is_sound(path: &Path) -> rusqlite::Result<bool> {
    let connection = connect_to_read(path)?;
    let sql = "PRAGMA quick_check(1)";
    connection.query_row(sql, [], |row| Ok(row.get_ref(0)?.as_bytes() == Ok(b"ok")))
}

/// Makes an empty history. Its file is not in use for writing ahead yet, so that its header says from
/// the start what it is.
fn create(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open_with_flags(path, FLAGS)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.execute_batch(SCHEMA)?;
    let epoch = now().as_micros() as i64;
    let sql = "INSERT INTO state (epoch, clean, synced, boot) VALUES (?1, 1, 0, '')";
    transaction.execute(sql, [epoch])?;
    transaction.commit()
}

fn connect_to_write(path: &Path, synced: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, FLAGS)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    // Before anything is changed.
    for table in ["texts", "rooms", "ends", "epochs", "state"] {
        connection.prepare(&format!("SELECT * FROM {table} LIMIT 1"))?.exists([])?;
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    set_synchronous(&connection, synced)?;
    // Somebody else sees to that.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

fn set_synchronous(connection: &Connection, synced: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", if synced { "FULL" } else { "NORMAL" })
}

/// A connection that reads.
pub(super) fn connect_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, FLAGS)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    Ok(connection)
}

fn last(connection: &Connection, room: &Name) -> rusqlite::Result<u64> {
    let mut select = connection.prepare_cached("SELECT last FROM rooms WHERE room = ?1")?;
    let last: Option<i64> = select.query_row([room.as_str()], |row| row.get(0)).optional()?;
    Ok(last.map_or(0, number))
}

/// Writes all that is written ahead into the database; an error, too, if somebody is in the way, which
/// SQLite says in a row.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    if connection.query_row(&sql, [], |row| row.get(0))? {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(SQLITE_BUSY), None));
    }
    Ok(())
}

/// Notes where the old epoch has ended; returns the new one, which is more.
fn new_epoch(connection: &Connection, old: u64) -> rusqlite::Result<u64> {
    connection.execute("INSERT OR REPLACE INTO epochs (epoch) VALUES (?1)", [old as i64])?;
    let sql = "INSERT OR REPLACE INTO ends (epoch, room, last) SELECT ?1, room, last FROM rooms";
    connection.execute(sql, [old as i64])?;
    // What is lost now may have survived before.
    let sql = "UPDATE ends SET last = min(last, coalesce((SELECT rooms.last FROM rooms \
               WHERE rooms.room = ends.room), 0))";
    connection.execute(sql, [])?;
    Ok((now().as_micros() as u64).max(old + 1))
}

/// A number that is kept. One below zero was put there by hand.
pub(super) fn number(kept: i64) -> u64 {
    kept.max(0) as u64
}

/// Since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Another one each time that the system starts.
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
