//! What happens when the file cannot be written, and when something of it is lost.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, Signal, getuid, prlimit};

use crate::harness::{Peer, Server, bash, left_out, wait_until};
use crate::scratch::{Record, Scratch, Span, receiver, records, say};

/// The answer to a text while somebody has locked the database.
const LOCKED: &str = "err:not kept: another program has locked the history";

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
        assert_eq!(sender.ask("sendall:2"), LOCKED);
    }
    server.program.expect_stderr("locked it");
    assert_eq!(server.program.stderr().matches("locked it").count(), 1);
    database.execute_batch("COMMIT").unwrap();
    say(&mut sender, ["3".into()]);
    // What was refused is not delivered.
    peer.expect("delivery:cafe:bob:3");
    assert_eq!(scratch.texts("cafe"), [(1, "1".into()), (2, "3".into())]);
}

/// All who say something in the meantime are told, and who joins need not know.
#[test]
fn a_lock_is_waited_for_two_seconds() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let port = server.port;
    let database = scratch.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ask = |user: usize| {
        let mut sender = Peer::sender(port, "bob", &format!("room{user}"));
        thread::spawn(move || {
            let begun = Instant::now();
            let lines = "sendall:hi\n".repeat(10);
            sender.send(lines);
            (0..10).for_each(|_| sender.expect(LOCKED));
            begun.elapsed()
        })
    };
    let asking: Vec<_> = (0..10).map(ask).collect();
    // Of rooms that the server has not heard of, and of one that it waits for.
    let (_, span) = receiver(port, "last=5", "quiet");
    assert_eq!((span.from, span.to), (0, 0));
    let (mut peer, span) = receiver(port, "", "room0");
    assert_eq!((span.from, span.to), (0, 0));
    Peer::receiver(port, "eve", "room1");
    let mut longest = Duration::ZERO;
    for asking in asking {
        longest = longest.max(asking.join().unwrap());
    }
    let expected = Duration::from_secs(1)..Duration::from_secs(15);
    assert!(expected.contains(&longest), "{longest:?}");
    database.execute_batch("COMMIT").unwrap();
    let mut sender = Peer::sender(port, "bob", "room0");
    say(&mut sender, ["now".into()]);
    assert_eq!(records(&mut peer, 1)[0].text, "now");
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
    let server = scratch.server(&[]);
    goes_on_when_it_can(&scratch, server, || {
        let mut remount = Command::new("mount");
        remount.args(["-o", "remount,size=8m"]).arg(scratch.folder());
        assert!(remount.status().unwrap().success());
    });
}

/// Files may have so many bytes, so that it is not said of the disk that it is full: what has been
/// written is in doubt.
#[test]
fn a_failing_disk_is_an_error_and_chat_goes_on_when_it_works() {
    for flags in [&[][..], &["--fsync"]] {
        let scratch = Scratch::new();
        let file = scratch.file();
        let script = "trap '' XFSZ; ulimit -S -f 200; exec \"$chatbox\" \"$@\"";
        let mut command = bash(script);
        command.args(["bash", "server", "0", "--workers", "3", "--history"]).arg(&file).args(flags);
        let server = Server::run(command);
        let pid = Pid::from_raw(server.program.pid() as i32);
        goes_on_when_it_can(&scratch, server, || {
            prlimit(pid, Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
        });
    }
}

/// Says things until one is refused, and then again as soon as that can be.
fn goes_on_when_it_can(scratch: &Scratch, server: Server, mend: impl FnOnce()) {
    let begun = Instant::now();
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let (mut peer, _) = receiver(server.port, "", "cafe");
    let mut plain = Peer::receiver(server.port, "pat", "cafe");
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
    let refused = refused.expect("it never fails");
    assert!(refused.starts_with("err:not kept: "), "{refused}");
    let heard: Vec<_> = records(&mut peer, kept.len()).into_iter().map(|it| it.text).collect();
    assert_eq!(heard, kept);
    // What is there can be read all the same, and rooms can be joined.
    let (mut late, span) = receiver(server.port, "last=3", "cafe");
    assert_eq!(span.to, kept.len() as u64);
    assert_eq!(records(&mut late, 3)[2].text, kept[kept.len() - 1]);
    let (_, span) = receiver(server.port, "", "new");
    assert_eq!((span.from, span.to), (0, 0));
    let mut others = Peer::sender(server.port, "al", "other");
    let answer = others.ask("sendall:hi");
    assert!(answer == "ok:sent" || answer.starts_with("err:not kept: "), "{answer}");
    server.program.expect_stderr("cannot write");
    let warnings = server.program.stderr().matches("cannot write").count() as u64;
    let most = 1 + begun.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&warnings), "{:?}", server.program);
    mend();
    wait_until(|| sender.ask("sendall:more") == "ok:sent", || format!("{:?}", server.program));
    let record = &records(&mut peer, 1)[0];
    assert_eq!((record.seq, &*record.text), (kept.len() as u64 + 1, "more"));
    for text in kept.iter().map(String::as_str).chain(["more"]) {
        plain.expect(&format!("delivery:cafe:bob:{text}"));
    }
    // What was refused does not come back, not even if that is the end.
    server.program.signal(Signal::KILL);
    server.program.finish();
    kept.push("more".into());
    let server = scratch.server(&[]);
    let texts: Vec<_> = scratch.texts("cafe").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, kept);
    server.stop();
}

