//! Receivers that take little, in rooms that remember: nobody waits for them, and they miss nothing.

use std::io::Read;
use std::thread;
use std::time::Duration;

use crate::harness::{Peer, wait_until};
use crate::scratch::{Record, Scratch, receiver, say};

/// Bytes that may be queued for a receiver.
const LIMIT: &str = "20000";

/// A text of some length, with its number.
fn text(number: usize) -> String {
    format!("{number} {}", "x".repeat(200))
}

#[test]
fn a_slow_receiver_holds_up_nobody_and_gets_everything() {
    let scratch = Scratch::new();
    let server = scratch.server(&["--queue-limit", LIMIT, "--stall-timeout", "60"]);
    let texts = 60_000;
    let mut plain = Peer::connect_with_buffer(server.port, 4096);
    plain.enter("rlogin", "eve", "cafe");
    let (mut records, _) = {
        let mut peer = Peer::connect_with_buffer(server.port, 4096);
        peer.ok("rlogin:pat");
        peer.ok("history:");
        let answer = peer.ask("join:cafe");
        (peer, answer)
    };
    // All of it is answered while both take nothing: far more than may be queued.
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=texts).map(text));
    let queued = server.reports("bytes queued");
    assert!(queued < 4 * 65_536 + 2 * 20_000, "{queued} bytes are queued");
    for number in 1..=texts {
        plain.expect(&format!("delivery:cafe:bob:{}", text(number)));
        let record = Record::parse(&records.line());
        assert_eq!((record.seq, record.text), (number as u64, text(number)));
    }
    // Now they hear what is said at once.
    say(&mut sender, [text(0)]);
    plain.expect(&format!("delivery:cafe:bob:{}", text(0)));
    assert_eq!(Record::parse(&records.line()).seq, texts as u64 + 1);
    assert_eq!(server.reports("receivers cut"), 0);
    // Each text is counted once for each receiver.
    assert_eq!(server.reports("deliveries"), 2 * (texts as u64 + 1));
}

#[test]
fn a_receiver_that_lags_gets_what_it_is_owed_before_it_goes_on() {
    for request in ["join:other", "join:cafe", "history:"] {
        let scratch = Scratch::new();
        let server = scratch.server(&["--queue-limit", LIMIT, "--stall-timeout", "60"]);
        let texts = 40_000;
        let mut peer = Peer::connect_with_buffer(server.port, 4096);
        peer.enter("rlogin", "eve", "cafe");
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        say(&mut sender, (1..=texts).map(text));
        peer.send(format!("{request}\n"));
        // What is said later comes later, if at all.
        for number in 1..=texts {
            peer.expect(&format!("delivery:cafe:bob:{}", text(number)));
        }
        assert!(peer.line().starts_with("ok:"), "{request}");
        say(&mut sender, [text(0)]);
        match request {
            "join:other" => assert!(peer.ask("join:other").starts_with("ok:")),
            "join:cafe" => peer.expect(&format!("delivery:cafe:bob:{}", text(0))),
            _ => assert_eq!(Record::parse(&peer.line()).seq, texts as u64 + 1),
        }
    }
}

#[test]
fn one_that_takes_nothing_at_all_is_cut_and_one_that_takes_little_is_not() {
    let scratch = Scratch::new();
    let server = scratch.server(&["--queue-limit", LIMIT, "--stall-timeout", "2"]);
    let mut stuck = Peer::connect_with_buffer(server.port, 4096);
    stuck.enter("rlogin", "stuck", "cafe");
    let mut slow = Peer::connect_with_buffer(server.port, 4096);
    slow.enter("rlogin", "slow", "cafe");
    let slow = thread::spawn(move || {
        let mut taken = 0;
        let mut buffer = [0; 4096];
        for _ in 0..60 {
            taken += slow.stream().read(&mut buffer).unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        taken
    });
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=60_000).map(text));
    wait_until(|| server.reports("receivers cut") == 1, || server.report());
    server.program.expect_stderr("cut receiver stuck");
    assert!(slow.join().unwrap() >= 60 * 1024);
    assert_eq!(server.reports("receivers cut"), 1);
}

/// What it needs is let go of before it has it.
#[test]
fn one_that_needs_what_is_no_longer_kept_is_cut_and_learns_how_much() {
    let scratch = Scratch::new();
    let flags = ["--queue-limit", LIMIT, "--stall-timeout", "60", "--keep-texts", "10"];
    let server = scratch.server(&flags);
    let mut peer = Peer::connect_with_buffer(server.port, 4096);
    peer.ok("rlogin:eve");
    peer.ok("history:");
    peer.ok("join:cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=60_000).map(text));
    wait_until(|| scratch.texts("cafe").len() == 10, || server.report());
    let mut heard = 0;
    let mut epoch = 0;
    while let Some(line) = peer.next_line() {
        let record = Record::parse(&line.escape_ascii().to_string());
        assert_eq!(record.seq, heard + 1);
        (heard, epoch) = (record.seq, record.epoch);
    }
    assert!(heard < 60_000);
    let (_, span) = receiver(server.port, &format!("after={epoch}-{heard}"), "cafe");
    assert_eq!((span.from, span.to), (59_990, 60_000));
}

/// Whatever is queued is too much, so that all of them are replayed all the time, on all workers.
#[test]
fn however_little_may_be_queued_everybody_gets_everything() {
    let scratch = Scratch::new();
    let server = scratch.server(&["--queue-limit", "1", "--workers", "4"]);
    let (port, texts) = (server.port, 2000);
    let rooms = ["cafe", "tea", "bar"];
    let (mut plain, mut recorded) = (Vec::new(), Vec::new());
    for room in rooms {
        plain.extend((0..4).map(|_| (room, Peer::receiver(port, "eve", room))));
        recorded.extend((0..4).map(|_| (room, receiver(port, "", room).0)));
    }
    let talk = |room: &'static str| {
        thread::spawn(move || {
            let mut sender = Peer::sender(port, "bob", room);
            let lines: String = (1..=texts).map(|it| format!("sendall:{room} {it}\n")).collect();
            sender.send(lines);
            (0..texts).for_each(|_| sender.expect("ok:sent"));
        })
    };
    let talking: Vec<_> = rooms.into_iter().map(talk).collect();
    for number in 1..=texts {
        for (room, peer) in &mut plain {
            peer.expect(&format!("delivery:{room}:bob:{room} {number}"));
        }
        for (room, peer) in &mut recorded {
            let record = Record::parse(&peer.line());
            assert_eq!((record.seq, record.text), (number, format!("{room} {number}")));
        }
    }
    talking.into_iter().for_each(|talk| talk.join().unwrap());
    assert_eq!(server.reports("receivers cut"), 0);
}
