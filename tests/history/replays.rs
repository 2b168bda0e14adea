//! Receivers that come and go while much is said, and replays that take long.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::params;

use crate::harness::{Crowd, Peer, wait_until};
use crate::scratch::{Record, Scratch, Span, receiver, records, say};

/// Steps of a sequence of numbers that look random, and are the same each time.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Comes, hears some, goes, and comes back where it was, until it has heard everything.
fn come_and_go(port: u16, number: u64, until: u64) {
    let (mut heard, mut epoch, mut seed) = (0, 0, number);
    while heard < until {
        let history =
            if heard == 0 { "last=100000".to_owned() } else { format!("after={epoch}-{heard}") };
        let (mut peer, span) = receiver(port, &history, "cafe");
        assert_eq!(span.from, heard);
        epoch = span.epoch;
        for _ in 0..random(&mut seed) % 400 {
            if heard == until {
                break;
            }
            let Record { seq, .. } = Record::parse(&peer.line());
            assert_eq!(seq, heard + 1, "receiver {number}");
            heard = seq;
        }
        if random(&mut seed).is_multiple_of(2) {
            peer.reset();
        }
    }
}

/// One hundred of them, while ten senders talk.
#[test]
fn who_comes_back_misses_nothing_and_hears_nothing_twice() {
    let Some(_crowd) = Crowd::of(300) else { return };
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let (port, each) = (server.port, 300);
    let listening: Vec<_> = (0..100)
        .map(|number| thread::spawn(move || come_and_go(port, number, 10 * each as u64)))
        .collect();
    let talking: Vec<_> = (0..10)
        .map(|number| {
            thread::spawn(move || {
                let mut sender = Peer::sender(port, &format!("u{number}"), "cafe");
                say(&mut sender, (0..each).map(|text| format!("{number} {text}")));
            })
        })
        .collect();
    talking.into_iter().for_each(|talk| talk.join().unwrap());
    listening.into_iter().for_each(|listen| listen.join().unwrap());
}

/// One that is in one room or the other, and where it is in both.
struct Wanderer {
    number: u64,
    seed: u64,
    epoch: u64,
    /// The last text that it has heard of each room.
    heard: [u64; 2],
}

/// The rooms.
const ROOMS: [&str; 2] = ["cafe", "tea"];

impl Wanderer {
    /// What it asks for when it joins a room.
    fn wish(&self, room: usize) -> String {
        match self.heard[room] {
            0 => "last=100000".into(),
            heard => format!("after={}-{heard}", self.epoch),
        }
    }

    /// Takes a record of that room.
    fn hear(&mut self, room: usize, line: &str) {
        let record = Record::parse(line);
        assert_eq!(record.seq, self.heard[room] + 1, "receiver {}: {line}", self.number);
        assert!(line.contains(&format!(":{}:", ROOMS[room])), "{line} in room {}", ROOMS[room]);
        self.heard[room] = record.seq;
    }

    /// Goes from one room to the other, and hears first what it is owed.
    fn change(&mut self, peer: &mut Peer, room: usize) {
        peer.send(format!("history:{}\njoin:{}\n", self.wish(room), ROOMS[room]));
        loop {
            match peer.line() {
                line if line.starts_with("record:") => self.hear(1 - room, &line),
                line if line.contains(" @") => {
                    assert_eq!(Span::parse(&line).from, self.heard[room]);
                    return;
                }
                line => assert_eq!(line, "ok:records from now on"),
            }
        }
    }

    /// Comes, hears some, changes rooms or goes, and comes back, until it has heard everything.
    fn wander(mut self, port: u16, until: u64) {
        while self.heard != [until; 2] {
            let mut room = random(&mut self.seed) as usize % 2;
            if self.heard[room] == until {
                room = 1 - room;
            }
            let mut peer = Peer::connect_with_buffer(port, 4096);
            peer.ok("rlogin:eve");
            peer.ok(&format!("history:{}", self.wish(room)));
            let span = Span::parse(&peer.ask(&format!("join:{}", ROOMS[room])));
            assert_eq!(span.from, self.heard[room]);
            self.epoch = span.epoch;
            for _ in 0..random(&mut self.seed) % 5 {
                for _ in 0..random(&mut self.seed) % 400 {
                    if self.heard[room] < until {
                        self.hear(room, &peer.line());
                    }
                }
                room = 1 - room;
                self.change(&mut peer, room);
            }
            if random(&mut self.seed).is_multiple_of(2) {
                peer.reset();
            }
        }
    }
}

