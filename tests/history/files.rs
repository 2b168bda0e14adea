//! The file: who may read it, what is taken for one, and what happens when it cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use rustix::process::{Signal, getuid};

use crate::harness::{Finished, Peer, Program, Server, chatbox, left_out, wait_until};
use crate::scratch::{Scratch, receiver, records, say};

/// What becomes of a server that cannot use the file.
fn refusal(file: &Path) -> Finished {
    Program::start(chatbox(["server", "--history", file.to_str().unwrap(), "0"])).finish()
}

/// A history with some texts, of a server that has ended.
fn kept(scratch: &Scratch) {
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=200).map(|number| format!("{number} {}", "x".repeat(200))));
    server.stop();
}

#[test]
fn the_file_is_the_owners_alone() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, ["hi".into()]);
    let mut files = 0;
    for file in fs::read_dir(scratch.folder()).unwrap().map(Result::unwrap) {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        files += 1;
    }
    assert!(files >= 3);
    // It shows who has said what while the server runs.
    assert_eq!(scratch.texts("cafe"), [(1, "hi".into())]);
    server.stop();
}

#[test]
fn what_is_no_history_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let file = scratch.file();
    let foreign = |sql: &str| {
        let _ = fs::remove_file(&file);
        let database = Connection::open(&file).unwrap();
        database.execute_batch(&format!("CREATE TABLE a (b); {sql}")).unwrap();
        drop(database);
        fs::read(&file).unwrap()
    };
    let cases = [
        (b"root:x:0:0\n".to_vec(), "is not a chat's history"),
        (b"SQLite format 3".to_vec(), "is damaged"),
        (foreign(""), "is not a chat's history"),
        (foreign("PRAGMA application_id = 77"), "is not a chat's history"),
        (
            foreign("PRAGMA application_id = 0x43686174; PRAGMA user_version = 2"),
            "is a history of a later version",
        ),
        // Ours by its header, with other tables.
        (foreign("PRAGMA application_id = 0x43686174; PRAGMA user_version = 1"), "no such table"),
    ];
    for (bytes, expected) in cases {
        fs::write(&file, &bytes).unwrap();
        refusal(&file).assert_one_error(1, expected);
        assert!(fs::read(&file).unwrap() == bytes, "{expected}: the file has changed");
    }
    refusal(scratch.folder()).assert_one_error(1, "is not a chat's history");
    refusal(Path::new("/nowhere/chat.db")).assert_one_error(1, "cannot open /nowhere/chat.db");
}

#[test]
fn a_damaged_file_is_refused_whatever_its_length() {
    let scratch = Scratch::new();
    kept(&scratch);
    let file = scratch.file();
    let whole = fs::read(&file).unwrap();
    let _ = fs::remove_file(scratch.beside("-wal"));
    let steps = [1, 15, 16, 50, 99, 100, 2047, 2048, 2049, whole.len() / 2, whole.len() - 1];
    for length in steps {
        fs::write(&file, &whole[..length]).unwrap();
        refusal(&file).assert_one_error(1, "is damaged");
        assert!(fs::read(&file).unwrap() == whole[..length], "{length}: the file has changed");
    }
    fs::write(&file, &whole).unwrap();
    let server = scratch.server(&[]);
    let (mut peer, _) = receiver(server.port, "last=1000", "cafe");
    assert_eq!(records(&mut peer, 200)[199].seq, 200);
}

#[test]
fn one_server_has_it_at_a_time() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    refusal(&scratch.file()).assert_one_error(1, "is in use by another server");
    server.stop();
    scratch.server(&[]).stop();
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for flags in [
        &["--keep-texts", "0", "--history", "x"][..],
        &["--keep-texts", "x", "--history", "x"],
        &["--keep-days", "-1", "--history", "x"],
        &["--keep-texts", "5"],
        &["--keep-days", "5"],
        &["--fsync"],
    ] {
        let args = ["server"].iter().chain(flags).chain(&["0"]).copied();
        Program::start(chatbox(args)).finish().assert_one_error(2, "--");
    }
}

#[test]
fn what_somebody_has_locked_is_an_error_after_a_while_and_goes_on() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut peer = Peer::receiver(server.port, "eve", "cafe");
    say(&mut sender, ["1".into()]);
    peer.expect("delivery:cafe:bob:1");
    let database = scratch.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert_eq!(sender.ask("sendall:2"), "err:not kept: another program has locked the history");
    }
    assert_eq!(server.program.stderr().matches("locked it").count(), 1);
    database.execute_batch("COMMIT").unwrap();
    say(&mut sender, ["3".into()]);
    // What was refused is not delivered.
    peer.expect("delivery:cafe:bob:3");
    assert_eq!(scratch.texts("cafe"), [(1, "1".into()), (2, "3".into())]);
}

