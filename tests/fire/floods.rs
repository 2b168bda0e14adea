//! Receivers that read slowly or not at all, senders that never stop, lines that never end.

use std::io::{Read, Write};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::harness::{Peer, Program, Server, Signal, Way, Wire, wait_until};
use crate::over_each_way;

const MIB: u64 = 1024;

over_each_way! {
    a_receiver_that_never_reads_is_cut_and_the_others_miss_nothing
    a_stopped_receiver_is_cut_and_the_others_miss_nothing
    a_slow_receiver_gets_all_of_a_flood
    a_line_without_an_end_takes_no_memory_and_one_answer
    a_sender_that_never_reads_its_answers_waits_alone
    a_sender_that_dies_while_it_waits_is_forgotten
    no_sender_starves
    what_is_queued_for_all_receivers_is_bounded
}

/// Text number `number`, `size` bytes of it.
fn text(number: usize, size: usize) -> String {
    format!("{number:0>size$}")
}

/// Reads deliveries from `s`, numbered from 0, until there were `count`; panics if one is missing,
/// doubled, or out of order.
fn read_all(peer: Peer, count: usize, size: usize) -> JoinHandle<Peer> {
    thread::spawn(move || {
        let mut peer = peer;
        for number in 0..count {
            let line = peer.next_line();
            let line = line.unwrap_or_else(|| panic!("closed after {number} deliveries"));
            let heard = line.strip_prefix(b"delivery:cafe:s:").expect("a delivery");
            let heard: usize = std::str::from_utf8(heard).unwrap().parse().unwrap();
            assert_eq!(heard, number, "out of order");
            assert_eq!(line.len(), "delivery:cafe:s:".len() + size);
        }
        peer
    })
}

