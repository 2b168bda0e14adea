//! What `receiver` does with a room that remembers, and without one.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getuid};

use crate::harness::script::Script;
use crate::harness::{Finished, Peer, Program, Server, chatbox, left_out, wait_until};
use crate::scratch::{Scratch, say};

/// Sends texts with these numbers to room `cafe`.
fn tell(server: &Server, numbers: impl IntoIterator<Item = u64>) {
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, numbers.into_iter().map(|number| format!("text {number}")));
}

/// What a receiver prints of texts with these numbers.
fn printed(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let lines = numbers.into_iter().map(|number| format!("bob: text {number}\n"));
    lines.collect::<String>().into_bytes()
}

/// A receiver in room `cafe`.
fn start(server: &Server, flags: &[&str]) -> Program {
    let mut command = server.client("receiver", &[flags, &["eve", "cafe"]].concat());
    command.env("TZ", "UTC");
    Program::start(command)
}

/// What such a receiver leaves behind that ends by itself.
fn run(server: &Server, flags: &[&str]) -> Finished {
    start(server, flags).finish()
}

/// A server on a port where one was before.
fn again(scratch: &Scratch, port: u16) -> Server {
    let file = scratch.file();
    let flags = ["server", "--history", file.to_str().unwrap(), &port.to_string()];
    Server::run(chatbox(flags))
}

#[test]
fn a_receiver_begins_where_it_is_told_and_ends_when_all_is_printed() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    tell(&server, 1..=30);
    let after = format!("{}-27", scratch.epoch());
    for (flags, numbers) in [
        (&["--last", "3"][..], 28..=30),
        (&["--last", "100"], 1..=30),
        (&["--last", "9223372036854775807"], 1..=30),
        (&["--after", &after], 28..=30),
        (&["--last", "5", "-n", "2"], 26..=27),
    ] {
        let flags = [flags, &["--no-follow"]].concat();
        run(&server, &flags).assert(0, &printed(numbers), "");
    }
    let empty = server.client("receiver", &["--last", "9", "--no-follow", "eve", "tea"]);
    Program::start(empty).finish().assert(0, b"", "");
    run(&server, &["--last", "0", "--no-follow"]).assert(0, b"", "");
    // Without --no-follow, what is said from now on comes after that.
    let receiver = start(&server, &["--last", "2", "-n", "5"]);
    receiver.expect_stdout("text 30");
    tell(&server, 31..=33);
    receiver.finish().assert(0, &printed(29..=33), "");
}

#[test]
fn what_is_said_meanwhile_is_not_printed_with_no_follow() {
    let script = Script::new();
    let receiver = script.start("receiver", &["--last", "2", "--no-follow", "eve", "cafe"]);
    let mut peer = let_in(&script, "last=2", "@7-3..5");
    peer.send("record:7-4:1:cafe:bob:text 4\nrecord:7-5:1:cafe:bob:text 5\n");
    peer.send("record:7-6:1:cafe:bob:text 6\n");
    receiver.finish().assert(0, &printed(4..=5), "");
}

