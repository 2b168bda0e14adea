//! Tables that are full: descriptors, places, threads; and clients that do not log in.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getuid};

use crate::harness::{
    Crowd, PATIENCE, Peer, Program, Server, chatbox, left_out, limited, wait_until,
};

#[test]
fn whoever_does_not_log_in_is_gone_by_the_deadline() {
    let Some(_crowd) = Crowd::of(700) else { return };
    let timeout = Duration::from_secs(3);
    let server = Server::with(&["--login-timeout", "3"]);
    let begun = Instant::now();
    let connect = |_| Peer::connect(server.port);
    let silent: Vec<_> = (0..300).map(connect).collect();
    let dripping: Arc<Vec<_>> = Arc::new((0..300).map(connect).collect());
    let peers = Arc::clone(&dripping);
    let drip = thread::spawn(move || {
        let mut streams: Vec<_> = peers.iter().map(Peer::stream).collect();
        // One byte a second each, for as long as anybody listens.
        while !streams.is_empty() {
            streams.retain_mut(|stream| stream.write_all(b"x").is_ok());
            thread::sleep(Duration::from_secs(1));
        }
    });
    let log_in = |_| {
        let start = Instant::now();
        Peer::sender(server.port, "honest", "cafe");
        start.elapsed()
    };
    let mut logins: Vec<_> = (0..21).map(log_in).collect();
    logins.sort();
    // The machine may have been busy with something else once or twice.
    let usual = logins[10];
    assert!(usual < Duration::from_millis(500), "half of the logins took over {usual:?}");
    for mut peer in silent {
        assert!(peer.line().starts_with("err:"));
        peer.expect_end();
    }
    for peer in dripping.iter() {
        let mut rest = Vec::new();
        // Bytes that came too late may have reset the connection.
        let _ = (&mut peer.stream()).read_to_end(&mut rest);
    }
    let took = begun.elapsed();
    assert!(took >= timeout, "closed already after {took:?}");
    assert!(took < timeout + Duration::from_secs(2), "closed only after {took:?}");
    drip.join().unwrap();
    let line = "closing clients that have not logged in in time";
    server.program.expect_stderr(line);
    let lines = server.program.stderr();
    let said = lines.matches(line).count();
    // Each worker may say so once, and again after a while.
    assert!((1..=9).contains(&said), "{said} log lines: {lines}");
    println!("all gone after {took:?}, the usual login took {usual:?}");
}

#[test]
fn a_client_that_logged_in_may_be_silent() {
    let server = Server::with(&["--login-timeout", "1"]);
    let mut quiet = Peer::connect(server.port);
    quiet.ok("slogin:quiet");
    let mut late = Peer::connect(server.port);
    assert!(late.line().starts_with("err:"));
    late.expect_end();
    quiet.ok("join:cafe");
}

#[test]
fn one_client_too_many_is_told_so_and_there_is_room_again() {
    let server = Server::with(&["--max-clients", "3"]);
    let mut clients: Vec<_> = (0..3).map(|_| Peer::receiver(server.port, "eve", "cafe")).collect();
    for _ in 0..50 {
        let mut refused = Peer::connect(server.port);
        assert!(refused.line().starts_with("err:"));
        refused.expect_end();
    }
    let said = Program::start(server.client("sender", &["bob"])).finish();
    said.assert_one_error(1, "full");
    let mut bob = clients.pop().unwrap();
    bob.err("quit:");
    drop(clients.pop());
    drop(bob);
    enter(&server, 2);
    // All are back to where they were.
    wait_until(|| server.reports("receivers,") == 3, || server.report());
    assert_eq!(Peer::connect(server.port).line().split(':').next(), Some("err"));
}

/// A receiver that has shut down its writing side, and listens.
fn half_closed(port: u16, user: &str) -> Peer {
    let mut peer = Peer::receiver(port, user, "cafe");
    peer.end();
    peer
}

#[test]
fn a_half_closed_receiver_stays_until_somebody_needs_its_place() {
    let server = Server::with(&["--max-clients", "3"]);
    let mut listener = half_closed(server.port, "eve");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    // The last place is taken, and nobody waits for another.
    let mut third = Peer::receiver(server.port, "amy", "cafe");
    sender.ok("sendall:hi");
    third.expect("delivery:cafe:bob:hi");
    listener.expect("delivery:cafe:bob:hi");
    // Now somebody does.
    let mut fourth = Peer::receiver(server.port, "dan", "cafe");
    listener.expect_end();
    sender.ok("sendall:again");
    fourth.expect("delivery:cafe:bob:again");
    server.program.expect_stderr("letting go of receivers that have shut down their writing side");
}

