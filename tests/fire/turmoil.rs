//! Clients that come, go and die at random, and servers that are stopped in the middle of it.

use std::io::Write;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Crowd, Peer, Program, Server, Signal, Way, chatbox, wait_until};
use crate::over_each_way;

over_each_way! {
    nothing_is_left_of_a_short_turmoil
    no_text_that_was_answered_is_missing_after_a_stop_in_a_flood
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Xorshift: good enough to be unpredictable to the server.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One client's life, many times over.
fn live(server: &Server, seed: u64, stop: &AtomicBool) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    while !stop.load(Ordering::SeqCst) {
        if dice.roll(20) == 0 {
            live_as_a_process(server, &mut dice);
            continue;
        }
        let sends = dice.roll(2) == 0;
        let mut peer = Peer::connect(server.place());
        peer.send(if sends { "slogin:x\n" } else { "rlogin:x\n" });
        for _ in 0..dice.roll(40) {
            let request = match dice.roll(if sends { 8 } else { 3 }) {
                0 | 1 => format!("join:room{}\n", dice.roll(6)),
                2 => "nonsense\n".to_owned(),
                3 => "leave:\n".to_owned(),
                _ => format!("sendall:{}\n", "t".repeat(dice.roll(240) as usize)),
            };
            if peer.stream().write_all(request.as_bytes()).is_err() {
                break;
            }
        }
        match dice.roll(4) {
            // Closed with answers unread, which resets the connection.
            0 => {}
            // Answers read, and then closed.
            1 => drop(peer.line()),
            2 => {
                let _ = peer.stream().shutdown(Shutdown::Write);
                drop(peer.next_line());
            }
            _ => {
                let _ = peer.stream().write_all(b"quit:\n");
                drop(peer.next_line());
            }
        }
    }
}

fn live_as_a_process(server: &Server, dice: &mut Dice) {
    let room = format!("room{}", dice.roll(6));
    let program = match dice.roll(2) {
        0 => Program::start(server.client("receiver", &["proc", &room])),
        _ => {
            let mut sender = Program::start(server.client("sender", &["proc"]));
            sender.say(format!("/join {room}\nhello\n"));
            sender
        }
    };
    thread::sleep(Duration::from_millis(dice.roll(100)));
    program.signal(Signal::KILL);
}

/// Returns the longest that a text took from its sender to its receiver meanwhile.
fn turmoil(way: Way, duration: Duration) -> Duration {
    let server = Arc::new(Server::over(way, &[]));
    let mut receiver = Peer::receiver(server.place(), "eve", "room0");
    let mut sender = Peer::sender(server.place(), "bob", "room0");
    let (threads, descriptors) = (server.threads(), server.program.descriptors());
    let stop = Arc::new(AtomicBool::new(false));
    let lives: Vec<_> = (0..64)
        .map(|seed| {
            let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
            thread::spawn(move || live(&server, seed, &stop))
        })
        .collect();
    let begun = Instant::now();
    let (mut longest, mut number) = (Duration::ZERO, 0);
    while begun.elapsed() < duration {
        let sent = Instant::now();
        sender.ok(&format!("sendall:{number}"));
        let mine = format!("delivery:room0:bob:{number}");
        while receiver.line() != mine {}
        longest = longest.max(sent.elapsed());
        number += 1;
    }
    stop.store(true, Ordering::SeqCst);
    lives.into_iter().for_each(|life| life.join().unwrap());
    // Receivers that closed are noticed when something is written to them.
    for room in (0..6).rev() {
        sender.ok(&format!("join:room{room}"));
        sender.ok("sendall:anybody?");
    }
    wait_until(
        || server.reports("rooms") == 1 && server.program.descriptors() == descriptors,
        || format!("{} descriptors: {}", server.program.descriptors(), server.report()),
    );
    assert_eq!(server.threads(), threads);
    assert_eq!(server.reports("senders"), 1, "{}", server.report());
    assert_eq!(server.reports("receivers,"), 1, "{}", server.report());
    println!("{number} texts, the longest took {longest:?}; {}", server.report());
    longest
}