/// A server that ends may have got no further. What has come is not the text.
#[test]
fn a_record_that_was_cut_in_two_is_asked_for_again() {
    for cut in ["r", "record", "record:7-2:1:cafe:bob:text", "record:7-2:1:cafe:bob:text 2"] {
        let script = Script::new();
        let receiver = script.start("receiver", &["--reconnect", "-n", "2", "eve", "cafe"]);
        let mut peer = let_in(&script, "", "@7-0..0");
        peer.send(format!("record:7-1:1:cafe:bob:text 1\n{cut}"));
        drop(peer);
        let_in(&script, "after=7-1", "@7-1..2").send("record:7-2:1:cafe:bob:text 2\n");
        let finished = receiver.finish();
        assert_eq!(finished.stdout, printed(1..=2), "{finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr);
        assert!(!stderr.contains("unexpected"), "{finished:?}");
    }
}

/// Lets a receiver in that asks for this of the history, and begins there.
fn let_in(script: &Script, asks: &str, span: &str) -> Peer {
    let mut peer = script.accept();
    peer.expect("rlogin:eve");
    peer.send("ok:hello +other +history\n");
    peer.expect(&format!("history:{asks}"));
    peer.send("ok:records it is\n");
    peer.expect("join:cafe");
    peer.send(format!("ok:come in {span}\n"));
    peer
}

/// Lets a receiver in that keeps nothing; it is to ask for nothing.
fn let_in_without(script: &Script) -> Peer {
    let mut peer = script.accept();
    peer.expect("rlogin:eve");
    peer.send("ok:hello\n");
    peer.expect("join:cafe");
    peer.send("ok:come in\n");
    peer
}

#[test]
fn who_needs_a_history_is_told_that_there_is_none() {
    let scratch = Scratch::new();
    let server = Server::start();
    let cursor = scratch.beside(".cursor");
    let cursor = cursor.to_str().unwrap();
    for flags in [
        &["--last", "3"][..],
        &["--after", "1-1"],
        &["--cursor-file", cursor],
        &["--last", "0", "--no-follow"],
        &["--last", "3", "--reconnect"],
    ] {
        run(&server, flags).assert_one_error(1, "does not keep what is said");
    }
    assert!(!scratch.beside(".cursor").exists(), "there is no position to keep");
}

/// They are better with a history, and do without.
#[test]
fn who_does_not_need_a_history_does_what_it_did() {
    for flags in [&[][..], &["--reconnect"], &["--json"], &["--timestamps"]] {
        let script = Script::new();
        let args = [flags, &["-n", "1", "eve", "cafe"]].concat();
        let receiver = script.start("receiver", &args);
        let_in_without(&script).send("delivery:cafe:bob:text 1\n");
        let finished = receiver.finish();
        assert!(finished.status.success(), "{finished:?}");
        let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert!(shown.contains("text 1") && !shown.contains("position"), "{finished:?}");
    }
    // Where there is one, they ask for it.
    for flag in ["--reconnect", "--json", "--timestamps"] {
        let script = Script::new();
        let receiver = script.start("receiver", &[flag, "-n", "1", "eve", "cafe"]);
        let_in(&script, "", "@7-3..3").send("record:7-4:1:cafe:bob:text 4\n");
        let finished = receiver.finish();
        assert!(finished.status.success() && finished.stderr.is_empty(), "{finished:?}");
        let shown = String::from_utf8_lossy(&finished.stdout).into_owned();
        assert_eq!(shown.contains("7-4"), flag == "--json", "{finished:?}");
    }
    // Nor does one who wants nothing of it ask for it where there is one.
    let script = Script::new();
    let receiver = script.start("receiver", &["-n", "1", "eve", "cafe"]);
    let mut peer = script.accept();
    peer.expect("rlogin:eve");
    peer.send("ok:hello +history\n");
    peer.expect("join:cafe");
    peer.send("ok:come in\nrecord:7-1:1:cafe:bob:text 0\ndelivery:cafe:bob:text 1\n");
    let finished = receiver.finish();
    assert_eq!(finished.stdout, printed(1..=1), "{finished:?}");
    assert!(String::from_utf8_lossy(&finished.stderr).contains("unexpected line: record:7-1:"));
}

#[test]
fn a_server_that_does_not_say_where_it_begins_is_none() {
    let script = Script::new();
    let receiver = script.start("receiver", &["--last", "2", "eve", "cafe"]);
    let _peer = let_in(&script, "last=2", "somewhere");
    receiver.finish().assert_one_error(1, "does not say where in the room's history it begins");
}

#[test]
fn with_reconnect_nothing_is_missed_and_nothing_comes_twice() {
    let scratch = Scratch::new();
    let mut server = scratch.server(&[]);
    let receiver = start(&server, &["--reconnect", "--last", "9", "-n", "40"]);
    for round in 0..4 {
        let first = round * 10 + 1;
        if round > 0 {
            let port = server.port;
            server.program.signal(Signal::KILL);
            server.program.finish();
            server = again(&scratch, port);
        }
        // Whether it is back or not.
        tell(&server, first..=first + 4);
        receiver.expect_stdout(&format!("text {}\n", first + 4));
        tell(&server, first + 5..=first + 9);
    }
    let finished = receiver.finish();
    assert_eq!(finished.stdout, printed(1..=40), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(stderr.lines().count(), 6, "{finished:?}");
    assert!(!stderr.contains("missing"), "{finished:?}");
}

/// Somebody has deleted some, and not blanked them.
#[test]
fn who_meets_a_hole_gets_past_it_and_is_told() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    tell(&server, 1..=9);
    scratch.database().execute("DELETE FROM texts WHERE seq IN (4, 5, 6, 9)", []).unwrap();
    let finished = run(&server, &["--reconnect", "--last", "9", "--no-follow"]);
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stdout, printed([1, 2, 3, 7, 8]), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    let told: Vec<_> = stderr.lines().filter(|line| line.contains("missing")).collect();
    assert!(told.len() == 2 && told[0].contains("3 texts are missing"), "{finished:?}");
    assert!(told[1].contains("1 text is missing"), "{finished:?}");
}

#[test]
fn who_comes_back_is_told_once_what_is_missing() {
    let script = Script::new();
    let receiver = script.start("receiver", &["--reconnect", "-n", "6", "eve", "cafe"]);
    let mut peer = let_in(&script, "", "@7-2..2");
    peer.send("record:7-3:1:cafe:bob:text 3\n");
    drop(peer);
    let mut peer = let_in(&script, "after=7-3", "@7-4..5");
    peer.send("record:7-5:1:cafe:bob:text 5\n");
    drop(peer);
    let mut peer = let_in(&script, "after=7-5", "@8-5..5");
    peer.send("record:8-6:1:cafe:bob:text 6\n");
    drop(peer);
    let mut peer = let_in_without(&script);
    peer.send("delivery:cafe:bob:text 7\n");
    drop(peer);
    // It is in no history what was said meanwhile.
    let mut peer = let_in(&script, "after=8-6", "@8-6..6");
    peer.send("record:8-7:1:cafe:bob:text 8\n");
    // A server that has lost something while it ran.
    peer.send("record:9-9:1:cafe:bob:text 9\n");
    let finished = receiver.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(finished.stdout, printed([3, 5, 6, 7, 8, 9]), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    let told: Vec<_> = stderr.lines().filter(|line| line.contains("missing")).collect();
    let anew = "history has begun anew: texts may be missing";
    let expected = ["1 text is missing", anew, "keep what is said any more", anew];
    assert_eq!(told.len(), expected.len(), "{finished:?}");
    for (line, expected) in told.iter().zip(expected) {
        assert!(line.starts_with("receiver: ") && line.contains(expected), "{finished:?}");
    }
}

#[test]
fn a_record_that_came_before_is_not_printed_again() {
    let script = Script::new();
    let receiver = script.start("receiver", &["--last", "5", "-n", "2", "eve", "cafe"]);
    let mut peer = let_in(&script, "last=5", "@7-2..4");
    let third = "record:7-3:1:cafe:bob:text 3\n";
    peer.send(format!("{third}{third}record:7-4:1:cafe:bob:text 4\n"));
    let finished = receiver.finish();
    assert_eq!(finished.stdout, printed(3..=4), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(stderr.lines().count() == 1 && stderr.contains("unexpected line"), "{finished:?}");
}

/// There was one when the receiver began, and without one it cannot know where the end is.
#[test]
fn no_follow_ends_with_the_history() {
    let script = Script::new();
    let args = ["--reconnect", "--last", "5", "--no-follow", "eve", "cafe"];
    let receiver = script.start("receiver", &args);
    let mut peer = let_in(&script, "last=5", "@7-2..4");
    peer.send("record:7-3:1:cafe:bob:text 3\n");
    drop(peer);
    let mut peer = script.accept();
    peer.expect("rlogin:eve");
    peer.send("ok:hello\n");
    receiver.finish().assert_last_line(1, &printed(3..=3), "does not keep what is said");
}

impl Finished {
    /// Asserts how it ended, and that the last line on standard error holds `text`.
    fn assert_last_line(&self, status: i32, stdout: &[u8], text: &str) {
        assert_eq!(self.status.code(), Some(status), "{self:?}");
        assert_eq!(self.stdout, stdout, "{self:?}");
        let stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        assert!(stderr.lines().last().is_some_and(|line| line.contains(text)), "{self:?}");
    }
}

#[test]
fn a_cursor_file_goes_on_where_it_was() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let path = scratch.beside(".cursor");
    let file = path.to_str().unwrap();
    tell(&server, 1..=5);
    let cursor = |seq: u64| format!("{}-{seq} cafe\n", scratch.epoch());
    let all = ["--cursor-file", file, "--no-follow"];
    // Without another wish, it begins now.
    run(&server, &all).assert(0, b"", "");
    assert_eq!(fs::read_to_string(&path).unwrap(), cursor(5));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    tell(&server, 6..=8);
    // Whoever has it open sees a whole one, if an old one.
    let mut old = fs::File::open(&path).unwrap();
    // The file is more than what is asked for beside it.
    run(&server, &[&all[..], &["--last", "1"]].concat()).assert(0, &printed(6..=8), "");
    assert_eq!(fs::read_to_string(&path).unwrap(), cursor(8));
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "whoever could not read it can");
    let mut content = String::new();
    old.read_to_string(&mut content).unwrap();
    assert_eq!(content, cursor(5));
    run(&server, &all).assert(0, b"", "");
    // No further than what is printed.
    tell(&server, 9..=12);
    run(&server, &["--cursor-file", file, "-n", "2"]).assert(0, &printed(9..=10), "");
    assert_eq!(fs::read_to_string(&path).unwrap(), cursor(10));
    // A file that is empty, or not there, holds no position.
    fs::write(&path, "").unwrap();
    run(&server, &[&all[..], &["--last", "1"]].concat()).assert(0, &printed(12..=12), "");
    fs::remove_file(&path).unwrap();
    run(&server, &[&all[..], &["--last", "1"]].concat()).assert(0, &printed(12..=12), "");
    // While it runs, it is kept up to date, also where a link leads to.
    let link = scratch.beside(".link");
    symlink(&path, &link).unwrap();
    let receiver = start(&server, &["--cursor-file", link.to_str().unwrap(), "-n", "2"]);
    tell(&server, 13..=13);
    let content = || fs::read_to_string(&path).unwrap();
    wait_until(|| content() == cursor(13), || format!("{}: {receiver:?}", content()));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    tell(&server, 14..=14);
    receiver.finish().assert(0, &printed(13..=14), "");
    assert_eq!(content(), cursor(14));
}

#[test]
fn a_cursor_file_that_is_none_is_one_line_and_stays_as_it_is() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let path = scratch.beside(".cursor");
    for (content, text) in [
        ("7-1 tea\n", "is about room tea"),
        ("7-1 \x1b[2J\n", "is about room \\x1b[2J"),
        ("7-1\n", "holds no position"),
        ("7-1 cafe", "holds no position"),
        ("dear diary\n", "holds no position"),
        ("\0\u{e9}\n", "holds no position"),
        (&"x".repeat(100_000), "holds no position"),
    ] {
        fs::write(&path, content).unwrap();
        let flags = ["--cursor-file", path.to_str().unwrap(), "--no-follow"];
        run(&server, &flags).assert_one_error(1, text);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    let folder = scratch.folder().to_str().unwrap();
    let nowhere = format!("{folder}/nowhere/cursor");
    let below = format!("{}/cursor", path.display());
    for (file, text) in [
        (folder, "is no file that a position can be kept in"),
        ("/dev/null", "is no file that a position can be kept in"),
        (&nowhere, "cannot write"),
        (&below, "cannot read"),
    ] {
        let finished = run(&server, &["--cursor-file", file, "--no-follow"]);
        finished.assert_one_error(1, text);
    }
}

#[test]
fn a_cursor_file_that_cannot_be_read_or_replaced_is_one_line() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let path = scratch.beside(".cursor");
    fs::write(&path, "7-1 cafe\n").unwrap();
    // Nobody, not even root, may read these, or make a file there.
    let mut unreadable = Path::new("/proc/sys/vm/compact_memory");
    let mut read_only = Path::new("/sys/kernel/cursor").to_owned();
    if !getuid().is_root() {
        fs::set_permissions(&path, Permissions::from_mode(0o0)).unwrap();
        unreadable = &path;
        let folder = scratch.folder().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
        read_only = folder.join("cursor");
    }
    for (file, text) in [(unreadable, "cannot read"), (&read_only, "cannot write")] {
        if file.exists() && fs::File::open(file).is_ok() {
            left_out("a file that cannot be read: there is none here");
            continue;
        }
        let finished = run(&server, &["--cursor-file", file.to_str().unwrap(), "--no-follow"]);
        finished.assert_one_error(1, text);
    }
}