#[test]
fn the_receiver_that_has_been_half_closed_the_longest_goes_first() {
    let server = Server::with(&["--max-clients", "3"]);
    let mut first = Peer::receiver(server.port, "first", "cafe");
    let mut second = half_closed(server.port, "second");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    // What the second did is known by the time that an answer has come.
    sender.ok("sendall:hi");
    first.end();
    sender.ok("sendall:hi");
    let mut newcomer = Peer::receiver(server.port, "amy", "cafe");
    sender.ok("sendall:the end");
    second.expect("delivery:cafe:bob:hi");
    second.expect("delivery:cafe:bob:hi");
    second.expect_end();
    for _ in 0..2 {
        first.expect("delivery:cafe:bob:hi");
    }
    first.expect("delivery:cafe:bob:the end");
    newcomer.expect("delivery:cafe:bob:the end");
}

#[test]
fn each_address_gets_its_turn_when_the_server_is_full() {
    let server =
        Server::with(&["--bind", "127.0.0.1", "--bind", "127.0.0.2", "--max-clients", "1"]);
    server.program.expect_stderr("listening on 127.0.0.2:");
    let ports: Vec<u16> = server
        .program
        .stderr()
        .lines()
        .filter_map(|line| line.split_once("listening on ")?.1.rsplit(':').next()?.parse().ok())
        .collect();
    assert_eq!(ports.len(), 2, "{:?}", server.program);
    let _only = Peer::receiver(server.port, "eve", "cafe");
    let stop = Arc::new(AtomicBool::new(false));
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (port, stop) = (ports[0], Arc::clone(&stop));
            thread::spawn(move || knock(port, &stop, &AtomicUsize::new(0)))
        })
        .collect();
    wait_until(|| server.program.stderr().contains("refusing clients"), || server.report());
    for _ in 0..5 {
        let mut other = Peer::over(TcpStream::connect(("127.0.0.2", ports[1])).unwrap());
        assert!(other.line().starts_with("err:"));
    }
    stop.store(true, Ordering::SeqCst);
    crowd.into_iter().for_each(|one| one.join().unwrap());
}

/// Lets `count` receivers in, who knock until they are.
fn enter(server: &Server, count: usize) {
    let mut entered: Vec<Peer> = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while entered.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} got in", entered.len());
        let mut peer = Peer::connect(server.port);
        peer.send("rlogin:eve\njoin:cafe\n");
        if peer.line().starts_with("ok:") {
            peer.expect("ok:joined room cafe");
            entered.push(peer);
        }
    }
    std::mem::forget(entered);
}

/// A client that knocks again whenever it is turned away.
fn knock(port: u16, stop: &AtomicBool, entered: &AtomicUsize) {
    while !stop.load(Ordering::SeqCst) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let _ = stream.write_all(b"rlogin:knocker\njoin:cafe\n");
        let mut line = String::new();
        let mut input = BufReader::new(stream);
        let _ = input.read_line(&mut line);
        if line.starts_with("ok:") {
            entered.fetch_add(1, Ordering::SeqCst);
            // Stays until everybody goes.
            while !stop.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

#[test]
fn two_hundred_knock_at_a_server_with_64_descriptors() {
    let Some(_crowd) = Crowd::of(250) else { return };
    let server = Server::run(limited("-n 64", &["server", "0"]));
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let stop = Arc::new(AtomicBool::new(false));
    let entered = Arc::new(AtomicUsize::new(0));
    let knockers: Vec<_> = (0..200)
        .map(|_| {
            let (port, stop, entered) = (server.port, Arc::clone(&stop), Arc::clone(&entered));
            thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || knock(port, &stop, &entered))
                .unwrap()
        })
        .collect();
    let places = server.reports("in all") as usize;
    wait_until(|| entered.load(Ordering::SeqCst) == places - 2, || server.report());
    let (used, begun) = (server.program.processor_seconds(), Instant::now());
    for number in 0..30 {
        sender.ok(&format!("sendall:{number}"));
        receiver.expect(&format!("delivery:cafe:bob:{number}"));
        thread::sleep(Duration::from_millis(100));
    }
    let share = (server.program.processor_seconds() - used) / begun.elapsed().as_secs_f64();
    assert!(share < 0.1, "{share} of a processor");
    let before = entered.load(Ordering::SeqCst);
    let begun = Instant::now();
    drop(sender);
    wait_until(|| entered.load(Ordering::SeqCst) > before, || server.report());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "a place was free again after {took:?}");
    stop.store(true, Ordering::SeqCst);
    knockers.into_iter().for_each(|knocker| knocker.join().unwrap());
    let finished = server.stop();
    let lines = String::from_utf8_lossy(&finished.stderr).lines().count();
    assert!(lines < 40, "{lines} log lines: {finished:?}");
    println!("{share} of a processor, a place was free again after {took:?}, {lines} log lines");
}

