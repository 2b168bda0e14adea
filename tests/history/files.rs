//! The file: who may read it, what is taken for one, and how large it gets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::harness::{Finished, Peer, Program, chatbox};
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
    server.program.expect_stderr(&format!("what is said is kept in {}", scratch.file().display()));
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
    let number = "a whole number from 1 is needed";
    for (flags, text) in [
        (&["--history"][..], "--history"),
        (&["--history", ""], "the name of a file is needed"),
        (&["--keep-texts", "0", "--history", "x"], number),
        (&["--keep-texts", "x", "--history", "x"], number),
        (&["--keep-texts", "", "--history", "x"], number),
        (&["--keep-texts", "1.5", "--history", "x"], number),
        (&["--keep-texts", "+1", "--history", "x"], number),
        (&["--keep-texts", " 1", "--history", "x"], number),
        (&["--keep-texts", "18446744073709551616", "--history", "x"], number),
        (&["--keep-days", "0", "--history", "x"], number),
        (&["--keep-days", "-1", "--history", "x"], number),
        (&["--keep-days", "1e3", "--history", "x"], number),
        (&["--keep-days", "99999999999999999999", "--history", "x"], number),
        (&["--keep-texts", "5"], "need --history"),
        (&["--keep-days", "5"], "need --history"),
        (&["--fsync"], "needs --history"),
    ] {
        // What needs a value takes the next word for it.
        let port: &[&str] = if flags == ["--history"] { &[] } else { &["0"] };
        let args = ["server"].iter().chain(flags).chain(port).copied();
        Program::start(chatbox(args)).finish().assert_one_error(2, text);
    }
    assert!(!Path::new("x").exists());
}

/// As far as can be counted.
#[test]
fn as_much_may_be_kept_as_one_likes() {
    let scratch = Scratch::new();
    let most = usize::MAX.to_string();
    let server = scratch.server(&["--keep-texts", &most, "--keep-days", &most]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, ["hi".into()]);
    server.stop();
    assert_eq!(scratch.texts("cafe").len(), 1);
}

#[test]
fn what_cannot_be_a_file_is_refused_at_once() {
    let scratch = Scratch::new();
    let (pipe, link) = (scratch.folder().join("pipe"), scratch.folder().join("link"));
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    std::os::unix::fs::symlink(scratch.folder().join("gone"), &link).unwrap();
    let below = scratch.folder().join("pipe/chat.db");
    for (file, text) in [
        (&*pipe, "is not a chat's history"),
        (Path::new("/dev/null"), "is not a chat's history"),
        // Where what it leads to is missing, a new one is not what is wanted.
        (&link, "cannot open"),
        (&below, "cannot open"),
        (Path::new("/"), "is not a chat's history"),
        (Path::new("/proc/chat.db"), "cannot open"),
        (Path::new("chat.db/.."), "cannot open"),
    ] {
        refusal(file).assert_one_error(1, text);
    }
    let left = fs::read_dir(scratch.folder()).unwrap().count();
    assert_eq!(left, 2, "something was made");
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
    // As often as that takes, which is not for long.
    let is_told = (0..100).any(|_| {
        (0..500).for_each(|_| sender.ok("sendall:hi"));
        server.program.stderr().contains("another program reads the history and does not end")
    });
    assert!(is_told, "{} bytes are written ahead: {:?}", ahead(), server.program);
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
