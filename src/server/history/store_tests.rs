//! What a commit that failed leaves, and how synced it is.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::store::{Failure, Store};
use crate::server::chat::batch::Batch;
use crate::server::chat::room::Room;
use crate::server::chat::sync::Arc;
use crate::wire::position::Position;
use crate::wire::protocol::{Name, Stamp};

/// A folder that is gone with the test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("chatbox-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("chat.db")
    }

    pub(super) fn store(&self) -> Store {
        Store::open(&self.file(), false).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// So many texts for a room.
pub(super) fn batch(room: &str, texts: usize) -> Batch {
    let room = Room::new(Name::parse(room.as_bytes()).unwrap(), 0, 1);
    let mut batch = Batch::new(Arc::new(room), None, 0, Vec::new());
    (0..texts).for_each(|_| batch.add(&[b"delivery:cafe:bob:hi\n"], None));
    batch
}

fn seqs(stamps: &[Stamp]) -> Vec<u64> {
    stamps.iter().map(|stamp| stamp.position.seq).collect()
}

#[test]
fn numbers_go_on_within_and_between_transactions() {
    let scratch = Scratch::new("numbers");
    let mut store = scratch.store();
    let batches = [batch("a", 2), batch("b", 1), batch("a", 3)];
    assert_eq!(seqs(&store.commit(&batches, Duration::ZERO).unwrap()), [1, 1, 3]);
    assert_eq!(seqs(&store.commit(&batches, Duration::ZERO).unwrap()), [6, 2, 8]);
}

/// Nor does one that is not among them lose its number.
#[test]
fn who_only_joins_rooms_takes_no_more_memory_with_each() {
    let scratch = Scratch::new("joins");
    let mut store = scratch.store();
    store.commit(&[batch("a", 2)], Duration::ZERO).unwrap();
    let (_, most) = store.rooms_in_memory();
    let join = |store: &mut Store, number: usize| {
        store.last(&Name::parse(format!("room{number}").as_bytes()).unwrap()).unwrap()
    };
    (0..2 * most).for_each(|number| assert_eq!(join(&mut store, number), 0));
    assert_eq!(store.rooms_in_memory(), (most, most));
    let batches = [batch("a", 1), batch("b", 1), batch("a", 1), batch("b", 1)];
    assert_eq!(seqs(&store.commit(&batches, Duration::ZERO).unwrap()), [3, 1, 4, 2]);
    assert_eq!(seqs(&store.commit(&batches, Duration::ZERO).unwrap()), [5, 3, 6, 4]);
}

/// Neither a lock nor a full disk uses numbers up.
#[test]
fn what_is_refused_takes_no_numbers() {
    let scratch = Scratch::new("refused");
    let mut store = scratch.store();
    let batches = [batch("a", 2), batch("a", 3)];
    store.commit(&batches, Duration::ZERO).unwrap();
    let other = rusqlite::Connection::open(scratch.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let outcome = store.commit(&batches, Duration::ZERO);
    assert!(matches!(outcome, Err(Failure::Busy)), "{outcome:?}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(seqs(&store.commit(&batches, Duration::ZERO).unwrap()), [6, 8]);
}

/// A commit fails in a way that leaves in doubt whether it is there. The file says.
#[test]
fn what_is_in_doubt_is_what_the_file_says() {
    for is_there in [true, false] {
        let scratch = Scratch::new(&format!("doubt-{is_there}"));
        let mut store = scratch.store();
        let batches = [batch("a", 2), batch("b", 1)];
        store.commit(&batches, Duration::ZERO).unwrap();
        let epoch = store.epoch();
        let other = rusqlite::Connection::open(scratch.file()).unwrap();
        // No such column is an error that says nothing about what was written.
        other.execute_batch("ALTER TABLE texts RENAME COLUMN sender TO gone").unwrap();
        let outcome = store.commit(&batches, Duration::ZERO);
        assert!(matches!(outcome, Err(Failure::Doubtful(_))), "{outcome:?}");
        other.execute_batch("ALTER TABLE texts RENAME COLUMN gone TO sender").unwrap();
        if is_there {
            let last = "UPDATE rooms SET last = CASE room WHEN 'a' THEN 4 ELSE 2 END";
            other.execute_batch(last).unwrap();
        }
        let stamps = store.resolve(&batches).unwrap();
        let expected = is_there.then(|| vec![3, 2]);
        assert_eq!(stamps.map(|stamps| seqs(&stamps)), expected);
        assert_eq!(store.epoch(), epoch);
        let next = if is_there { [5, 3] } else { [3, 2] };
        assert_eq!(seqs(&store.commit(&batches, Duration::ZERO).unwrap()), next);
    }
}

#[test]
fn what_is_lost_while_the_server_runs_begins_a_new_epoch() {
    let scratch = Scratch::new("lost");
    let mut store = scratch.store();
    let batches = [batch("a", 5)];
    store.commit(&batches, Duration::ZERO).unwrap();
    let epoch = store.epoch();
    let other = rusqlite::Connection::open(scratch.file()).unwrap();
    other.execute_batch("UPDATE rooms SET last = 3; DELETE FROM texts WHERE seq > 3").unwrap();
    assert!(store.resolve(&batches).unwrap().is_none());
    assert!(store.epoch() > epoch);
    // And once more, before anything else is said.
    let second = store.epoch();
    other.execute_batch("UPDATE rooms SET last = 2; DELETE FROM texts WHERE seq > 2").unwrap();
    assert!(store.resolve(&batches).unwrap().is_none());
    assert!(store.epoch() > second);
    let stamps = store.commit(&batches, Duration::ZERO).unwrap();
    assert_eq!(stamps[0].position, Position { epoch: store.epoch(), seq: 3 });
    let end = other.query_row("SELECT last FROM ends WHERE epoch = ?1", [epoch as i64], |row| {
        row.get::<_, i64>(0)
    });
    assert_eq!(end, Ok(2), "it does not lead on to what is new");
}

#[test]
fn what_is_asked_to_be_on_the_disk_is_synced_with_each_commit() {
    for (synced, expected) in [(true, 2), (false, 1)] {
        let scratch = Scratch::new(&format!("synced-{synced}"));
        let store = Store::open(&scratch.file(), synced).unwrap();
        assert_eq!(store.synchronous(), expected);
    }
}

/// Somebody has put them there.
#[test]
fn numbers_that_cannot_be_are_none() {
    let scratch = Scratch::new("by-hand");
    let mut store = scratch.store();
    let other = rusqlite::Connection::open(scratch.file()).unwrap();
    other.execute_batch("INSERT INTO rooms VALUES ('a', -1), ('b', 9223372036854775806)").unwrap();
    let stamps = store.commit(&[batch("a", 2), batch("b", 1)], Duration::ZERO).unwrap();
    assert_eq!(seqs(&stamps), [1, i64::MAX as u64]);
}

/// Nobody can say anything meanwhile.
#[test]
fn one_step_of_trimming_is_a_small_one_from_the_front() {
    let scratch = Scratch::new("trim");
    let mut store = scratch.store();
    store.commit(&[batch("a", 100), batch("b", 5)], Duration::ZERO).unwrap();
    assert_eq!(store.trim("a", 90, 40), Ok(40));
    let other = rusqlite::Connection::open(scratch.file()).unwrap();
    let sql = "SELECT min(seq), max(seq), count(*) FROM texts WHERE room = 'a'";
    let left =
        || other.query_row(sql, [], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]));
    assert_eq!(left(), Ok([41, 100, 60]));
    assert_eq!([store.trim("a", 90, 40), store.trim("a", 90, 40)], [Ok(40), Ok(10)]);
    assert_eq!(left(), Ok([91, 100, 10]));
    assert_eq!(store.trim("a", 90, 40), Ok(0));
}

#[test]
fn an_end_that_leaves_changes_beside_the_file_is_no_clean_one() {
    for is_read in [false, true] {
        let scratch = Scratch::new(&format!("end-{is_read}"));
        let mut store = scratch.store();
        let other = rusqlite::Connection::open(scratch.file()).unwrap();
        if is_read {
            other.execute_batch("BEGIN; SELECT * FROM texts").unwrap();
        }
        store.commit(&[batch("a", 1)], Duration::ZERO).unwrap();
        assert_eq!(store.close().is_err(), is_read);
    }
}