/// One hundred of them, who are slow, and ten senders.
#[test]
fn who_changes_rooms_misses_nothing_and_hears_nothing_twice() {
    let Some(_crowd) = Crowd::of(300) else { return };
    let scratch = Scratch::new();
    let server = scratch.server(&["--queue-limit", "2000"]);
    let (port, each) = (server.port, 200);
    let wander = |number| {
        let wanderer = Wanderer { number, seed: number, epoch: 0, heard: [0; 2] };
        thread::spawn(move || wanderer.wander(port, 5 * each))
    };
    let wandering: Vec<_> = (0..100).map(wander).collect();
    let talk = |number: usize| {
        let mut sender = Peer::sender(port, &format!("u{number}"), ROOMS[number % 2]);
        thread::spawn(move || {
            say(&mut sender, (0..each).map(|text| format!("{text} {}", "x".repeat(200))));
        })
    };
    let talking: Vec<_> = (0..10).map(talk).collect();
    talking.into_iter().for_each(|talk| talk.join().unwrap());
    wandering.into_iter().for_each(|wander| wander.join().unwrap());
    assert_eq!(server.reports("receivers cut"), 0);
}

/// Puts texts into a room's history while no server runs.
fn fill(scratch: &Scratch, room: &str, count: i64) {
    let mut database = scratch.database();
    let transaction = database.transaction().unwrap();
    let sql = "INSERT INTO texts VALUES (?1, ?2, 1795793815772, 'bob', 'a text of some length')";
    let mut insert = transaction.prepare(sql).unwrap();
    (1..=count).for_each(|seq| assert_eq!(insert.execute(params![room, seq]), Ok(1)));
    drop(insert);
    let sql = "INSERT OR REPLACE INTO rooms VALUES (?1, ?2)";
    transaction.execute(sql, params![room, count]).unwrap();
    transaction.commit().unwrap();
}

/// Takes a little at a time, until it is told to stop; returns how much.
fn trickle(peer: &Peer, done: &AtomicBool) -> usize {
    let (mut taken, mut buffer) = (0, [0; 4096]);
    while !done.load(Ordering::Relaxed) {
        taken += peer.stream().read(&mut buffer).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    taken
}

/// Fifty who replay a million texts as slowly as they may.
#[test]
fn slow_replays_take_no_memory() {
    let Some(_crowd) = Crowd::of(150) else { return };
    let scratch = Scratch::new();
    scratch.server(&[]).stop();
    fill(&scratch, "long", 1_000_000);
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut peer = Peer::receiver(server.port, "eve", "cafe");
    let mut chat = |count: usize| {
        for _ in 0..count {
            sender.ok("sendall:hi");
            peer.expect("delivery:cafe:bob:hi");
        }
    };
    // As one who has it all in front of it takes it, too.
    let (mut whole, span) = receiver(server.port, "last=2000", "long");
    assert_eq!((span.from, span.to), (998_000, 1_000_000));
    assert_eq!(records(&mut whole, 2000).last().map(|record| record.seq), Some(1_000_000));
    chat(100);
    let before = server.program.memory();
    let done = Arc::new(AtomicBool::new(false));
    let begin = |_| {
        let mut peer = Peer::connect_with_buffer(server.port, 4096);
        peer.ok("rlogin:eve");
        peer.ok("history:last=1000000");
        let span = Span::parse(&peer.ask("join:long"));
        assert_eq!((span.from, span.to), (0, 1_000_000));
        let done = Arc::clone(&done);
        thread::spawn(move || trickle(&peer, &done))
    };
    let replays: Vec<_> = (0..50).map(begin).collect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        chat(100);
    }
    let after = server.program.memory();
    done.store(true, Ordering::Relaxed);
    for replay in replays {
        assert!(replay.join().unwrap() > 4096);
    }
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB with fifty replays");
    assert_eq!(server.reports("receivers cut"), 0);
}