/// A small file system of the test's own, where that can be had.
struct Small<'a>(&'a Scratch);

impl<'a> Small<'a> {
    fn new(scratch: &'a Scratch) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(scratch.folder())
            .output();
        match mount {
            Ok(output) if getuid().is_root() && output.status.success() => Some(Small(scratch)),
            _ => {
                left_out("a full disk: no file system can be mounted here");
                None
            }
        }
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.folder()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_and_chat_goes_on_when_there_is_room() {
    let scratch = Scratch::new();
    let Some(_small) = Small::new(&scratch) else { return };
    let server: Server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let (mut peer, _) = receiver(server.port, "", "cafe");
    let (mut kept, mut refused) = (Vec::new(), None);
    for number in 0..20_000 {
        let text = format!("{number} {}", "x".repeat(200));
        match sender.ask(&format!("sendall:{text}")) {
            answer if answer == "ok:sent" => kept.push(text),
            answer => {
                refused = Some(answer);
                break;
            }
        }
    }
    let refused = refused.expect("the disk is never full");
    assert!(refused.starts_with("err:not kept: "), "{refused}");
    let heard: Vec<_> = records(&mut peer, kept.len()).into_iter().map(|it| it.text).collect();
    assert_eq!(heard, kept);
    // There is more room.
    let resized = Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(scratch.folder())
        .status()
        .unwrap();
    assert!(resized.success());
    wait_until(|| sender.ask("sendall:more") == "ok:sent", || format!("{:?}", server.program));
    let record = &records(&mut peer, 1)[0];
    assert_eq!((record.seq, &*record.text), (kept.len() as u64 + 1, "more"));
    assert_eq!(scratch.texts("cafe").len(), kept.len() + 1);
    server.stop();
}

/// However much is said, what is written ahead is cut off; and if a reader keeps it, that is told.
#[test]
fn what_is_written_ahead_is_cut_off_or_somebody_is_told() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let ahead = || fs::metadata(scratch.beside("-wal")).unwrap().len();
    // One by one they take two pages each, of 2 KiB: 120 MB in all.
    (0..30_000).for_each(|_| sender.ok("sendall:hi"));
    assert!(ahead() < 80 << 20, "{} bytes are written ahead", ahead());
    assert!(!server.program.stderr().contains("does not end"), "{:?}", server.program);
    let reader = scratch.database();
    reader.execute_batch("BEGIN; SELECT * FROM texts LIMIT 1;").unwrap();
    let is_told = || {
        (0..500).for_each(|_| sender.ok("sendall:hi"));
        server.program.stderr().contains("another program reads the history and does not end")
    };
    wait_until(is_told, || format!("{} bytes are written ahead", ahead()));
}

#[test]
fn what_is_cut_off_although_changes_are_written_ahead_is_damaged() {
    let scratch = Scratch::new();
    kept(&scratch);
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, ["more".into()]);
    server.program.signal(Signal::KILL);
    server.program.finish();
    let (file, ahead) = (scratch.file(), scratch.beside("-wal"));
    let (whole, changes) = (fs::read(&file).unwrap(), fs::read(&ahead).unwrap());
    assert!(!changes.is_empty());
    // The last page is among the changes.
    for length in [1, 99, 100, 2048, 4096, whole.len() / 2] {
        fs::write(&file, &whole[..length]).unwrap();
        refusal(&file).assert_one_error(1, "is damaged");
        assert!(fs::read(&file).unwrap() == whole[..length], "{length}: the file has changed");
        assert!(fs::read(&ahead).unwrap() == changes, "{length}: the changes have changed");
    }
    // Changes of a file that is gone are not those of a new one.
    fs::remove_file(&file).unwrap();
    refusal(&file).assert_one_error(1, "is damaged");
    assert!(!file.exists() && fs::read(&ahead).unwrap() == changes);
    fs::write(&file, &whole).unwrap();
    let server = scratch.server(&[]);
    let (mut peer, _) = receiver(server.port, "last=1", "cafe");
    assert_eq!(records(&mut peer, 1)[0].text, "more");
}

#[test]
fn one_server_has_it_under_whatever_name() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let (symbolic, hard) = (scratch.folder().join("symbolic"), scratch.folder().join("hard"));
    std::os::unix::fs::symlink(scratch.file(), &symbolic).unwrap();
    fs::hard_link(scratch.file(), &hard).unwrap();
    for other in [symbolic, hard] {
        refusal(&other).assert_one_error(1, "is in use by another server");
    }
    server.stop();
}
