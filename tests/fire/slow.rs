//! Receivers that hold their rooms back: the operator is told who it is, and so are they.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Peer, Place, Server, Signal, Way, Wire, wait_until};
use crate::over_each_plain_way;

over_each_plain_way! {
    receivers_that_take_little_are_named_and_not_cut
}

/// Sends texts for as long as somebody takes them, and reads the answers.
fn flood(place: impl Into<Place>) {
    let sender = Peer::sender(place, "bob", "cafe");
    let mut answers = sender.stream().try_clone().unwrap();
    thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    let texts = format!("sendall:{}\n", "x".repeat(200)).repeat(100);
    thread::spawn(move || while sender.stream().write_all(texts.as_bytes()).is_ok() {});
}

/// Reads a little, again and again.
fn dribble(mut stream: Wire) {
    let mut piece = [0; 4000];
    while stream.read(&mut piece).is_ok_and(|count| count > 0) {
        thread::sleep(Duration::from_millis(20));
    }
}

fn receivers_that_take_little_are_named_and_not_cut(way: Way) {
    let server = Server::over(way, &["--queue-limit", "20000", "--stall-timeout", "4"]);
    let users = ["slow", "slower"];
    for user in users {
        let mut slow = Peer::connect_with_buffer(server.place(), 16 * 1024);
        slow.enter("rlogin", user, "cafe");
        let slow = slow.stream().try_clone().unwrap();
        thread::spawn(move || dribble(slow));
    }
    let begun = Instant::now();
    flood(server.place());
    for user in users {
        server.program.expect_stderr(&format!("room cafe waits for receiver {user} ("));
    }
    let named = || {
        let report = server.report();
        let waits = report.split_once("bytes queued, waits for").map(|(_, waits)| waits);
        users.iter().all(|user| waits.is_some_and(|waits| waits.contains(&format!(" {user} ("))))
    };
    wait_until(named, || server.report());
    let before = server.reports("texts");
    server.wait_for_report("texts", |texts| texts > before + 1000);
    let log = server.program.stderr();
    // Each of them once in ten seconds, and nobody is counted who is named.
    let most = 1 + begun.elapsed().as_secs() as usize / 10;
    for user in users {
        let lines = log.matches(&format!("room cafe waits for receiver {user} (")).count();
        assert!((1..=most).contains(&lines), "{lines} lines of {user}: {log}");
    }
    assert!(!log.contains(" more since the last such line"), "{log}");
    assert_eq!(server.reports("receivers cut"), 0, "{}", server.report());
}

/// The one that was cut, and the one whose server stops, hear different things.
#[test]
fn a_receiver_that_is_cut_says_that_texts_may_be_missing() {
    for flags in [&[][..], &["--reconnect"]] {
        let server = Server::with(&["-v", "--queue-limit", "20000", "--stall-timeout", "1"]);
        let slow = server.receiver("slow", "cafe");
        let fast = server.receiver("fast", "cafe");
        let slower = server.receiver_with(flags, "slower", "cafe");
        slow.signal(Signal::STOP);
        slower.signal(Signal::STOP);
        flood(server.port);
        server.wait_for_report("receivers cut", |cut| cut == 2);
        slow.signal(Signal::CONT);
        slower.signal(Signal::CONT);
        slower.expect_stderr("texts may be missing");
        slow.finish().assert_last_error(1, "texts may be missing");
        if !flags.is_empty() {
            slower.expect_stderr("texts may be missing; trying again\n");
        }
        server.stop();
        fast.finish().assert_last_error(1, "the server closed the connection");
    }
}