/// Pipelines texts numbered from 0 as fast as the server takes them; returns the longest pause
/// between two answers.
fn flood(sender: Peer, count: usize, size: usize) -> JoinHandle<Duration> {
    thread::spawn(move || {
        let mut sender = sender;
        let mut writer = sender.stream().try_clone().unwrap();
        let writing = thread::spawn(move || {
            for hundred in 0..count / 100 {
                let numbers = hundred * 100..(hundred + 1) * 100;
                let lines: String =
                    numbers.map(|number| format!("sendall:{}\n", text(number, size))).collect();
                writer.write_all(lines.as_bytes()).unwrap();
            }
        });
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        for number in 0..count {
            let answer = sender.next_line().expect("an answer");
            assert!(answer.starts_with(b"ok:"), "answer {number}");
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        writing.join().unwrap();
        longest
    })
}

/// One of 20 receivers stops reading while 100,000 texts are sent: it is cut, once, and the
/// others get all of them.
fn one_stops_reading(way: Way, stop: impl FnOnce(&Server) -> Option<Program>) {
    let server = Server::over(way, &["-v", "--stall-timeout", "3"]);
    let readers: Vec<_> =
        (0..19).map(|n| Peer::receiver(server.place(), &format!("r{n}"), "cafe")).collect();
    let stopped = stop(&server);
    let sender = Peer::sender(server.place(), "s", "cafe");
    let before = server.program.memory();
    let (count, size) = (100_000, 100);
    let readers: Vec<_> = readers.into_iter().map(|peer| read_all(peer, count, size)).collect();
    let longest = flood(sender, count, size).join().unwrap();
    readers.into_iter().for_each(|reader| drop(reader.join().unwrap()));
    let grown = server.program.peak_memory() - before;
    assert!(grown < 32 * MIB, "memory grew by {grown} KiB");
    assert!(longest < Duration::from_secs(5), "longest pause {longest:?}");
    // In the log, the report comes after what happened before.
    assert_eq!(server.reports("receivers cut"), 1);
    let stderr = server.program.stderr();
    let warnings: Vec<_> = stderr.lines().filter(|line| line.contains("WARN")).collect();
    let [waits, cut] = warnings[..] else { panic!("{warnings:?}") };
    assert!(waits.contains("room cafe waits for receiver stalled ("), "{warnings:?}");
    assert!(cut.contains("cut receiver stalled (") && cut.contains("cafe"), "{warnings:?}");
    assert_eq!(server.reports("bytes queued"), 0);
    drop(stopped);
    println!("longest pause {longest:?}, memory grew by {grown} KiB");
}

fn a_receiver_that_never_reads_is_cut_and_the_others_miss_nothing(way: Way) {
    one_stops_reading(way, |server| {
        let mut peer = Peer::connect(server.place());
        peer.ok("rlogin:stalled");
        peer.send("join:cafe\n");
        server.program.expect_stderr("receiver stalled (");
        std::mem::forget(peer);
        None
    });
}

fn a_stopped_receiver_is_cut_and_the_others_miss_nothing(way: Way) {
    one_stops_reading(way, |server| {
        let receiver = server.receiver("stalled", "cafe");
        receiver.signal(Signal::STOP);
        Some(receiver)
    });
}

fn a_slow_receiver_gets_all_of_a_flood(way: Way) {
    // Less than it takes until the system says by itself that a slow reader's socket has room.
    let server = Server::over(way, &["--stall-timeout", "2"]);
    let mut slow = Peer::connect_with_buffer(server.place(), 32 * 1024);
    slow.enter("rlogin", "slow", "cafe");
    let fast = Peer::receiver(server.place(), "fast", "cafe");
    let before = server.program.memory();
    let (count, size) = (30_000, 200);
    let fast = read_all(fast, count, size);
    let flood = flood(Peer::sender(server.place(), "s", "cafe"), count, size);
    let mut stream = slow.stream().try_clone().unwrap();
    let mut heard = Vec::new();
    let line = "delivery:cafe:s:\n".len() + size;
    let (begun, mut piece) = (Instant::now(), vec![0; 20_000]);
    while heard.len() < count * line {
        let read = stream.read(&mut piece).expect("it is not cut");
        assert!(read > 0, "cut after {} bytes: {}", heard.len(), server.program.stderr());
        heard.extend_from_slice(&piece[..read]);
        // 400 KB a second: the pace of this reader, which nothing waits for.
        let due = begun + Duration::from_secs_f64(heard.len() as f64 / 400e3);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    for (number, line) in heard.split(|byte| *byte == b'\n').take(count).enumerate() {
        let want = format!("delivery:cafe:s:{}", text(number, size));
        assert_eq!(line, want.as_bytes(), "delivery {number}");
    }
    let longest = flood.join().unwrap();
    fast.join().unwrap();
    let grown = server.program.peak_memory() - before;
    assert!(grown < 32 * MIB, "memory grew by {grown} KiB");
    assert_eq!(server.reports("receivers cut"), 0);
    println!("longest pause {longest:?}, memory grew by {grown} KiB");
}

fn a_line_without_an_end_takes_no_memory_and_one_answer(way: Way) {
    let server = Server::over(way, &[]);
    let mut early = Peer::connect(server.place());
    let mut late = Peer::sender(server.place(), "bob", "cafe");
    let before = server.program.memory();
    for peer in [&mut early, &mut late] {
        let piece = vec![b'x'; 1_000_000];
        for _ in 0..200 {
            peer.send(&piece);
        }
        peer.send("\n");
        assert!(peer.line().starts_with("err:"));
    }
    let grown = server.program.peak_memory() - before;
    assert!(grown < 4 * MIB, "memory grew by {grown} KiB");
    early.ok("slogin:ann");
    late.ok("sendall:still here");
    println!("memory grew by {grown} KiB");
}

fn a_sender_that_never_reads_its_answers_waits_alone(way: Way) {
    let server = Server::over(way, &[]);
    let mut receiver = Peer::receiver(server.place(), "eve", "cafe");
    let mut other = Peer::sender(server.place(), "amy", "cafe");
    let before = server.program.memory();
    let mut deaf = Peer::connect(server.place());
    deaf.ok("slogin:deaf");
    // Its answers are longer than its requests: the server has to stop reading some time.
    let stream = deaf.stream().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let sent = send_until_stuck(stream);
    for number in 0..200 {
        other.ok(&format!("sendall:{number}"));
        receiver.expect(&format!("delivery:cafe:amy:{number}"));
    }
    let grown = server.program.peak_memory() - before;
    assert!(grown < 8 * MIB, "memory grew by {grown} KiB after {sent} bytes of requests");
    let used = server.program.processor_seconds();
    thread::sleep(Duration::from_secs(1));
    let used = server.program.processor_seconds() - used;
    assert!(used < 0.5, "{used} s of processor time in a second of waiting");
    let begun = Instant::now();
    let finished = server.stop();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
    println!("{sent} bytes of requests, memory grew by {grown} KiB");
}

/// Writes empty lines until nothing more is taken; returns how many.
fn send_until_stuck(mut stream: Wire) -> usize {
    let lines = [b'\n'; 64 * 1024];
    let mut sent = 0;
    while let Ok(count) = stream.write(&lines) {
        sent += count;
        assert!(sent < 500_000_000, "the server never stops reading");
    }
    sent
}

/// A sender that is killed while it waits for a stalled room leaves nothing behind, and what it
/// had sent is delivered.
fn a_sender_that_dies_while_it_waits_is_forgotten(way: Way) {
    let server = Server::over(way, &[]);
    let stalled = Peer::receiver(server.place(), "stalled", "cafe");
    let mut deaf: Vec<_> = (0..5)
        .map(|_| Peer::sender(server.place(), "s", "cafe").stream().try_clone().unwrap())
        .collect();
    for sender in &mut deaf {
        sender.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let lines = format!("sendall:{}\n", text(0, 200)).repeat(100);
        while sender.write(lines.as_bytes()).is_ok() {}
    }
    drop(deaf);
    wait_until(
        || server.reports("senders") == 0 && server.reports("receivers cut") == 1,
        || server.report(),
    );
    assert_eq!(server.reports("rooms"), 0, "{}", server.report());
    drop(stalled);
}

/// Twenty people who each wait for an answer before they say more: all get about as many words in.
fn no_sender_starves(way: Way) {
    let server = Server::over(way, &[]);
    for _ in 0..20 {
        let mut stream =
            Peer::receiver(server.place(), "eve", "cafe").stream().try_clone().unwrap();
        thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    }
    let mut senders: Vec<_> =
        (0..20).map(|_| Peer::sender(server.place(), "bob", "cafe")).collect();
    senders.iter_mut().for_each(|sender| sender.send("sendall:hello\n"));
    let mut said = vec![0; senders.len()];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let mut fds: Vec<_> =
            senders.iter().map(|sender| PollFd::new(sender.stream(), PollFlags::IN)).collect();
        poll(&mut fds, None).unwrap();
        let answered: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (number, _) in answered.iter().enumerate().filter(|(_, answered)| **answered) {
            senders[number].expect("ok:sent");
            senders[number].send("sendall:hello\n");
            said[number] += 1;
        }
    }
    let (least, most) = (said.iter().min().unwrap(), said.iter().max().unwrap());
    assert!(least * 2 >= *most, "from {least} to {most} texts: {said:?}");
    println!("from {least} to {most} texts");
}

/// However many rooms there are, each with a receiver that does not read.
fn what_is_queued_for_all_receivers_is_bounded(way: Way) {
    let rooms = 60;
    let server = Server::over(way, &["--total-queue-limit", "2000000", "--stall-timeout", "60"]);
    let before = server.program.memory();
    let mut stuck = Vec::new();
    for number in 0..rooms {
        let room = format!("room{number}");
        let mut receiver = Peer::connect_with_buffer(server.place(), 4096);
        receiver.enter("rlogin", "stuck", &room);
        let sender = Peer::sender(server.place(), "s", &room).stream().try_clone().unwrap();
        sender.set_nonblocking(true).unwrap();
        stuck.push((receiver, sender));
    }
    // So much that the systems of all take it, and much more.
    let lines = format!("sendall:{}\n", text(0, 200)).repeat(100);
    let mut written = 1;
    while written > 0 {
        written = 0;
        for (_, sender) in &mut stuck {
            while let Ok(count @ 1..) = sender.write(lines.as_bytes()) {
                written += count;
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    let queued = server.reports("bytes queued");
    // Each may have a frame more than its share, of 64 KiB as they were sent, and 4 KiB in any case.
    assert!(queued < 2_000_000 + rooms * 80_000, "{queued} bytes queued");
    let grown = server.program.peak_memory() - before;
    assert!(grown < 30 * MIB, "memory grew by {grown} KiB");
    println!("{queued} bytes queued, memory grew by {grown} KiB");
}

/// The first are named, the others counted.
#[test]
fn receivers_that_are_cut_in_a_crowd_do_not_flood_the_log() {
    let flags = ["--workers", "1", "--queue-limit", "1000", "--stall-timeout", "1"];
    let server = Server::run(crate::harness::chatbox(["server", "0"].into_iter().chain(flags)));
    let stuck: Vec<_> = (0..30)
        .map(|_| {
            let mut receiver = Peer::connect_with_buffer(server.port, 4096);
            receiver.enter("rlogin", "stuck", "cafe");
            receiver
        })
        .collect();
    let sender = Peer::sender(server.port, "s", "cafe").stream().try_clone().unwrap();
    let lines = format!("sendall:{}\n", text(0, 200)).repeat(100);
    let mut writer = sender.try_clone().unwrap();
    thread::spawn(move || while writer.write_all(lines.as_bytes()).is_ok() {});
    thread::spawn(move || std::io::copy(&mut &sender, &mut std::io::sink()));
    server.wait_for_report("receivers cut", |cut| cut == 30);
    let lines = server.program.stderr().matches("cut receiver stuck (").count();
    assert!((1..=20).contains(&lines), "{lines} lines for 30 receivers");
    drop(stuck);
}
