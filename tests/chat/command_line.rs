//! The command line: both call forms, help, version, and what cannot be understood.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::{Finished, Peer, Program, Server, Signal, chatbox};

const APPLETS: [&str; 6] = ["server", "sender", "receiver", "chat", "bench", "check"];

/// As an error message names them.
const ALL: &str = "server, sender, receiver, chat, bench, check";

fn run(args: &[&str]) -> Finished {
    Program::start(chatbox(args.iter().copied())).finish()
}

/// A fresh folder for one test. Each user has others, since nobody can remove somebody else's.
pub fn scratch(name: &str) -> PathBuf {
    let user = rustix::process::getuid().to_string();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(user).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn links_named_after_applets_are_these_applets() {
    let folder = scratch("links");
    for applet in APPLETS {
        symlink(env!("CARGO_BIN_EXE_chatbox"), folder.join(applet)).unwrap();
    }
    let mut command = Command::new(folder.join("server"));
    command.args(["0", "-v"]);
    let server = Server::run(command);
    let port = server.port.to_string();
    let mut command = Command::new(folder.join("receiver"));
    let receiver = Program::start({
        command.args(["localhost", &port, "eve", "cafe"]);
        command
    });
    server.program.expect_stderr("joined room cafe");
    let mut command = Command::new(folder.join("sender"));
    let mut sender = Program::start({
        command.args(["localhost", &port, "bob"]);
        command
    });
    sender.say("/join cafe\nhello\n/quit\n");
    sender.finish().assert(0, b"", "");
    receiver.expect_stdout("bob: hello\n");
}

#[test]
fn any_other_name_is_the_executable_itself() {
    let folder = scratch("names");
    for name in ["foo-server", "server2", "Server", "chats", "receivers"] {
        let link = folder.join(name);
        symlink(env!("CARGO_BIN_EXE_chatbox"), &link).unwrap();
        let mut command = Command::new(&link);
        command.arg("--version");
        let finished = Program::start(command).finish();
        finished.assert(0, format!("chatbox {}\n", env!("CARGO_PKG_VERSION")).as_bytes(), "");
        Program::start(Command::new(&link)).finish().assert_one_error(2, ALL);
    }
}

#[test]
fn help_goes_to_stdout_and_tells_what_there_is() {
    for flag in ["--help", "-h"] {
        let finished = run(&[flag]);
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert_eq!(finished.stderr, b"", "{finished:?}");
        for applet in APPLETS {
            assert!(text.contains(&format!("\n  {applet} ")), "no {applet}: {finished:?}");
        }
    }
    for (applet, words) in [
        ("server", &["PORT"][..]),
        ("sender", &["HOST", "PORT", "USER"]),
        ("receiver", &["HOST", "PORT", "USER", "ROOM"]),
        ("chat", &["HOST", "PORT", "USER", "[ROOM]"]),
        ("bench", &["HOST", "PORT"]),
        ("check", &["WHAT", "TARGET"]),
    ] {
        for call in [[applet, "--help"], [applet, "-h"]] {
            let finished = run(&call);
            let text = String::from_utf8_lossy(&finished.stdout).into_owned();
            assert_eq!(finished.status.code(), Some(0), "{finished:?}");
            assert_eq!(finished.stderr, b"", "{finished:?}");
            let usage = text.lines().next().unwrap();
            assert!(usage.starts_with(&format!("Usage: chatbox {applet} [")), "{finished:?}");
            assert!(usage.ends_with(&format!("] {}", words.join(" "))), "{finished:?}");
            for word in words.iter().map(|word| word.trim_matches(['[', ']'])) {
                assert!(text.contains(&format!("\n  {word} ")), "{word} unexplained: {finished:?}");
            }
            let example = text.split_once("Examples:\n").map(|(_, example)| example.trim());
            assert!(example.is_some_and(|example| example.contains(applet)), "{finished:?}");
        }
    }
}

#[test]
fn version_is_told_by_all() {
    let version = format!("chatbox {}\n", env!("CARGO_PKG_VERSION"));
    run(&["--version"]).assert(0, version.as_bytes(), "");
    for applet in APPLETS {
        run(&[applet, "--version"]).assert(0, version.as_bytes(), "");
    }
}

#[test]
fn an_unknown_applet_is_told_which_there_are() {
    run(&["sever", "5000"]).assert_one_error(2, ALL);
    run(&["a\nb\x1b[2J"]).assert_one_error(2, ALL);
    run(&[]).assert_one_error(2, ALL);
    run(&[""]).assert_one_error(2, ALL);
    run(&["--list"]).assert(0, b"server\nsender\nreceiver\n", "");
}

#[test]
fn the_wrong_number_of_arguments_is_a_usage_line() {
    for words in [
        &["server"][..],
        &["server", "1", "2"],
        &["sender"],
        &["sender", "localhost"],
        &["sender", "localhost", "5000"],
        &["sender", "localhost", "5000", "bob", "cafe"],
        &["receiver", "localhost", "5000", "bob"],
        &["receiver", "localhost", "5000", "bob", "cafe", "bar"],
        &["receiver", "--nonsense", "localhost", "5000", "bob", "cafe"],
        &["server", "port"],
        &["server", "65536"],
        &["server", "-1"],
    ] {
        run(words).assert_one_error(2, &format!("usage: chatbox {} ", words[0]));
    }
}

#[test]
fn a_user_and_a_room_called_help_work() {
    let server = Server::start();
    let receiver = server.receiver("help", "help");
    let mut sender = Program::start(server.client("sender", &["help"]));
    sender.say("/join help\nhelp\n");
    sender.end_of_input();
    sender.finish().assert(0, b"", "");
    receiver.expect_stdout("help: help\n");
}

#[test]
fn words_that_are_not_utf8_are_an_error() {
    let word = OsStr::from_bytes(b"b\xffb");
    for before in [&[][..], &["server"], &["sender", "localhost", "5000"]] {
        let mut command = chatbox(before.iter().copied());
        command.arg(word);
        Program::start(command).finish().assert_one_error(2, "b\\xffb");
    }
}

#[test]
fn full_and_closed_pipes_are_an_error_and_no_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = chatbox(["--help"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write to standard output"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        chatbox(["server", "--help"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !stderr.contains("panic"), "{stderr}");
}

#[test]
fn shorthands_are_understood() {
    let server = Server::with(&["-vv"]);
    let mut peer = Peer::connect(server.port);
    peer.err("sendall:hi");
    server.program.expect_stderr("refused client");
    let receive = |flags: &[&str]| {
        let receiver = server.receiver_with(flags, "eve", "cafe");
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        sender.ok("sendall:one");
        receiver.finish().assert(0, b"bob: one\n", "");
    };
    // The last one counts, as for an alias with flags of its own.
    let often =
        ["-n", "3", "--count=2", "-qn1", "--timeout", "1", "--timeout=1000", "--raw", "--raw"];
    receive(&often);
    receive(&["-qqn", "1"]);
}

#[test]
fn version_and_help_may_come_after_other_words() {
    let version = format!("chatbox {}\n", env!("CARGO_PKG_VERSION"));
    for words in [&["sender", "localhost", "--version"][..], &["server", "-qV", "-x"]] {
        run(words).assert(0, version.as_bytes(), "");
    }
    let help = run(&["receiver", "localhost", "-v", "--help"]);
    assert!(help.stdout.starts_with(b"Usage: chatbox receiver"), "{help:?}");
    run(&["receiver", "localhost", "5000", "eve", "--", "--help", "cafe"])
        .assert_one_error(2, "usage: chatbox receiver");
}

#[test]
fn what_is_wrong_with_the_words_is_said_in_one_plain_line() {
    for (words, said) in [
        (&["sender", "h", "1", "bob", "--room"][..], "sender: --room needs a value, --room ROOM;"),
        (&["sender", "h", "1", "bob", "-m"], "sender: -m needs a value, -m TEXT;"),
        (&["receiver", "h", "1", "eve", "cafe", "-x"], "receiver: there is no option -x;"),
        (&["receiver", "h", "1", "eve", "cafe", "--raw=1"], "receiver: --raw takes no value;"),
        (&["receiver", "h", "+5", "eve", "cafe"], "a port is a number from 1 to 65535;"),
        (&["server", "-x"], "server: there is no option -x;"),
        (&["server", "+5"], "a port is a number from 1 to 65535, or 0 for any;"),
        (&["bench", "h", "1", "--size", "+64"], "a text has from 28 to 246 bytes;"),
    ] {
        let finished = run(words);
        finished.assert_one_error(2, said);
        finished.assert_one_error(2, &format!("usage: chatbox {} [OPTIONS]", words[0]));
    }
    run(&["-x"]).assert_one_error(2, "chatbox: there is no option -x; see chatbox --help");
}

#[test]
fn quiet_and_verbose_servers() {
    let quiet = Program::start(chatbox(["server", "0", "-q"]));
    let loud = Server::with(&["-v"]);
    let normal = Server::with(&[]);
    for server in [&loud, &normal] {
        let mut peer = Peer::connect(server.port);
        peer.err("slogin:\x1b[2J");
        peer.ok("slogin:bob");
        peer.ok("join:cafe");
        peer.err("join:\x07");
        peer.ok("quit:");
        peer.expect_end();
    }
    loud.program.expect_stderr(" left\n");
    // It says nothing when it is ready, but the system knows.
    quiet.wait_for_handler(Signal::TERM);
    let loud = loud.stop();
    let normal = normal.stop();
    quiet.signal(Signal::TERM);
    quiet.finish().assert(0, b"", "");
    let lines = String::from_utf8_lossy(&normal.stderr).into_owned();
    let words: Vec<_> = lines.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    let [first, words @ ..] = &words[..] else { panic!("{normal:?}") };
    assert_eq!(*first, "chatbox", "{normal:?}");
    let addresses = words.len() - 1;
    assert!((1..=2).contains(&addresses), "one for IPv4, one for IPv6: {normal:?}");
    assert!(words[..addresses].iter().all(|word| *word == "listening"), "{normal:?}");
    assert_eq!(words[addresses], "stopping", "{normal:?}");
    let lines = String::from_utf8_lossy(&loud.stderr).into_owned();
    for what in ["sender bob (", "logged in", "joined room cafe", "bad user name", "bad room name"]
    {
        assert!(lines.contains(what), "no {what:?}: {loud:?}");
    }
    assert!(!lines.contains(['\x1b', '\x07']), "unescaped: {loud:?}");
}