/// How long so many texts take from their sender to a receiver, all but one in a hundred.
fn time_of_most(sender: &mut Peer, peer: &mut Peer, count: usize) -> Duration {
    let once = |_| {
        let begun = Instant::now();
        sender.ok("sendall:hi");
        peer.expect("delivery:cafe:bob:hi");
        begun.elapsed()
    };
    let mut times: Vec<_> = (0..count).map(once).collect();
    times.sort();
    times[count * 99 / 100]
}

/// Replays all of a room as slowly as it may, again and again, until it is told to stop.
fn replay_slowly(port: u16, texts: u64, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let mut peer = Peer::connect_with_buffer(port, 4096);
        peer.ok("rlogin:eve");
        peer.ok("history:last=100000");
        assert_eq!(Span::parse(&peer.ask("join:long")).to, texts);
        trickle(&peer, done);
    }
}

/// What they take of the processors is no more than they take of their own.
#[test]
fn slow_replays_hold_up_nobody() {
    let Some(_crowd) = Crowd::of(150) else { return };
    let scratch = Scratch::new();
    scratch.server(&[]).stop();
    let texts = 100_000;
    fill(&scratch, "long", texts);
    let server = scratch.server(&[]);
    let port = server.port;
    let mut sender = Peer::sender(port, "bob", "cafe");
    let mut peer = Peer::receiver(port, "eve", "cafe");
    time_of_most(&mut sender, &mut peer, 300);
    let without = time_of_most(&mut sender, &mut peer, 2000);
    let done = Arc::new(AtomicBool::new(false));
    let replay = |_| {
        let done = Arc::clone(&done);
        thread::spawn(move || replay_slowly(port, texts as u64, &done))
    };
    let replays: Vec<_> = (0..50).map(replay).collect();
    server.wait_for_report("receivers,", |receivers| receivers == 51);
    let with = time_of_most(&mut sender, &mut peer, 2000);
    done.store(true, Ordering::Relaxed);
    replays.into_iter().for_each(|replay| replay.join().unwrap());
    println!("{without:?} without, {with:?} with fifty replays");
    let most = 10 * without.max(Duration::from_millis(5));
    assert!(with < most, "{without:?} without, {with:?} with fifty replays");
}

/// A step of it is a small part of the whole.
#[test]
fn letting_go_of_texts_holds_up_nobody() {
    let scratch = Scratch::new();
    scratch.server(&[]).stop();
    let texts = 400_000;
    fill(&scratch, "long", texts);
    let server = scratch.server(&["--keep-texts", "10"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let database = scratch.database();
    let first = || {
        let sql = "SELECT min(seq) FROM texts WHERE room = 'long'";
        database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (mut begun, mut longest) = (None, Duration::ZERO);
    while first() < texts - 9 {
        let asked = Instant::now();
        sender.ok("sendall:hi");
        if first() > 1 {
            begun.get_or_insert(asked);
            longest = longest.max(asked.elapsed());
        }
    }
    let all = begun.unwrap().elapsed();
    println!("{all:?} in all, and {longest:?} the longest that somebody waited");
    assert!(longest < all / 2, "{longest:?} of {all:?}");
}

#[test]
fn what_is_too_old_or_too_much_goes_from_the_front() {
    for flags in [&["--keep-texts", "1000"][..], &["--keep-days", "30"]] {
        let scratch = Scratch::new();
        scratch.server(&[]).stop();
        fill(&scratch, "cafe", 5000);
        let days = "UPDATE texts SET time = unixepoch() * 1000 - 1000 * 86400 * \
                    CASE WHEN seq <= 4000 THEN 31 ELSE 29 END";
        scratch.database().execute(days, []).unwrap();
        let server = scratch.server(flags);
        let first = || {
            let sql = "SELECT min(seq) FROM texts WHERE room = 'cafe'";
            scratch.database().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        wait_until(|| first() == 4001, || format!("{flags:?}: the first is {}", first()));
        let epoch = scratch.epoch();
        let (mut peer, span) = receiver(server.port, &format!("after={epoch}-10"), "cafe");
        assert_eq!((span.from, span.to), (4000, 5000));
        assert_eq!(records(&mut peer, 1000)[0].seq, 4001);
        // As many as before are there when one more is said; then the oldest goes.
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        say(&mut sender, ["more".into()]);
        assert_eq!(records(&mut peer, 1)[0].seq, 5001);
    }
}
