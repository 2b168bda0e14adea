//! `sender` and `receiver` against real and scripted servers, in pipes.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::harness::ports::ClosedPort;
use crate::harness::script::Script;
use crate::harness::{NO_HOST, Peer, Program, Server, Signal, bash, chatbox};

#[test]
fn a_refusal_is_passed_on_exactly() {
    for reason in ["sorry, we are closed", " spaces: and colons ", "", "p\u{e4}\u{1f980}"] {
        for (applet, args) in [("sender", &["bob"][..]), ("receiver", &["bob", "cafe"])] {
            let script = Script::new();
            let client = script.start(applet, args);
            let mut peer = script.accept();
            peer.line();
            peer.send(format!("err:{reason}\n"));
            client.finish().assert(1, b"", &format!("{reason}\n"));
        }
        let script = Script::new();
        let client = script.start("receiver", &["bob", "cafe"]);
        let mut peer = script.accept();
        peer.line();
        peer.send("ok:\n");
        peer.expect("join:cafe");
        peer.send(format!("err:{reason}\r\n"));
        client.finish().assert(1, b"", &format!("{reason}\n"));
    }
}

#[test]
fn our_server_refuses_bad_names_and_the_clients_say_so() {
    let server = Server::with(&[]);
    let run = |applet, args: &[&str]| Program::start(server.client(applet, args)).finish();
    run("sender", &["bad name"]).assert_one_error(1, "user name");
    run("receiver", &["bad-name", "cafe"]).assert_one_error(1, "user name");
    run("receiver", &["eve", ""]).assert_one_error(1, "room name");
    // These would be two lines, or one too long, and are not sent.
    run("sender", &["bob\nquit:"]).assert_one_error(1, "line break");
    run("receiver", &["eve", "cafe\r"]).assert_one_error(1, "line break");
    run("sender", &[&"b".repeat(300)]).assert_one_error(1, "too long to send by 53 bytes");
}

#[test]
fn a_sender_waits_for_each_answer_and_goes_on_after_an_error() {
    let script = Script::new();
    let (mut sender, mut peer) = script.sender();
    sender.say("/join cafe\n  hello:  there \n\n   \n/leave\n/join  bar \n/quit\n");
    for (request, answer, error) in [
        ("join:cafe", "ok:1", ""),
        ("sendall:hello:  there", "err: no: not so ", " no: not so \n"),
        ("leave:", "ok:", ""),
        ("join:bar", "err:full", "full\n"),
        ("quit:", "err:stay", "stay\n"),
    ] {
        peer.expect(request);
        let before = sender.stderr();
        peer.send(format!("{answer}\n"));
        sender.expect_stderr(&format!("{before}{error}"));
    }
    sender.finish().assert(0, b"", " no: not so \nfull\nstay\n");
}

#[test]
fn a_sender_sends_nothing_for_a_line_that_makes_no_sense() {
    let script = Script::new();
    let (mut sender, mut peer) = script.sender();
    let too_long = "x".repeat(247);
    sender.say(format!(
        "/join\n/join a b\n/what\n/\n/leave me\n{too_long}\n/join {too_long}xxxx\nthe end\n"
    ));
    sender.end_of_input();
    peer.expect("sendall:the end");
    peer.send("ok:\n");
    let finished = sender.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 7, "one line each: {finished:?}");
    assert!(lines[0].contains("/join ROOM") && lines[1].contains("/join ROOM"), "{finished:?}");
    assert!(lines[2..5].iter().all(|line| line.contains("unknown command")), "{finished:?}");
    assert!(lines[5].contains("too long to send by 1 byte"), "{finished:?}");
    assert!(lines[6].contains("too long to send by 2 bytes"), "{finished:?}");
    // And no `quit:` at the end of input.
    peer.expect_end();
}