/// Its output is a pipe that is full again and again, so that it waits with what it has to print.
#[test]
fn a_cursor_file_is_never_ahead_of_what_is_printed() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    tell(&server, 1..=20_000);
    let all = printed(1..=20_000);
    let lines: Vec<_> = all.split_inclusive(|byte| *byte == b'\n').collect();
    let path = scratch.beside(".cursor");
    let flags = ["--cursor-file", path.to_str().unwrap(), "--last", "20000", "--no-follow"];
    let mut command = server.client("receiver", &[&flags[..], &["eve", "cafe"]].concat());
    let (mut out, full) = std::io::pipe().unwrap();
    let mut receiver = command.stdout(full.try_clone().unwrap()).spawn().unwrap();
    drop(command);
    let mut is_full_or_over = || {
        let mut fds = [PollFd::new(&full, PollFlags::OUT)];
        let full = poll(&mut fds, Some(&Timespec::default())) == Ok(0);
        full || receiver.try_wait().unwrap().is_some()
    };
    let mut taken = 0;
    while taken < all.len() {
        wait_until(&mut is_full_or_over, || format!("{taken} bytes taken, and it waits"));
        let kept = seq_in(&fs::read_to_string(&path).unwrap());
        let stands_for: usize = lines[..kept].iter().map(|line| line.len()).sum();
        let there = taken + rustix::io::ioctl_fionread(&out).unwrap() as usize;
        assert!(stands_for <= there, "{kept} texts have {stands_for} bytes, and {there} are there");
        let mut some = [0; 5000];
        let count = out.read(&mut some).unwrap();
        assert_eq!(some[..count], all[taken..taken + count]);
        taken += count;
    }
    assert!(receiver.wait().unwrap().success());
    assert_eq!(seq_in(&fs::read_to_string(&path).unwrap()), 20_000);
}