/// A command that is run, with what is to be added to it, by somebody who has no other processes
/// and may have so many, each thread being one.
fn alone(most: u64) -> Command {
    let mut command;
    if getuid().is_root() {
        // The superuser's are not limited. The executable may be where nobody else can go.
        command = Command::new("setpriv");
        command.args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]);
        command.args(["--clear-groups", &format!("--reuid={}", nobody())]);
    } else {
        // Linux counts them in each namespace of users, since 5.14.
        command = Command::new("unshare");
        command.arg("--user");
    }
    command.args(["prlimit", &format!("--nproc={most}")]);
    command
}

/// The number of a user who has no processes.
fn nobody() -> u32 {
    let owner = |entry: io::Result<DirEntry>| Some(entry.ok()?.metadata().ok()?.uid());
    let owners: BTreeSet<_> = fs::read_dir("/proc").unwrap().filter_map(owner).collect();
    // Another run of the tests may look at the same time.
    let first = 50_000 + process::id() % 10_000;
    (first..).find(|uid| !owners.contains(uid)).unwrap()
}

/// The system lets us be alone, and then counts right.
fn can_be_alone() -> bool {
    let forks = |most: u64| {
        let output = alone(most).args(["setsid", "--fork", "--wait", "true"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    forks(2) && !forks(1)
}

/// Lets 300 newcomers in, who hear a text; the server has so many threads before and after.
fn chat_with_threads(server: Server, threads: u64) {
    assert_eq!(server.threads(), threads, "{:?}", server.program);
    let mut receivers: Vec<_> =
        (0..300).map(|_| Peer::receiver(server.port, "eve", "cafe")).collect();
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hi");
    receivers.iter_mut().for_each(|receiver| receiver.expect("delivery:cafe:bob:hi"));
    assert_eq!(server.threads(), threads, "{:?}", server.program);
    assert_eq!(server.stop().status.code(), Some(0));
}

/// The server has all its threads from the start, so that it needs none for a newcomer.
#[test]
fn newcomers_need_no_thread() {
    let Some(_crowd) = Crowd::of(350) else { return };
    let server = Server::with(&[]);
    let threads = server.threads();
    // From now on it is given none, unless it is the superuser's.
    server.program.limit(Resource::Nproc, 0);
    chat_with_threads(server, threads);
    if !can_be_alone() {
        return left_out("threads cannot be limited here for one server alone");
    }
    let server_with = |most| {
        let mut command = alone(most);
        command.args([env!("CARGO_BIN_EXE_chatbox"), "server", "0", "--workers", "3"]);
        command
    };
    // Not one to spare, and fewer than it would like: still a chat.
    for most in [threads, threads - 1, threads - 2, 2] {
        chat_with_threads(Server::run(server_with(most)), most);
    }
    let finished = Program::start(server_with(1)).finish();
    finished.assert_one_error(1, "cannot start: ");
}

#[test]
fn flags_that_make_no_sense_are_one_line() {
    for (flag, values) in [
        ("--max-clients", &["0", "-1", "many", "1.5", ""][..]),
        ("--login-timeout", &["0", "-1", "soon", "nan", "inf", "1e300", ""]),
        ("--stall-timeout", &["0", "-0.5", "never", ""]),
        ("--queue-limit", &["0", "-1", "1M", "1e6", "99999999999999999999999", ""]),
    ] {
        for value in values {
            let finished = Program::start(chatbox(["server", "0", flag, value])).finish();
            finished.assert_one_error(2, "");
        }
        Program::start(chatbox(["server", "0", flag])).finish().assert_one_error(2, flag);
    }
}

#[test]
fn a_server_listens_where_it_is_told_to() {
    let server = Server::with(&["--bind", "127.0.0.1", "--bind=127.0.0.2"]);
    for (host, listens) in [("127.0.0.1", true), ("127.0.0.2", true), ("127.0.0.3", false)] {
        let stream = TcpStream::connect((host, server.port));
        assert_eq!(stream.is_ok(), listens, "{host}: {stream:?}");
    }
    let port = server.port.to_string();
    let clash = Program::start(chatbox(["server", &port, "--bind", "127.0.0.2"])).finish();
    clash.assert_one_error(1, "127.0.0.2");
}