/// Loses what the rooms have said after these numbers; the next text finds out.
fn lose(database: &Connection, rooms: &[(&str, u64)], sender: &mut Peer) {
    for (room, last) in rooms {
        database
            .execute("UPDATE rooms SET last = ?2 WHERE room = ?1", (room, *last as i64))
            .unwrap();
        let sql = "DELETE FROM texts WHERE room = ?1 AND seq > ?2";
        database.execute(sql, (room, *last as i64)).unwrap();
    }
    // An error that says nothing about what is there.
    database.execute_batch("ALTER TABLE texts RENAME COLUMN sender TO gone").unwrap();
    let answer = sender.ask("sendall:lost");
    assert!(answer.starts_with("err:not kept: "), "{answer}");
    database.execute_batch("ALTER TABLE texts RENAME COLUMN gone TO sender").unwrap();
}

#[test]
fn when_texts_are_lost_all_rooms_know_at_once() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=5).map(|number| number.to_string()));
    let (mut live, span) = receiver(server.port, "", "cafe");
    let old = span.epoch;
    let mut other = Peer::sender(server.port, "bob", "tea");
    say(&mut other, (1..=5).map(|number| number.to_string()));
    let (_stays, _) = receiver(server.port, "", "tea");
    lose(&scratch.database(), &[("cafe", 3)], &mut other);
    let new = scratch.epoch();
    assert!(new > old);
    server.program.expect_stderr("texts are lost");
    // Before anything is said in any room.
    for (room, asked, from, to) in [
        ("cafe", format!("after={old}-5"), 3, 3),
        ("cafe", format!("after={old}-2"), 2, 3),
        ("cafe", format!("after={new}-5"), 0, 3),
        ("cafe", String::new(), 3, 3),
        ("tea", format!("after={old}-5"), 5, 5),
        ("tea", "last=2".into(), 3, 5),
    ] {
        let (mut peer, span) = receiver(server.port, &asked, room);
        assert_eq!(span, Span { epoch: new, from, to }, "{asked} in {room}");
        for (record, seq) in records(&mut peer, (to - from) as usize).iter().zip(from + 1..) {
            assert_eq!((record.epoch, record.seq, &record.text), (new, seq, &seq.to_string()));
        }
    }
    say(&mut sender, ["another".into()]);
    let record = &records(&mut live, 1)[0];
    assert_eq!((record.epoch, record.seq, &*record.text), (new, 4, "another"));
    // So it stays.
    server.stop();
    let server = scratch.server(&[]);
    assert_eq!(scratch.epoch(), new);
    let (_, span) = receiver(server.port, &format!("after={old}-5"), "cafe");
    assert_eq!(span, Span { epoch: new, from: 3, to: 4 });
}

#[test]
fn one_that_lags_gets_what_is_left_when_texts_are_lost() {
    let scratch = Scratch::new();
    let server = scratch.server(&["--queue-limit", "20000", "--stall-timeout", "60"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut peer = Peer::connect_with_buffer(server.port, 4096);
    peer.ok("rlogin:eve");
    peer.ok("history:");
    let old = Span::parse(&peer.ask("join:cafe")).epoch;
    let (texts, left) = (50_000, 49_990);
    say(&mut sender, (1..=texts).map(|number| format!("{number} {}", "x".repeat(200))));
    lose(&scratch.database(), &[("cafe", left)], &mut sender);
    let new = scratch.epoch();
    say(&mut sender, ["another".into()]);
    let mut epoch = old;
    for seq in 1..=left + 1 {
        let record = Record::parse(&peer.line());
        assert_eq!(record.seq, seq);
        assert!([epoch, new].contains(&record.epoch), "{record:?}");
        epoch = record.epoch;
    }
    assert_eq!(epoch, new);
    assert_eq!(server.reports("receivers cut"), 0);
}
