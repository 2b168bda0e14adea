//! Many clients, rooms and names, one after the other: nothing of them is left.

use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::harness::{
    Crowd, Peer, Program, Server, chatbox, left_out, limited, per_worker, proc_status, wait_until,
};

#[test]
fn five_thousand_receivers_join_a_quiet_room_and_close_with_400_descriptors() {
    let server = Server::run(limited("-n 400", &["server", "0"]));
    let threads = server.threads();
    let descriptors = server.program.descriptors();
    let mut witness = Peer::receiver(server.port, "witness", "cafe");
    let mut refused = 0;
    for _ in 0..5000 {
        let mut peer = Peer::connect(server.port);
        peer.send("rlogin:eve\njoin:cafe\n");
        // They are all gone as soon as they are in, but the server cannot know.
        match peer.line().starts_with("ok:") {
            true => peer.expect("ok:joined room cafe"),
            false => refused += 1,
        }
    }
    assert!(refused < 5, "{refused} were refused: {}", server.report());
    Peer::sender(server.port, "bob", "cafe").ok("sendall:anybody?");
    witness.expect("delivery:cafe:bob:anybody?");
    witness.reset();
    wait_until(
        || server.reports("rooms") == 0 && server.program.descriptors() == descriptors,
        || format!("{} descriptors: {}", server.program.descriptors(), server.report()),
    );
    assert_eq!(server.threads(), threads);
    println!("{refused} of 5000 were refused");
}

/// Starts a server that may use two processors at most; tells how many it has.
fn server_on_two_processors() -> (Server, usize) {
    let all = sched_getaffinity(None).unwrap();
    let mut few = CpuSet::new();
    let usable = (0..CpuSet::MAX_CPU).filter(|processor| all.is_set(*processor));
    usable.take(2).for_each(|processor| few.set(processor));
    // What a thread starts inherits this.
    sched_setaffinity(None, &few).unwrap();
    let processors = thread::available_parallelism().unwrap().get();
    let server = Server::run(chatbox(["server", "0"]));
    sched_setaffinity(None, &all).unwrap();
    (server, processors)
}

/// One processor is left to others until there is a crowd; then rooms that have long been there
/// spread over both.
#[test]
fn a_crowd_has_all_processors_and_hears_everything_in_order() {
    let Some(_crowd) = Crowd::of(2400) else { return };
    // A large room, and many small ones.
    let room = |number: usize| match number {
        0..600 => "hall".to_string(),
        _ => format!("room{}", number % 50),
    };
    let (server, processors) = server_on_two_processors();
    let enter = |number| Peer::receiver(server.port, &format!("r{number}"), &room(number));
    let mut receivers: Vec<_> = (0..1500).map(enter).collect();
    // One of them is for small rooms beside large ones.
    let mut before = vec![0; processors + 1];
    before[0] = receivers.len();
    assert_eq!(per_worker(&server.report()), before);
    receivers.extend((receivers.len()..2300).map(enter));
    let mut crowd = per_worker(&server.report());
    assert_eq!(crowd.pop(), Some(0), "{}", server.report());
    assert!(crowd.iter().all(|clients| *clients > 200), "{crowd:?}");
    let mut sender = Peer::connect(server.port);
    sender.ok("slogin:bob");
    for room in (600..650).map(room).chain(["hall".into()]) {
        sender.ok(&format!("join:{room}"));
        (0..10).for_each(|text| sender.ok(&format!("sendall:{text}")));
    }
    for (number, receiver) in receivers.iter_mut().enumerate() {
        for text in 0..10 {
            receiver.expect(&format!("delivery:{}:bob:{text}", room(number)));
        }
    }
    println!("clients on each worker: {crowd:?}");
}

/// To make it larger stops the thread that lets clients in, and everybody on it.
#[test]
fn there_is_room_for_all_descriptors_before_a_crowd_comes() {
    // Any program that is started inherits room for what this process has open just now.
    let other = Program::start(Command::new("cat"));
    let descriptors = proc_status(other.pid(), "FDSize") + 1;
    let limit = chatbox::system::descriptors::raise_limit();
    if descriptors > limit as u64 {
        return left_out(&format!("a server inherits room for all {limit} descriptors here"));
    }
    let server = Server::run(limited(&format!("-n {descriptors}"), &["server", "0"]));
    let room = proc_status(server.program.pid(), "FDSize");
    assert!(room >= descriptors, "room for {room} of {descriptors} descriptors");
}