fn nothing_is_left_of_a_short_turmoil(way: Way) {
    let longest = turmoil(way, Duration::from_secs(5));
    assert!(longest < Duration::from_secs(10), "a text took {longest:?}");
}

#[test]
#[ignore = "takes two minutes"]
fn nothing_is_left_of_a_long_turmoil_and_no_text_takes_over_a_second() {
    let longest = turmoil(Way::Tcp, Duration::from_secs(120));
    assert!(longest < Duration::from_secs(1), "a text took {longest:?}");
}

/// Sends until the server is gone, reading answers all the while; returns how many were `ok`.
fn send_until_the_end(mut sender: Peer) -> usize {
    let mut writer = sender.stream().try_clone().unwrap();
    let writing = thread::spawn(move || {
        let mut number = 0;
        loop {
            let lines: String =
                (0..50).map(|more| format!("sendall:{}\n", number + more)).collect();
            if writer.write_all(lines.as_bytes()).is_err() {
                break;
            }
            number += 50;
        }
    });
    let mut answered = 0;
    while let Some(answer) = sender.next_line() {
        assert!(answer.starts_with(b"ok:"));
        answered += 1;
    }
    // The server is gone for the writer, too.
    let _ = sender.stream().shutdown(Shutdown::Both);
    writing.join().unwrap();
    answered
}

/// Stops a server in a flood to so many receivers; returns the port that it listened at.
fn stop_in_a_flood(server: Server, receivers: usize) -> u16 {
    let (port, place) = (server.port, server.place());
    let mut receivers: Vec<_> =
        (0..receivers).map(|_| Peer::receiver(&place, "eve", "cafe")).collect();
    let senders: Vec<_> =
        (0..4).map(|number| Peer::sender(&place, &format!("s{number}"), "cafe")).collect();
    let senders: Vec<_> =
        senders.into_iter().map(|sender| thread::spawn(|| send_until_the_end(sender))).collect();
    // The flood has begun.
    receivers.iter_mut().for_each(|receiver| drop(receiver.line()));
    let receivers: Vec<_> = receivers
        .into_iter()
        .map(|mut receiver| {
            thread::spawn(move || {
                let mut next: Vec<Option<usize>> = vec![None; 4];
                while let Some(line) = receiver.next_line() {
                    let line = String::from_utf8(line).unwrap();
                    let rest = line.strip_prefix("delivery:cafe:s").unwrap();
                    let (sender, number) = rest.split_once(':').unwrap();
                    let (sender, number) =
                        (sender.parse::<usize>().unwrap(), number.parse().unwrap());
                    // The very first was read before.
                    assert_eq!(number, next[sender].unwrap_or(number), "of sender {sender}");
                    next[sender] = Some(number + 1);
                }
                next
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    let took = begun.elapsed();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(took < Duration::from_secs(10), "took {took:?}: {finished:?}");
    let answered: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    for receiver in receivers {
        let heard = receiver.join().unwrap();
        for (heard, answered) in heard.iter().zip(&answered) {
            let heard = heard.unwrap_or(0);
            assert!(heard >= *answered, "{answered} answered, {heard} heard: {finished:?}");
        }
    }
    println!("stopped after {took:?}, {answered:?} answered");
    port
}

fn no_text_that_was_answered_is_missing_after_a_stop_in_a_flood(way: Way) {
    let mut port = stop_in_a_flood(Server::over(way, &[]), 4);
    for _ in 0..7 {
        let next = match way {
            // The port can be had again at once.
            Way::Tcp => Server::run(chatbox(["server", &port.to_string()])),
            _ => Server::over(way, &[]),
        };
        port = stop_in_a_flood(next, 4);
    }
}

/// A receiver that does not read keeps the server from carrying out all that it received, and the
/// others, which live on several of its threads, still get all that was answered.
#[test]
fn no_text_that_was_answered_is_missing_after_a_stop_that_ran_out_of_time() {
    let Some(_crowd) = Crowd::of(350) else { return };
    let server = Server::with(&[]);
    let _stalled = Peer::receiver(server.port, "stalled", "cafe");
    stop_in_a_flood(server, 300);
}
