//! What survives when the server does not end in an orderly way, and when positions begin anew.

use std::collections::HashMap;
use std::io::Write;
use std::net::Shutdown;
use std::thread;

use rustix::process::Signal;

use crate::harness::Peer;
use crate::scratch::{Scratch, Span, receiver, records, say};

/// Senders that talk while the server is killed.
const SENDERS: usize = 4;

/// Pipelines texts until the server is gone; returns how many were answered `ok`.
fn talk(mut sender: Peer, user: &str, round: usize) -> usize {
    let mut answered = 0;
    for number in 0.. {
        let stream = sender.stream();
        let line = format!("sendall:{user} {round} {number}\n");
        if (&mut &*stream).write_all(line.as_bytes()).is_err() {
            break;
        }
        match sender.next_line() {
            Some(line) => assert_eq!(line, b"ok:sent"),
            None => break,
        }
        answered += 1;
    }
    answered
}

/// Kills the server under load, again and again.
#[test]
fn what_was_answered_survives_being_killed() {
    let scratch = Scratch::new();
    let mut answered = Vec::new();
    let mut seen = Vec::new();
    let mut epoch = None;
    for round in 0..50 {
        let server = scratch.server(&[]);
        assert_eq!(*epoch.get_or_insert(scratch.epoch()), scratch.epoch());
        let port = server.port;
        let (mut peer, span) = receiver(port, "", "cafe");
        let senders: Vec<_> =
            (0..SENDERS).map(|user| Peer::sender(port, &format!("u{user}"), "cafe")).collect();
        let talk = |(user, sender)| {
            thread::spawn(move || (user, talk(sender, &format!("u{user}"), round)))
        };
        let talking: Vec<_> = senders.into_iter().enumerate().map(talk).collect();
        // Each time after another number of texts.
        for record in records(&mut peer, round * 7 % 40 + 1) {
            assert!(record.seq > span.to);
            seen.push((record.seq, record.text));
        }
        server.program.signal(Signal::KILL);
        for talk in talking {
            let (user, count) = talk.join().unwrap();
            answered.extend((0..count).map(|number| format!("u{user} {round} {number}")));
        }
    }
    let server = scratch.server(&[]);
    let texts = scratch.texts("cafe");
    let numbers: Vec<_> = texts.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=texts.len() as u64).collect::<Vec<_>>());
    // A position that somebody has seen names the same text for ever.
    for (seq, text) in seen {
        assert_eq!(texts[seq as usize - 1], (seq, text));
    }
    let mut kept: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
    kept.sort();
    let all = kept.len();
    kept.dedup();
    assert_eq!(kept.len(), all, "some texts are there twice");
    assert!(answered.len() > 50, "only {} answers in all", answered.len());
    for text in answered {
        assert!(kept.binary_search(&text).is_ok(), "{text} was answered, and is not there");
    }
    server.stop();
}

/// Talks in many texts at a time, of which none is answered before the last is said, until the server
/// is gone; returns how many were answered `ok`.
fn talk_without_waiting(mut sender: Peer, user: &str, round: usize) -> usize {
    let mut writer = sender.stream().try_clone().unwrap();
    let user = user.to_owned();
    let writing = thread::spawn(move || {
        for part in 0.. {
            let line = |number: usize| {
                format!("sendall:{user} {round} {number} {}\n", "x".repeat(number % 200))
            };
            let lines: String = (part * 700..(part + 1) * 700).map(line).collect();
            if writer.write_all(lines.as_bytes()).is_err() {
                break;
            }
        }
    });
    let mut answered = 0;
    while let Some(line) = sender.next_line() {
        assert_eq!(line, b"ok:sent");
        answered += 1;
    }
    let _ = sender.stream().shutdown(Shutdown::Both);
    writing.join().unwrap();
    answered
}

