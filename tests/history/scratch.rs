//! A folder for one test, and what is in a history.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, OpenFlags};

use crate::harness::Server;
pub use crate::harness::records::{Record, Span, receiver, records, say};

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// A folder that is gone with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("history-{}-{number}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    /// The history.
    pub fn file(&self) -> PathBuf {
        self.0.join("chat.db")
    }

    /// A file beside it.
    pub fn beside(&self, end: &str) -> PathBuf {
        self.0.join(format!("chat.db{end}"))
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// A server that keeps this history.
    pub fn server(&self, flags: &[&str]) -> Server {
        let file = self.file();
        let mut all = vec!["--history", file.to_str().unwrap()];
        all.extend(flags);
        Server::with(&all)
    }

    /// A connection to the history, for reading; the server may be running.
    pub fn database(&self) -> Connection {
        Connection::open_with_flags(self.file(), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap()
    }

    /// The kept texts of a room, each with its number.
    pub fn texts(&self, room: &str) -> Vec<(u64, String)> {
        let database = self.database();
        let sql = "SELECT seq, text FROM texts WHERE room = ?1 ORDER BY seq";
        let mut texts = database.prepare(sql).unwrap();
        let texts = texts.query_map([room], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)));
        texts.unwrap().map(Result::unwrap).collect()
    }

    /// The epoch that it is in.
    pub fn epoch(&self) -> u64 {
        let epoch = self.database().query_row("SELECT epoch FROM state", [], |row| row.get(0));
        epoch.map(|epoch: i64| epoch as u64).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
