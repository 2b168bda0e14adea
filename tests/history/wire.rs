//! The extension's lines, one by one (protocol, *`+history`: rooms that remember*).

use crate::harness::records::{beginnings, begins, numbers};
use crate::harness::{Peer, Server, wait_until};
use crate::scratch::{Scratch, Span, receiver, records, say};

#[test]
fn a_server_that_keeps_nothing_does_not_know_of_histories() {
    let server = Server::start();
    let mut peer = Peer::connect(server.port);
    let unknown = peer.ask("nonsense:");
    assert_eq!(peer.ask("history:"), unknown);
    assert_eq!(peer.ask("rlogin:eve"), "ok:logged in as eve");
    for request in ["history:", "history:last=3", "history:x"] {
        assert_eq!(peer.ask(request), unknown);
    }
    assert_eq!(peer.ask("join:cafe"), "ok:joined room cafe");
    let mut sender = Peer::connect(server.port);
    assert_eq!(sender.ask("slogin:bob"), "ok:logged in as bob");
    sender.ok("join:cafe");
    sender.ok("sendall:hi");
    peer.expect("delivery:cafe:bob:hi");
}

#[test]
fn what_is_kept_is_offered_and_only_receivers_get_it() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::connect(server.port);
    sender.err("history:");
    assert_eq!(sender.ask("slogin:bob"), "ok:logged in as bob +history");
    sender.err("history:last=1");
    let mut peer = Peer::connect(server.port);
    assert_eq!(peer.ask("rlogin:eve"), "ok:logged in as eve +history");
    // One that does not use it does not see a line of it.
    assert_eq!(peer.ask("join:cafe"), "ok:joined room cafe");
    sender.ok("join:cafe");
    say(&mut sender, numbers(2));
    peer.expect("delivery:cafe:bob:1");
    peer.expect("delivery:cafe:bob:2");
    assert_eq!(peer.ask("join:cafe"), "ok:joined room cafe");
}

#[test]
fn a_receiver_begins_where_it_asks_to() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, numbers(10));
    let epoch = scratch.epoch();
    for (history, from) in beginnings(epoch) {
        let mut peer = begins(server.port, epoch, &history, from);
        // What is asked for holds for one `join`.
        peer.send("join:cafe\njoin:cafe\n");
        for _ in 0..2 {
            assert_eq!(Span::parse(&peer.line()), Span { epoch, from: 10, to: 10 });
        }
    }
}

/// The largest number that there is, and what is more.
const MOST: &str = "9223372036854775807";
const MORE: &str = "9223372036854775808";

#[test]
fn what_is_asked_for_at_the_edges_is_answered_as_the_protocol_says() {
    let scratch = Scratch::new();
    let server = scratch.server(&["--keep-texts", "8"]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, numbers(10));
    wait_until(|| scratch.texts("cafe").len() == 8, || server.report());
    server.stop();
    // An epoch that is over, and ended with text 6.
    let epoch = scratch.epoch();
    let old = epoch - 10;
    let ends =
        format!("INSERT INTO epochs VALUES ({old}); INSERT INTO ends VALUES ({old}, 'cafe', 6)");
    scratch.database().execute_batch(&ends).unwrap();
    let server = scratch.server(&[]);
    for (asked, from) in [
        ("last=0".into(), 10),
        ("last=00".into(), 10),
        ("last=1".into(), 9),
        ("last=0000000000000000000000000000007".into(), 3),
        ("last=8".into(), 2),
        ("last=9".into(), 2),
        (format!("last={MOST}"), 2),
        (format!("after={epoch}-0"), 2),
        (format!("after={epoch}-1"), 2),
        (format!("after={epoch}-2"), 2),
        (format!("after={epoch}-3"), 3),
        (format!("after=000{epoch}-0009"), 9),
        (format!("after={epoch}-10"), 10),
        (format!("after={epoch}-11"), 2),
        (format!("after={epoch}-{MOST}"), 2),
        (format!("after={old}-0"), 2),
        (format!("after={old}-5"), 5),
        (format!("after={old}-6"), 6),
        (format!("after={old}-7"), 6),
        (format!("after={old}-{MOST}"), 6),
        (format!("after={}-5", epoch - 1), 2),
        (format!("after={}-5", epoch + 1), 2),
        ("after=0-0".into(), 2),
        ("after=0-5".into(), 2),
        (format!("after={MOST}-{MOST}"), 2),
    ] {
        let (mut peer, span) = receiver(server.port, &asked, "cafe");
        assert_eq!(span, Span { epoch, from, to: 10 }, "{asked}");
        for (record, seq) in records(&mut peer, 10 - from as usize).iter().zip(from + 1..) {
            assert_eq!((record.epoch, record.seq), (epoch, seq), "{asked}");
        }
        // There is nothing in any epoch of a room that nobody has been in.
        let (_, span) = receiver(server.port, &asked, "tea");
        assert_eq!(span, Span { epoch, from: 0, to: 0 }, "{asked}");
    }
}

