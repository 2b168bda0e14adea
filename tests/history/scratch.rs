//! A folder for one test, and what is in a history.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, OpenFlags};

use crate::harness::{Peer, Server};

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

/// A record: its position, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub epoch: u64,
    pub seq: u64,
    pub text: String,
}

impl Record {
    /// Reads a `record` line.
    pub fn parse(line: &str) -> Self {
        let parts: Vec<_> = line.splitn(6, ':').collect();
        let ["record", position, time, _, _, text] = parts[..] else {
            panic!("no record: {line}");
        };
        let (epoch, seq) = position.split_once('-').unwrap();
        assert!(time.parse::<u64>().unwrap() > 1_700_000_000_000, "{line}");
        Record { epoch: epoch.parse().unwrap(), seq: seq.parse().unwrap(), text: text.into() }
    }
}

/// What the answer to a `join` says of where a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub epoch: u64,
    pub from: u64,
    pub to: u64,
}

impl Span {
    pub fn parse(answer: &str) -> Self {
        let parse = || {
            let (epoch, seqs) = answer.rsplit_once(" @")?.1.split_once('-')?;
            let (from, to) = seqs.split_once("..")?;
            Some((epoch.parse().ok()?, from.parse().ok()?, to.parse().ok()?))
        };
        let (epoch, from, to) = parse().unwrap_or_else(|| panic!("no span: {answer}"));
        Span { epoch, from, to }
    }
}

/// A receiver that has joined a room with a `history` request before; what its `join` was answered.
pub fn receiver(port: u16, history: &str, room: &str) -> (Peer, Span) {
    let mut peer = Peer::connect(port);
    peer.ok("rlogin:eve");
    peer.ok(&format!("history:{history}"));
    let answer = peer.ask(&format!("join:{room}"));
    let span = Span::parse(&answer);
    (peer, span)
}

/// The next so many records.
pub fn records(peer: &mut Peer, count: usize) -> Vec<Record> {
    (0..count).map(|_| Record::parse(&peer.line())).collect()
}

/// Sends texts, so many at a time before their answers are read.
pub fn say(sender: &mut Peer, texts: impl IntoIterator<Item = String>) {
    let texts: Vec<_> = texts.into_iter().collect();
    for part in texts.chunks(100) {
        let lines: String = part.iter().map(|text| format!("sendall:{text}\n")).collect();
        sender.send(lines);
        part.iter().for_each(|_| sender.expect("ok:sent"));
    }
}