/// The same in large batches, of two rooms, which no worker commits by itself.
#[test]
fn what_was_answered_survives_in_batches_of_several_rooms() {
    let scratch = Scratch::new();
    let rooms = ["cafe", "tea"];
    // Of each user, how many texts were answered in each round.
    let mut answered = HashMap::new();
    for round in 0..12 {
        let server = scratch.server(&["--queue-limit", "100000"]);
        let mut peers = rooms.map(|room| receiver(server.port, "", room).0);
        let talking: Vec<_> = (0..4)
            .map(|number| {
                let (room, user) = (rooms[number % 2], format!("u{number}"));
                let sender = Peer::sender(server.port, &user, room);
                thread::spawn(move || {
                    let count = talk_without_waiting(sender, &user, round);
                    (format!("{user} {round}"), count)
                })
            })
            .collect();
        for peer in &mut peers {
            records(peer, round * 900 + 1);
        }
        server.program.signal(Signal::KILL);
        answered.extend(talking.into_iter().map(|talk| talk.join().unwrap()));
    }
    scratch.server(&[]).stop();
    let mut kept = HashMap::<String, usize>::new();
    for room in rooms {
        for ((seq, text), place) in scratch.texts(room).into_iter().zip(1..) {
            assert_eq!(seq, place, "in {room}");
            // `USER ROUND NUMBER xxx`
            let mut words = text.splitn(4, ' ');
            let (user, round, number) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let next = kept.entry(format!("{user} {round}")).or_default();
            assert_eq!(number, next.to_string(), "of {user} in round {round}");
            *next += 1;
        }
    }
    assert!(answered.values().sum::<usize>() > 2000, "{answered:?}");
    for (who, count) in answered {
        let kept = kept.get(&who).copied().unwrap_or(0);
        assert!(kept >= count, "{count} of {who} were answered, {kept} are there");
    }
}

/// Lets the history believe that the system has been started anew since.
fn pretend_a_power_cut(scratch: &Scratch) {
    scratch.database().execute("UPDATE state SET clean = 0, boot = 'another'", []).unwrap();
}

#[test]
fn positions_begin_a_new_epoch_only_if_something_may_be_lost() {
    for (flags, clean, power_cut, is_new) in [
        (&[][..], true, false, false),
        (&[], false, false, false),
        (&[], false, true, true),
        (&["--fsync"], false, true, false),
    ] {
        let scratch = Scratch::new();
        let server = scratch.server(flags);
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        say(&mut sender, (1..=5).map(|number| number.to_string()));
        let old = scratch.epoch();
        if clean {
            server.stop();
        } else {
            server.program.signal(Signal::KILL);
            server.program.finish();
        }
        if power_cut {
            pretend_a_power_cut(&scratch);
        }
        let server = scratch.server(flags);
        let epoch = scratch.epoch();
        assert_eq!(epoch > old, is_new, "{flags:?}, {clean}, {power_cut}");
        assert_eq!(server.program.stderr().contains("new epoch"), is_new);
        // Numbers go on, and the old ones lead on.
        let mut sender = Peer::sender(server.port, "bob", "cafe");
        say(&mut sender, ["6".into()]);
        for (asked, from) in [(3, 3), (5, 5), (9, if is_new { 5 } else { 0 })] {
            let (mut peer, span) = receiver(server.port, &format!("after={old}-{asked}"), "cafe");
            assert_eq!(span, Span { epoch, from, to: 6 });
            let records = records(&mut peer, 6 - from as usize);
            assert!(records.iter().all(|record| record.epoch == epoch));
            assert_eq!(records.last().map(|record| &*record.text), Some("6"));
        }
    }
}

/// Right after a start, before anything is said, there may be another one: that nothing was lost since
/// is not known.
#[test]
fn positions_lead_on_through_several_power_cuts() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=5).map(|number| number.to_string()));
    server.stop();
    let mut epochs = vec![scratch.epoch()];
    for _ in 0..3 {
        let server = scratch.server(&[]);
        server.program.signal(Signal::KILL);
        server.program.finish();
        pretend_a_power_cut(&scratch);
        let server = scratch.server(&[]);
        let epoch = scratch.epoch();
        assert!(epoch > *epochs.last().unwrap());
        for old in &epochs {
            let (_, span) = receiver(server.port, &format!("after={old}-4"), "cafe");
            assert_eq!(span, Span { epoch, from: 4, to: 5 });
            let (_, span) = receiver(server.port, &format!("after={old}-9"), "cafe");
            assert_eq!(span, Span { epoch, from: 5, to: 5 });
            // The room that nobody had heard of then has ended where it begins.
            let (_, span) = receiver(server.port, &format!("after={old}-9"), "tea");
            assert_eq!(span, Span { epoch, from: 0, to: 0 });
        }
        epochs.push(epoch);
        server.stop();
    }
}

/// The last number of a room is not taken from the texts that are there.
#[test]
fn numbers_go_on_after_texts_are_gone() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, (1..=5).map(|number| number.to_string()));
    server.stop();
    scratch.database().execute("DELETE FROM texts", []).unwrap();
    let server = scratch.server(&[]);
    let (mut peer, span) = receiver(server.port, "last=10", "cafe");
    assert_eq!((span.from, span.to), (5, 5));
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, ["6".into()]);
    assert_eq!(records(&mut peer, 1)[0].seq, 6);
}
