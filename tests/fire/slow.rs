//! Receivers that hold their rooms back: the operator is told who it is, and so are they.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::harness::{Peer, Server, Signal, wait_until};

/// Sends texts for as long as somebody takes them, and reads the answers.
fn flood(port: u16) {
    let sender = Peer::sender(port, "bob", "cafe");
    let mut answers = sender.stream().try_clone().unwrap();
    thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    let texts = format!("sendall:{}\n", "x".repeat(200)).repeat(100);
    thread::spawn(move || while sender.stream().write_all(texts.as_bytes()).is_ok() {});
}

/// Reads a little, again and again.
fn dribble(mut stream: TcpStream) {
    let mut piece = [0; 4000];
    while stream.read(&mut piece).is_ok_and(|count| count > 0) {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_receiver_that_takes_little_is_named_and_not_cut() {
    let server = Server::with(&["--queue-limit", "20000", "--stall-timeout", "4"]);
    let mut slow = Peer::connect_with_buffer(server.port, 16 * 1024);
    slow.enter("rlogin", "slow", "cafe");
    let slow = slow.stream().try_clone().unwrap();
    thread::spawn(move || dribble(slow));
    flood(server.port);
    server.program.expect_stderr("room cafe waits for receiver slow (127.0.0.1:");
    let named = || server.report().contains("bytes queued, waits for receiver slow (127.0.0.1:");
    wait_until(named, || server.report());
    let before = server.reports("texts");
    server.wait_for_report("texts", |texts| texts > before + 1000);
    assert_eq!(server.program.stderr().matches("room cafe waits for").count(), 1);
    assert_eq!(server.reports("receivers cut"), 0, "{}", server.report());
}

/// The one that was cut, and the one whose server stops, hear different things.
#[test]
fn a_receiver_that_is_cut_says_that_texts_are_missing() {
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
        slower.expect_stderr("texts are missing");
        slow.finish().assert_last_error(1, "texts are missing");
        if !flags.is_empty() {
            slower.expect_stderr("texts are missing; trying again\n");
        }
        server.stop();
        fast.finish().assert_last_error(1, "the server closed the connection");
    }
}
