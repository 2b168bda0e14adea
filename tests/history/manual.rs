//! What the document says one can do with the file works as it is written there.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Peer, left_out};
use crate::scratch::{Scratch, receiver, records, say};

const DOCUMENT: &str = include_str!("../../src/server/history/HISTORY.md");

/// The lines of the document that call `sqlite3`.
fn commands() -> impl Iterator<Item = &'static str> {
    let spans = DOCUMENT.split('`').skip(1).step_by(2);
    let blocks = DOCUMENT.split("```").skip(1).step_by(2).flat_map(str::lines);
    let is_call = |line: &&str| line.starts_with("sqlite3 ") || line.starts_with("(umask ");
    blocks.chain(spans).filter(is_call)
}

/// Runs the one command of the document that holds this; returns what it prints.
fn run(scratch: &Scratch, what: &str) -> String {
    let mut commands = commands().filter(|command| command.contains(what));
    let (Some(command), None) = (commands.next(), commands.next()) else {
        panic!("not one command with {what:?}");
    };
    let mut shell = Command::new("bash");
    shell.args(["-c", command]).current_dir(scratch.folder()).env("TZ", "UTC");
    let output = shell.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_commands_of_the_document_do_what_it_says_on_a_running_server() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        left_out("the commands of the document: there is no sqlite3 here");
        return;
    }
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    for (user, text) in [("bob", "old"), ("bob", "hi"), ("mallory", "unspeakable")] {
        let mut sender = Peer::sender(server.port, user, "cafe");
        say(&mut sender, [text.into()]);
    }
    say(&mut Peer::sender(server.port, "bob", "tea"), ["elsewhere".into()]);
    let eight_days = "UPDATE texts SET time = time - 8 * 86400 * 1000 WHERE text = 'old'";
    assert_eq!(scratch.database().execute(eight_days, []), Ok(1));
    // Who has said what last week.
    let said = run(&scratch, "SELECT datetime");
    let said: Vec<_> = said.lines().map(|line| line.split_once('|').unwrap().1).collect();
    assert_eq!(said, ["bob|hi", "mallory|unspeakable"]);
    // What is blanked stays blanked, and keeps its place.
    run(&scratch, "'mallory'");
    let (mut peer, _) = receiver(server.port, "last=3", "cafe");
    let texts: Vec<_> = records(&mut peer, 3).into_iter().map(|it| it.text).collect();
    assert_eq!(texts, ["old", "hi", ""]);
    run(&scratch, "SET sender = '0'");
    assert_eq!(scratch.texts("cafe").len(), 3);
    let (mut peer, _) = receiver(server.port, "last=9", "cafe");
    assert!(records(&mut peer, 3).iter().all(|record| record.text.is_empty()));
    assert_eq!(scratch.texts("tea"), [(1, "elsewhere".into())]);
    run(&scratch, ".backup");
    let copy = scratch.folder().join("copy.db");
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the copy");
    let copy = rusqlite::Connection::open(copy).unwrap();
    let count = copy.query_row("SELECT count(*) FROM texts", [], |row| row.get(0));
    assert_eq!(count, Ok(4_i64));
    server.stop();
    let file = std::fs::read(scratch.file()).unwrap();
    let word = b"unspeakable";
    assert!(!file.windows(word.len()).any(|window| window == word), "it can be dug out");
    // For a file that was restored from a copy.
    let old = scratch.epoch();
    run(&scratch, "SET clean = 0");
    let server = scratch.server(&["--fsync"]);
    assert!(scratch.epoch() > old);
    server.stop();
}

#[test]
fn each_command_of_the_document_is_tried() {
    let tried = ["SELECT datetime", "'mallory'", "SET sender = '0'", ".backup", "SET clean = 0"];
    for command in commands() {
        let count = tried.iter().filter(|what| command.contains(**what)).count();
        assert_eq!(count, 1, "{command}");
    }
}