#[test]
fn what_is_no_wish_is_refused_and_changes_nothing() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    say(&mut sender, numbers(3));
    let mut peer = Peer::connect(server.port);
    peer.ok("rlogin:eve");
    let mut bad = vec!["x".into(), "last".into(), " ".into(), "first=1".into(), "LAST=1".into()];
    for number in ["", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e1", "\u{661}", MORE] {
        bad.push(format!("last={number}"));
        bad.push(format!("after=1-{number}"));
        bad.push(format!("after={number}-1"));
    }
    for after in ["1", "1:1", "-", "1-1-1", "1 - 1", "1-1,last=1"] {
        bad.push(format!("after={after}"));
    }
    bad.push(format!("last={}", "9".repeat(200)));
    for bad in &bad {
        peer.err(&format!("history:{bad}"));
    }
    // It has not asked for records by that, nor does that undo what it has asked for.
    assert_eq!(peer.ask("join:cafe"), "ok:joined room cafe");
    peer.ok("history:last=2");
    peer.err("history:last=x");
    assert_eq!(Span::parse(&peer.ask("join:cafe")).from, 1);
    assert_eq!(records(&mut peer, 2)[1].text, "3");
}

#[test]
fn a_join_of_the_same_room_starts_over() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let mut peer = Peer::receiver(server.port, "eve", "cafe");
    say(&mut sender, numbers(3));
    // A later wish replaces an earlier one.
    peer.send("history:last=1\nhistory:last=2\njoin:cafe\n");
    for number in 1..=3 {
        peer.expect(&format!("delivery:cafe:bob:{number}"));
    }
    assert!(peer.line().starts_with("ok:"));
    assert!(peer.line().starts_with("ok:"));
    let span = Span::parse(&peer.line());
    assert_eq!((span.from, span.to), (1, 3));
    assert_eq!(records(&mut peer, 2).iter().map(|it| it.seq).collect::<Vec<_>>(), [2, 3]);
    say(&mut sender, ["4".into()]);
    assert_eq!(records(&mut peer, 1)[0].seq, 4);
}

#[test]
fn each_room_has_its_own_numbers() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    for room in ["a", "b", "c"] {
        let mut sender = Peer::sender(server.port, "bob", room);
        say(&mut sender, (0..20).map(|number| format!("{room}{number}")));
    }
    let (mut peer, _) = receiver(server.port, "last=20", "a");
    for room in ["b", "c", "a"] {
        peer.send(format!("history:last=20\njoin:{room}\n"));
        let mut owed = 0;
        let span = loop {
            match peer.line() {
                line if line.starts_with("record:") => owed += 1,
                line if line.contains(" @") => break Span::parse(&line),
                line => assert_eq!(line, "ok:records from now on"),
            }
        };
        assert_eq!((span.from, span.to), (0, 20));
        // What is still owed of the room before comes first.
        assert_eq!(owed, if room == "b" { 20 } else { 0 });
        for (index, record) in records(&mut peer, 20).iter().enumerate() {
            assert_eq!((record.seq, &*record.text), (index as u64 + 1, &*format!("{room}{index}")));
        }
    }
}

#[test]
fn texts_of_any_bytes_come_back_as_they_were() {
    let scratch = Scratch::new();
    let server = scratch.server(&[]);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let texts: [&[u8]; 6] =
        [b"", b" a:b ", b"\xff\xfe\x00x", "h\u{e9}".as_bytes(), b"a\rb", &[b'x'; 246]];
    for text in texts {
        sender.send([b"sendall:", text, b"\n"].concat());
        sender.expect("ok:sent");
    }
    drop(sender);
    server.stop();
    let server = scratch.server(&[]);
    let (mut peer, _) = receiver(server.port, "last=6", "cafe");
    for text in texts {
        let line = peer.next_line().unwrap();
        assert!(line.ends_with(&[b":cafe:bob:", text].concat()), "{}", line.escape_ascii());
    }
}