#[test]
fn an_idle_receiver_takes_little_memory() {
    let Some(_crowd) = Crowd::of(700) else { return };
    let server = Server::run(chatbox(["server", "0"]));
    let enter = |number| Peer::receiver(server.port, "eve", &format!("room{}", number % 20));
    let mut receivers: Vec<_> = (0..100).map(enter).collect();
    let before = server.program.memory();
    receivers.extend((100..600).map(enter));
    let grown = server.program.memory().saturating_sub(before);
    assert!(grown < 12 * 500, "{grown} KiB for 500 receivers");
    println!("{grown} KiB for 500 receivers");
}

/// The reset comes when the end of the input is known already, and no later sign will tell.
#[test]
fn receivers_that_close_before_they_read_anything_are_forgotten() {
    let server = Server::with(&[]);
    for number in 0..500 {
        let mut peer = Peer::connect(server.port);
        peer.send(format!("rlogin:eve\njoin:cafe{}\n", number % 7));
    }
    // In the order in which they are one after the other.
    let kinds = ["new clients", "receivers,", "half-closed receivers"];
    wait_until(|| kinds.iter().all(|kind| server.reports(kind) == 0), || server.report());
    assert_eq!(server.reports("rooms"), 0, "{}", server.report());
}

/// They may be listening or gone: the report counts them apart.
#[test]
fn receivers_that_have_shut_down_their_writing_side_are_counted_apart() {
    let server = Server::with(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut receivers: Vec<_> =
        (0..5).map(|_| Peer::receiver(server.port, "eve", "cafe")).collect();
    receivers[1..].iter_mut().for_each(Peer::end);
    server.wait_for_report("half-closed receivers", |count| count == 4);
    let report = server.report();
    assert!(report.contains("1 receivers, 4 half-closed receivers, at most"), "{report}");
    assert!(report.contains("room cafe: 1 receivers, 4 half-closed, 0 bytes queued"), "{report}");
    sender.ok("sendall:hi");
    receivers.iter_mut().for_each(|receiver| receiver.expect("delivery:cafe:bob:hi"));
    receivers.drain(1..3).for_each(Peer::reset);
    server.wait_for_report("half-closed receivers", |count| count == 2);
}

/// A receiver that closed is noticed also where nobody ever says anything, once its own system has
/// forgotten about it.
#[test]
#[ignore = "takes over a minute"]
fn a_receiver_that_closed_is_noticed_in_a_quiet_room() {
    let server = Server::with(&[]);
    for _ in 0..10 {
        Peer::receiver(server.port, "eve", "cafe");
    }
    let begun = Instant::now();
    while server.reports("rooms") > 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", server.report());
        thread::sleep(Duration::from_secs(1));
    }
    println!("all noticed after {:?}", begun.elapsed());
}

/// All that is kept for rooms and names is given back.
#[test]
fn memory_returns_to_where_it_was() {
    let Some(_crowd) = Crowd::of(600) else { return };
    let server = Server::with(&[]);
    let round = |name: &str| {
        let rooms = |login: &str| {
            let mut peer = Peer::connect(server.port);
            peer.ok(login);
            let mut writer = peer.stream().try_clone().unwrap();
            let joins: Vec<_> = (0..50_000).map(|room| format!("join:{name}{room}\n")).collect();
            let writing =
                thread::spawn(move || writer.write_all(joins.concat().as_bytes()).unwrap());
            for _ in 0..50_000 {
                assert!(peer.line().starts_with("ok:"));
            }
            writing.join().unwrap();
            peer.reset();
        };
        rooms("slogin:bob");
        rooms("rlogin:eve");
        for batch in 0..40 {
            // Five hundred at a time, and all rooms at once.
            let peers: Vec<_> = (0..250)
                .flat_map(|number| {
                    let user = format!("{name}{batch}x{number}");
                    [
                        Peer::sender(server.port, &user, &user),
                        Peer::receiver(server.port, &user, &user),
                    ]
                })
                .collect();
            for mut peer in peers {
                peer.send(b"\xff\0\x1b[2J\n:\n\njoin:\xff\nsendall:\r\r\n");
                peer.send("rlogin:again\n");
                while !peer.line().starts_with("err:already") {}
                peer.reset();
            }
        }
        wait_until(|| server.reports("rooms") == 0, || server.report());
    };
    // What the first round leaves behind are buffers that are used again.
    round("first");
    let before = server.program.memory();
    round("second");
    let after = server.program.memory();
    assert!(after < before + 4 * 1024, "{before} KiB before, {after} KiB after");
    println!("{before} KiB before, {after} KiB after");
}
