//! Clients on Unix sockets that take nothing of what they are owed.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Worker;
use super::test_server::{MINUTE, TestServer, WORKERS};
use crate::server::config::{Limits, UNCONFIRMED};

/// A server whose receivers may have as much queued as it takes.
fn server() -> TestServer {
    TestServer::with(Limits {
        login_timeout: MINUTE,
        queue_limit: usize::MAX,
        total_queue_limit: usize::MAX,
        stall_timeout: MINUTE,
    })
}

/// A sender that reads no answers, up to where it is not read from any more.
fn stuck_sender(server: &mut TestServer) -> File {
    let mut client = server.connect(0).0;
    client.write_all(b"slogin:bob\njoin:cafe\n").unwrap();
    server.step_all();
    while client.write(&b"sendall:hi\n".repeat(1000)).is_ok() {
        server.step_all();
    }
    client
}

/// How many take nothing just now.
fn stuck(server: &TestServer) -> usize {
    server.workers.iter().map(|worker| worker.sessions.stuck.len()).sum()
}

/// All deadlines are over now.
fn expire(server: &mut TestServer) {
    server.workers.iter_mut().for_each(|worker| worker.sessions.stuck.expire());
    // What was received before is carried out, in as many turns as that takes.
    (0..WORKERS).for_each(|worker| server.step_until_idle(worker));
}

fn sessions(server: &TestServer) -> usize {
    (0..WORKERS).map(|worker| server.shared.placement.sessions(worker)).sum()
}

/// By when somebody has to have taken something.
fn deadline(server: &TestServer) -> Instant {
    server.workers.iter().find_map(|worker| worker.sessions.stuck.next()).unwrap()
}

#[test]
fn who_takes_nothing_for_too_long_is_lost() {
    let mut server = server();
    let begun = Instant::now();
    let _client = stuck_sender(&mut server);
    let next = deadline(&server);
    assert!(next >= begun + UNCONFIRMED && next <= Instant::now() + UNCONFIRMED);
    let waits = server.workers.iter().filter_map(Worker::wait);
    assert!(waits.min().unwrap() < MINUTE);
    assert_eq!(sessions(&server), 1);
    expire(&mut server);
    assert_eq!(sessions(&server), 0);
    assert_eq!(server.shared.tally.lost.load(Ordering::Relaxed), 1);
    assert_eq!(stuck(&server), 0);
}

/// Too little for the system to say that there is room.
#[test]
fn a_receiver_that_takes_a_little_in_time_stays() {
    let mut server = server();
    let mut receiver = server.connect(0).0;
    receiver.write_all(b"rlogin:eve\njoin:hall\n").unwrap();
    server.step_all();
    let mut sender = server.client_saying(0, "slogin:bob\njoin:hall\n");
    let mut step = |server: &mut TestServer| {
        server.answered(&mut sender);
        stuck(server) > 0
    };
    server.wait_for(&mut step, "its socket never gets full");
    for _ in 0..10 {
        step(&mut server);
    }
    let begun = Instant::now();
    receiver.read_exact(&mut [0; 64 * 1024]).unwrap();
    expire(&mut server);
    assert_eq!(sessions(&server), 2);
    assert!(deadline(&server) >= begun + UNCONFIRMED);
    expire(&mut server);
    assert_eq!(sessions(&server), 1);
}

#[test]
fn who_is_owed_nothing_has_all_the_time_there_is() {
    let mut server = server();
    let mut client = stuck_sender(&mut server);
    assert_eq!(stuck(&server), 1);
    while client.read(&mut [0; 64 * 1024]).is_ok() {
        server.step_all();
    }
    assert_eq!(stuck(&server), 0);
    assert_eq!(sessions(&server), 1);
}
