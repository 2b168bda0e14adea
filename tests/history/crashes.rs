//! What survives when the server does not end in an orderly way, and when positions begin anew.

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
        if std::io::Write::write_all(&mut &*stream, line.as_bytes()).is_err() {
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