/// In a pipe, with a room and without; a message is sent as it is.
#[test]
fn two_slashes_send_a_text_that_starts_with_one() {
    for (args, input) in [
        (&["bob"][..], "//etc/passwd is gone\n  //etc/passwd is gone\n/etc\n"),
        (&["bob", "--room", "cafe"], "//etc/passwd is gone\n  //etc/passwd is gone\n/etc\n"),
        (&["bob", "--room", "cafe", "-m", "/etc/passwd is gone", "-m", "/etc/passwd is gone"], ""),
    ] {
        let script = Script::new();
        let mut sender = script.start("sender", args);
        let mut peer = script.accept();
        peer.send("ok:\n".repeat(4));
        sender.say(input);
        sender.end_of_input();
        sender.finish();
        peer.expect("slogin:bob");
        if args.len() > 1 {
            peer.expect("join:cafe");
        }
        peer.expect("sendall:/etc/passwd is gone");
        peer.expect("sendall:/etc/passwd is gone");
        peer.expect_end();
    }
}

#[test]
fn a_sender_reads_a_last_line_without_an_end_and_any_bytes() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Program::start(server.client("sender", &["bob"]));
    sender.say(b"/join cafe\r\n\xff\0\x1b[2J\r\nlast");
    sender.end_of_input();
    sender.finish().assert(0, b"", "");
    receiver.expect("delivery:cafe:bob:\\xff\\x00\\x1b[2J");
    receiver.expect("delivery:cafe:bob:last");
}

#[test]
fn a_sender_keeps_no_line_without_an_end() {
    let script = Script::new();
    let (mut sender, _peer) = script.sender();
    let piece = vec![b'x'; 1_000_000];
    for _ in 0..100 {
        sender.say(&piece);
    }
    let memory = sender.peak_memory();
    assert!(memory < 20 * 1024, "{memory} KiB");
    sender.end_of_input();
    sender.finish().assert(0, b"", "sender: too long to send\n");
}

#[test]
fn a_sender_does_not_wait_for_the_answer_to_quit_for_ever() {
    let script = Script::new();
    let (mut sender, mut peer) = script.sender();
    sender.say("/quit\n");
    peer.expect("quit:");
    drop(peer);
    sender.finish().assert(0, b"", "");
}

#[test]
fn a_sender_says_so_when_the_server_goes_away() {
    let script = Script::new();
    let (mut sender, peer) = script.sender();
    drop(peer);
    sender.say("anybody there?\n");
    sender.finish().assert_one_error(1, "the server");
}

#[test]
fn a_receiver_prints_what_is_said_and_nothing_else() {
    let script = Script::new();
    let (receiver, mut peer) = script.receiver();
    let long = "x".repeat(246);
    let (room, user) = ("r".repeat(249), "u".repeat(247));
    peer.send(
        "delivery:cafe:bob:hi\r\ndelivery:bar:robert_de_bobert:a:b: c \ndelivery:cafe:bob:\n",
    );
    peer.send(format!("delivery:{room}:{user}:{long}\ndelivery:cafe:bob:e"));
    receiver.expect_stdout(&format!("bob: hi\nrobert_de_bobert: a:b: c \nbob: \n{user}: {long}\n"));
    peer.send("nd\n");
    receiver.expect_stdout("bob: end\n");
    drop(peer);
    let finished = receiver.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stderr, b"receiver: the server closed the connection\n", "{finished:?}");
}

#[test]
fn a_receiver_reports_a_line_that_is_no_delivery_and_goes_on() {
    let strange = [
        "nonsense".to_owned(),
        String::new(),
        "ok:why?".to_owned(),
        "delivery:cafe".to_owned(),
        "delivery:cafe:bob".to_owned(),
        "\x1b]0;title\x07".to_owned(),
        "x".repeat(1_000_000),
    ];
    for line in strange {
        let script = Script::new();
        let (receiver, mut peer) = script.receiver();
        peer.send(format!("{line}\ndelivery:cafe:bob:hi\n"));
        receiver.expect_stdout("bob: hi\n");
        receiver.signal(Signal::TERM);
        let finished = receiver.finish();
        assert_eq!(finished.stdout, b"bob: hi\n", "{finished:?}");
        let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert_eq!(stderr.lines().count(), 1, "{finished:?}");
        assert!(stderr.len() < 300, "{finished:?}");
        assert!(!stderr.contains('\x1b'), "{finished:?}");
    }
}

