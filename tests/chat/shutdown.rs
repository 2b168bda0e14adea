//! How a server starts and stops.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Peer, Program, Server, Signal, chatbox, numbered, wait_until};

#[test]
fn the_server_listens_on_ipv4_and_ipv6() {
    let server = Server::with(&[]);
    for host in ["127.0.0.1", "::1"] {
        let stream = match TcpStream::connect((host, server.port)) {
            // Not every machine has IPv6.
            Err(_) if host == "::1" && TcpListener::bind("[::1]:0").is_err() => continue,
            stream => stream.unwrap(),
        };
        Peer::over(stream).ok("slogin:bob");
    }
}

#[test]
fn a_port_that_is_taken_is_one_line() {
    let server = Server::with(&[]);
    let port = server.port.to_string();
    let second = Program::start(chatbox(["server", &port])).finish();
    second.assert_one_error(1, &format!(":{port}: "));
}

#[test]
fn a_stop_ends_idle_clients_without_a_word() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Server::with(&[]);
        let mut clients = [
            Peer::connect(server.port),
            Peer::sender(server.port, "bob", "cafe"),
            Peer::receiver(server.port, "eve", "cafe"),
        ];
        server.program.signal(signal);
        let finished = server.program.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert_eq!(finished.stdout, b"", "{finished:?}");
        clients.iter_mut().for_each(Peer::expect_end);
    }
}

/// What was received is carried out and answered, and what was answered is delivered.
#[test]
fn what_was_sent_before_a_stop_is_delivered() {
    for _ in 0..5 {
        let server = Server::with(&[]);
        let port = server.port;
        let mut receivers: Vec<_> = (0..3).map(|_| Peer::receiver(port, "eve", "cafe")).collect();
        let mut senders: Vec<_> =
            (0..3).map(|number| Peer::sender(port, &format!("s{number}"), "cafe")).collect();
        let texts = 2000;
        for sender in &mut senders {
            sender.send(numbered("n", texts));
        }
        let begun = Instant::now();
        server.program.signal(Signal::TERM);
        let finished = server.program.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let mut answered = vec![0; senders.len()];
        for (count, sender) in answered.iter_mut().zip(&mut senders) {
            while let Some(answer) = sender.next_line() {
                assert!(answer.starts_with(b"ok:"));
                *count += 1;
            }
        }
        assert_eq!(answered, vec![texts; senders.len()], "answers: {finished:?}");
        for receiver in &mut receivers {
            let mut heard = vec![0; senders.len()];
            while let Some(line) = receiver.next_line() {
                let line = String::from_utf8(line).unwrap();
                let rest = line.strip_prefix("delivery:cafe:s").unwrap();
                let (sender, text) = rest.split_once(':').unwrap();
                let sender: usize = sender.parse().unwrap();
                assert_eq!(text, format!("n{}", heard[sender]));
                heard[sender] += 1;
            }
            assert_eq!(heard, answered, "deliveries: {finished:?}");
        }
    }
}

/// A server with more queued for a receiver than that receiver takes.
fn stalled_server() -> (Server, Peer) {
    let server = Server::with(&[]);
    let receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut writer = sender.stream().try_clone().unwrap();
    let texts = format!("sendall:{}\n", "x".repeat(240)).repeat(100);
    // Both go on until the server takes no more, or gives no more answers.
    thread::spawn(move || while writer.write_all(texts.as_bytes()).is_ok() {});
    thread::spawn(move || while sender.next_line().is_some() {});
    server.wait_for_report("bytes queued", |bytes| bytes > 1024 * 1024);
    (server, receiver)
}

#[test]
fn a_receiver_that_does_not_read_holds_up_a_stop_only_so_long() {
    let (server, _receiver) = stalled_server();
    let begun = Instant::now();
    server.program.signal(Signal::TERM);
    server.program.expect_stderr("stopping");
    // It waits without keeping a processor busy.
    thread::sleep(Duration::from_millis(2500));
    let (used, since) = (server.program.processor_seconds(), Instant::now());
    thread::sleep(Duration::from_millis(1000));
    let share = (server.program.processor_seconds() - used) / since.elapsed().as_secs_f64();
    assert!(share < 0.5, "{share} of a processor");
    let finished = server.program.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "took {took:?}: {finished:?}");
}

#[test]
fn a_second_signal_ends_a_stopping_server_at_once() {
    let (server, _receiver) = stalled_server();
    server.program.signal(Signal::TERM);
    server.program.expect_stderr("stopping");
    server.program.signal(Signal::INT);
    let finished = server.program.finish();
    assert_eq!(finished.status.signal(), Some(Signal::INT.as_raw()), "{finished:?}");
}

/// Standard error may be a pipe into a program that has stopped, or a terminal in Ctrl-S.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let (mut log, writer) = std::io::pipe().unwrap();
    let mut command = chatbox(["server", "0", "-vv"]);
    command.stdin(Stdio::null()).stderr(writer);
    let mut server = command.spawn().unwrap();
    drop(command);
    let mut line = String::new();
    while !line.ends_with('\n') {
        let mut byte = [0];
        log.read_exact(&mut byte).unwrap();
        line.push(char::from(byte[0]));
    }
    let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    let mut receiver = Peer::receiver(port, "eve", "cafe");
    let mut sender = Peer::sender(port, "bob", "cafe");
    for number in 0..5000 {
        sender.err("this is logged");
        sender.ok(&format!("sendall:{number}"));
        receiver.expect(&format!("delivery:cafe:bob:{number}"));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), Signal::TERM).unwrap();
    wait_until(|| server.try_wait().unwrap().is_some(), || "still running".into());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn the_port_can_be_used_again_at_once() {
    let server = Server::with(&[]);
    let port = server.port;
    let _receiver = Peer::receiver(port, "eve", "cafe");
    server.stop();
    let again = Server::run(chatbox(["server", &port.to_string()]));
    assert_eq!(again.port, port);
    Peer::sender(port, "bob", "cafe").ok("sendall:hi");
}