fn seq_in(cursor: &str) -> usize {
    cursor.split_once('-').unwrap().1.strip_suffix(" cafe\n").unwrap().parse().unwrap()
}

/// Twenty times, each while a hundred texts come.
#[test]
fn who_is_killed_may_repeat_texts_and_skips_none() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let path = scratch.beside(".cursor");
    let args = ["--cursor-file", path.to_str().unwrap(), "--last", "9999"];
    let mut heard = 0;
    for round in 0..20 {
        let finished = thread::scope(|scope| {
            scope.spawn(|| tell(&server, 100 * round + 1..=100 * round + 100));
            let receiver = start(&server, &args);
            // At a moment that depends on all that goes on.
            let wanted = 100 * round + 1 + 37 * round % 100;
            receiver.expect_stdout(&format!("text {wanted}\n"));
            receiver.signal(Signal::KILL);
            receiver.finish()
        });
        heard = hear(&finished, heard);
    }
    heard = hear(&run(&server, &[&args[..], &["--no-follow"]].concat()), heard);
    assert_eq!(heard, 2000);
    assert_eq!(seq_in(&fs::read_to_string(&path).unwrap()), 2000);
}

/// The last text that has been heard, now with what was printed. Fails if it skips one.
fn hear(finished: &Finished, mut heard: u64) -> u64 {
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    // The last line may have been cut off.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let number: u64 = line.strip_prefix("bob: text ").unwrap().parse().unwrap();
        assert!(number <= heard + 1, "{number} after {heard}");
        heard = heard.max(number);
    }
    heard
}