#[test]
fn a_client_ends_by_the_signal_that_ends_it() {
    for signal in [Signal::INT, Signal::TERM] {
        let script = Script::new();
        let (receiver, _peer) = script.receiver();
        let (sender, mut other) = script.sender();
        // Both are at work: the one waits for the server, the other for its input.
        for client in [receiver, sender] {
            client.signal(signal);
            let finished = client.finish();
            assert_eq!(finished.status.signal(), Some(signal.as_raw()), "{finished:?}");
            assert_eq!((finished.stdout.len(), finished.stderr.len()), (0, 0), "{finished:?}");
        }
        other.expect_end();
    }
}

#[test]
fn a_receiver_ends_quietly_when_nobody_reads_it_even_in_a_silent_room() {
    let server = Server::start();
    let mut pipeline = bash("\"$chatbox\" receiver localhost $port eve cafe | head -n 1");
    pipeline.env("port", server.port.to_string());
    let pipeline = Program::start(pipeline);
    server.program.expect_stderr("joined room cafe");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:only this");
    // Nothing more is ever said, and the shell waits for both ends of the pipe.
    pipeline.finish().assert(0, b"bob: only this\n", "");
}

#[test]
fn a_receiver_whose_output_is_full_says_so() {
    let server = Server::start();
    let mut command = server.client("receiver", &["eve", "cafe"]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let receiver = command.spawn().unwrap();
    server.program.expect_stderr("joined room cafe");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hi");
    let output = receiver.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("cannot write to standard output"), "{stderr}");
}

#[test]
fn a_line_is_printed_when_it_arrives() {
    let script = Script::new();
    let (receiver, mut peer) = script.receiver();
    for number in 0..50 {
        peer.send(format!("delivery:cafe:bob:{number}\n"));
        receiver.expect_stdout(&format!("bob: {number}\n"));
    }
}

#[test]
fn what_cannot_be_reached_is_one_line() {
    let closed_port = ClosedPort::new();
    let closed = closed_port.port.to_string();
    for (applet, rest) in [("sender", &["bob"][..]), ("receiver", &["bob", "cafe"])] {
        let run = |host: &str, port: &str| {
            let mut command = chatbox([applet, host, port]);
            command.args(rest);
            Program::start(command).finish()
        };
        run("localhost", &closed).assert_one_error(1, &format!("localhost port {closed}"));
        run(NO_HOST, "5000").assert_one_error(1, NO_HOST);
        for port in ["0", "65536", "-1", "abc", "", "5000x"] {
            run("localhost", port).assert_one_error(2, "usage: ");
        }
    }
}

#[test]
fn a_server_that_is_no_chat_is_reported() {
    let script = Script::new();
    let receiver = script.start("receiver", &["eve", "cafe"]);
    let mut peer = script.accept();
    peer.line();
    peer.send("HTTP/1.1 400 Bad Request\r\n");
    drop(peer);
    let finished = receiver.finish();
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert!(stderr.contains("HTTP/1.1 400 Bad Request"), "{finished:?}");
    assert!(stderr.contains("the server"), "{finished:?}");
}

/// The refusal comes before the client has said anything, and the connection is closed at once.
#[test]
fn a_refusal_at_the_door_is_passed_on() {
    let script = Script::new();
    let client = script.start("sender", &["bob"]);
    let (mut stream, _) = script.listener.accept().unwrap();
    stream.write_all(b"err:the house is full\n").unwrap();
    drop::<TcpStream>(stream);
    client.finish().assert(1, b"", "the house is full\n");
}
