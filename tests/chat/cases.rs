//! The worked sessions of `tests/cases`: real processes, exact output.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread::{self, JoinHandle};

use crate::harness::{Peer, Program, Server, chatbox};

fn case(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/cases/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A server that says all of `script` as soon as a client connects, closes its writing side then
/// if `closes`, and returns what the client sent.
fn scripted_server(script: Vec<u8>, closes: bool) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&script).unwrap();
        if closes {
            Peer::over(stream.try_clone().unwrap()).end();
        }
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    (port, server)
}

fn client(port: u16, applet: &str, args: &[&str]) -> Command {
    let port = port.to_string();
    let mut command = chatbox([applet, "localhost", &port]);
    command.args(args);
    command
}

#[test]
fn receiver() {
    let (port, server) = scripted_server(case("test_receiver_server.in"), false);
    let receiver = Program::start(client(port, "receiver", &["alice", "partytime"]));
    let want = String::from_utf8(case("receiver.out")).unwrap();
    receiver.expect_stdout(&want);
    receiver.signal(crate::harness::Signal::TERM);
    let finished = receiver.finish();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), want, "{finished:?}");
    assert_eq!(finished.stderr, b"", "{finished:?}");
    assert_eq!(server.join().unwrap(), case("receiver.received"), "{finished:?}");
}

#[test]
fn sender() {
    let (port, server) = scripted_server(case("test_sender_server.in"), false);
    let mut sender = Program::start(client(port, "sender", &["alice"]));
    sender.say(case("test_sender_client.in"));
    sender.end_of_input();
    sender.finish().assert(0, b"", "");
    let received = String::from_utf8(server.join().unwrap()).unwrap();
    let want = String::from_utf8(case("sender.received")).unwrap();
    // The payload of `quit` is the sender's to choose.
    let without_payload =
        |text: &str| text.rsplit_once("quit:").map(|(before, _)| before.to_owned());
    assert_eq!(without_payload(&received), without_payload(&want));
}

#[test]
fn two_senders_one_after_the_other() {
    let server = Server::start();
    let receiver = server.receiver("eve", "partytime");
    for (user, input) in [("alice", "seq_send_1.in"), ("bob", "seq_send_2.in")] {
        let mut sender = Program::start(server.client("sender", &[user]));
        sender.say(case(input));
        sender.end_of_input();
        sender.finish().assert(0, b"", "");
    }
    expect_in_the_end(receiver, server, "sequential.out");
}

#[test]
fn two_senders_in_turn() {
    let server = Server::start();
    let receiver = server.receiver("Eve", "partytime");
    let start = |user| Program::start(server.client("sender", &[user]));
    let mut senders = [start("alice"), start("bob")];
    let input = String::from_utf8(case("test_inter.in")).unwrap();
    let mut said = String::new();
    for (turn, line) in input.lines().enumerate() {
        senders[turn % 2].say(format!("{line}\n"));
        // The next one's turn comes when this text is there.
        if !line.starts_with('/') {
            said += &format!("{}: {line}\n", ["alice", "bob"][turn % 2]);
            receiver.expect_stdout(&said);
        }
    }
    for sender in senders {
        sender.finish().assert(0, b"", "");
    }
    expect_in_the_end(receiver, server, "interleaved.out");
}

/// Stops the server and compares what the receiver has printed by then, which is all of it.
fn expect_in_the_end(receiver: Program, server: Server, want: &str) {
    let server = server.stop();
    assert_eq!(server.status.code(), Some(0), "{server:?}");
    assert_eq!(server.stdout, b"", "{server:?}");
    receiver.finish().assert(1, &case(want), "receiver: the server closed the connection\n");
}