#[test]
fn the_time_is_the_servers_and_each_text_has_a_position() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    tell(&server, 1..=2);
    server.stop();
    let sql = "UPDATE texts SET time = 1000000000123";
    assert_eq!(scratch.database().execute(sql, []), Ok(2));
    let server = scratch.server(&[]);
    let epoch = scratch.epoch();
    let finished = run(&server, &["--json", "--last", "2", "--no-follow"]);
    let objects = String::from_utf8(finished.stdout.clone()).unwrap();
    for (line, number) in objects.lines().zip(1..) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["position"], format!("{epoch}-{number}"), "{finished:?}");
        assert_eq!(object["text"], format!("text {number}"));
        let time = object["time"].as_str().unwrap();
        assert!(time.starts_with("2001-09-09T01:46:40.123"), "{finished:?}");
    }
    assert_eq!(objects.lines().count(), 2, "{finished:?}");
    let finished = run(&server, &["--timestamps", "--last", "1", "--no-follow"]);
    finished.assert(0, b"2001-09-09 01:46:40 bob: text 2\n", "");
    // What is said from now on has both, too, without another flag.
    let receiver = start(&server, &["--json", "-n", "1", "-v"]);
    receiver.expect_stderr("joined room");
    tell(&server, 3..=3);
    let finished = receiver.finish();
    let object: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(object["position"], format!("{epoch}-3"), "{finished:?}");
}

