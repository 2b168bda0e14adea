//! How a server starts and stops.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command_line::scratch;
use crate::harness::{
    Peer, Program, Server, Signal, Way, bash, chatbox, left_out, limited, numbered, wait_until,
};
use crate::{over_each_plain_way, over_each_way};

over_each_way! {
    a_stop_ends_idle_clients_without_a_word
}

over_each_plain_way! {
    what_was_sent_before_a_stop_is_delivered
}

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

fn a_stop_ends_idle_clients_without_a_word(way: Way) {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Server::over(way, &[]);
        let mut clients = [
            Peer::connect(server.place()),
            Peer::sender(server.place(), "bob", "cafe"),
            Peer::receiver(server.place(), "eve", "cafe"),
        ];
        server.program.signal(signal);
        let finished = server.program.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert_eq!(finished.stdout, b"", "{finished:?}");
        clients.iter_mut().for_each(Peer::expect_end);
    }
}

/// What was received is carried out and answered, and what was answered is delivered.
fn what_was_sent_before_a_stop_is_delivered(way: Way) {
    for _ in 0..5 {
        let server = Server::over(way, &[]);
        let place = &server.place();
        let mut receivers: Vec<_> = (0..3).map(|_| Peer::receiver(place, "eve", "cafe")).collect();
        let mut senders: Vec<_> =
            (0..3).map(|number| Peer::sender(place, &format!("s{number}"), "cafe")).collect();
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

/// A server that hears hangups: those who run the tests may have had them ignored.
fn server_that_hears_hangups() -> Server {
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(env!("CARGO_BIN_EXE_chatbox"));
    command.args(["server", "0", "--workers", "3"]);
    Server::run(command)
}

/// A server with more queued for a receiver than that receiver takes.
fn stalled_server() -> (Server, Peer) {
    let server = server_that_hears_hangups();
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

/// The port in the first line of a log that has one.
fn port_in(log: &mut impl Read) -> u16 {
    loop {
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            log.read_exact(&mut byte).unwrap();
            line.push(char::from(byte[0]));
        }
        if line.contains("listening on") {
            break line.trim().rsplit(':').next().unwrap().parse().unwrap();
        }
    }
}

/// Standard error may be a pipe into a program that has stopped, or a terminal in Ctrl-S.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let (mut log, writer) = std::io::pipe().unwrap();
    let mut command = chatbox(["server", "0", "-vv"]);
    command.stdin(Stdio::null()).stderr(writer);
    let mut server = command.spawn().unwrap();
    drop(command);
    let port = port_in(&mut log);
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

/// As when the terminal that it was started in is closed.
#[test]
fn a_hangup_stops_a_server_unless_it_was_started_with_hangups_ignored() {
    let server = server_that_hears_hangups();
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    server.program.signal(Signal::HUP);
    let finished = server.program.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    receiver.expect_end();
    let server = Server::run(bash("trap '' HUP && exec \"$chatbox\" server 0"));
    server.program.signal(Signal::HUP);
    // Signals are delivered one after the other, the lower number first.
    server.report();
    Peer::sender(server.port, "bob", "cafe").ok("sendall:still here");
    assert_eq!(server.stop().status.code(), Some(0));
}

#[test]
fn a_log_that_is_full_stops_nothing() {
    let server = Server::with(&[]);
    let port = server.port;
    server.stop();
    let log = scratch("full-log").join("log");
    let mut command = bash("ulimit -f 4 && exec \"$chatbox\" server -vv $port 2>\"$log\"");
    command.env("port", port.to_string()).env("log", &log);
    let server = Program::start(command);
    wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok(), || format!("{server:?}"));
    // A line each, and more than fit.
    let mut peer = Peer::sender(port, "bob", "cafe");
    (0..1000).for_each(|_| peer.err("nonsense"));
    let size = || std::fs::metadata(&log).unwrap().len();
    wait_until(|| size() == 4096, || format!("{} bytes", size()));
    peer.ok("sendall:hi");
    server.signal(Signal::TERM);
    assert_eq!(server.finish().status.code(), Some(0));
}

/// Whoever does not read, and whoever does not read the log, hold up a stop only so long.
#[test]
fn a_stop_takes_as_long_as_it_may_and_no_longer() {
    let mut took = Vec::new();
    // The machine may be busy with something else a few times.
    while took.len() < 10 {
        took.push(hindered_stop());
        if took.last() < Some(&Duration::from_millis(1400)) {
            return;
        }
    }
    panic!("a stop of a second took {took:?}");
}

/// Returns how long a stop took that may take a second.
fn hindered_stop() -> Duration {
    let (mut log, writer) = std::io::pipe().unwrap();
    let mut command = chatbox(["server", "0", "-vv", "--stop-timeout", "1"]);
    command.stdin(Stdio::null()).stderr(writer);
    let mut server = command.spawn().unwrap();
    drop(command);
    let port = port_in(&mut log);
    let _stalled = Peer::receiver(port, "eve", "cafe");
    let mut sender = Peer::sender(port, "bob", "cafe");
    let mut flood = sender.stream().try_clone().unwrap();
    let texts = format!("sendall:{}\nnonsense\n", "x".repeat(240)).repeat(100);
    thread::spawn(move || while flood.write_all(texts.as_bytes()).is_ok() {});
    // So many refusals do not fit into the pipe.
    (0..20_000).for_each(|_| drop(sender.line()));
    let begun = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), Signal::TERM).unwrap();
    wait_until(|| server.try_wait().unwrap().is_some(), || "still running".into());
    assert_eq!(server.wait().unwrap().code(), Some(0));
    begun.elapsed()
}

/// Without its zone, an address of that kind makes no sense to the system.
#[test]
fn an_address_keeps_its_zone() {
    if TcpListener::bind("[::1]:0").is_err() {
        return left_out("this machine has no IPv6");
    }
    let finished = Program::start(chatbox(["server", "0", "--bind", "fe80::1%lo"])).finish();
    finished.assert_one_error(1, "cannot listen on [fe80::1%1]:0: Cannot assign requested address");
}

/// A terminal that is closed sends one, and its shell or a supervisor may send another signal.
#[test]
fn a_hangup_is_no_first_nor_second_signal() {
    for signals in [[Signal::HUP, Signal::TERM], [Signal::TERM, Signal::HUP]] {
        let (server, _receiver) = stalled_server();
        server.program.signal(signals[0]);
        server.program.expect_stderr("stopping");
        server.program.signal(signals[1]);
        let finished = server.program.finish();
        assert_eq!(finished.status.code(), Some(0), "{signals:?}: {finished:?}");
    }
}

#[test]
fn a_server_that_nobody_could_connect_to_does_not_start() {
    let finished = Program::start(limited("-n 12", &["server", "0"])).finish();
    finished.assert_one_error(1, "the limit on descriptors is 12, and ");
}