#[test]
fn bad_flags_are_wrong_usage() {
    for (flags, text) in [
        (&["--last", "x"][..], "a whole number is needed"),
        (&["--last", "-1"], "a whole number is needed"),
        (&["--last", "+1"], "a whole number is needed"),
        (&["--last", "1.5"], "a whole number is needed"),
        (&["--last", ""], "a whole number is needed"),
        (
            &["--last", "9223372036854775808"],
            "a whole number is needed, 9223372036854775807 at most",
        ),
        (&["--last", "99999999999999999999"], "a whole number is needed"),
        (&["--after", "5"], "a position is two numbers"),
        (&["--after", "5-"], "a position is two numbers"),
        (&["--after", "5-x"], "a position is two numbers"),
        (&["--after", "5-9223372036854775808"], "a position is two numbers"),
        (&["--after", ""], "a position is two numbers"),
        (&["--last", "1", "--after", "5-6"], "--last and --after exclude each other"),
        (&["--no-follow"], "--no-follow needs --last, --after or --cursor-file"),
        (&["--no-follow", "--json", "--reconnect"], "--no-follow needs"),
        (&["--cursor-file", ""], "the name of a file is needed"),
        (&["--last", " 1"], "a whole number is needed"),
        (&["--after", "-5-1"], "a position is two numbers"),
        (&["--after", "+5-1"], "a position is two numbers"),
        (&["--after", "5-1 "], "a position is two numbers"),
        (&["--after", "9223372036854775808-1"], "a position is two numbers"),
    ] {
        let args = [&["receiver"], flags, &["localhost", "1", "eve", "cafe"]].concat();
        Program::start(chatbox(args)).finish().assert_one_error(2, text);
    }
}
