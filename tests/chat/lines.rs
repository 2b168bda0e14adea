//! Lines: pipelined, cut anywhere, of any length, of any bytes.

use std::io::Write;

use crate::harness::{Peer, Server};

#[test]
fn pipelined_requests_get_all_their_answers_in_order() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut peer = Peer::connect(server.port);
    peer.send("slogin:bob\njoin:cafe\nsendall:1\nbad\nsendall:2\r\nleave:\nsendall:3\nquit:\n");
    peer.expect("ok:logged in as bob");
    peer.expect("ok:joined room cafe");
    for tag in ["ok", "err", "ok", "ok", "err", "ok"] {
        let answer = peer.line();
        assert!(answer.starts_with(&format!("{tag}:")), "{answer:?} is no {tag}");
    }
    peer.expect_end();
    receiver.expect("delivery:cafe:bob:1");
    receiver.expect("delivery:cafe:bob:2");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut peer = Peer::connect(server.port);
    for byte in b"slogin:bob\r\njoin:cafe\nsendall:piece by piece\n" {
        peer.send([*byte]);
    }
    for _ in 0..3 {
        assert!(peer.line().starts_with("ok:"));
    }
    receiver.expect("delivery:cafe:bob:piece by piece");
}

#[test]
fn whoever_shuts_down_its_writing_side_still_gets_its_answers_and_deliveries() {
    let server = Server::with(&[]);
    let mut receiver = Peer::connect(server.port);
    receiver.send("rlogin:eve\njoin:cafe\n");
    receiver.end();
    receiver.expect("ok:logged in as eve");
    receiver.expect("ok:joined room cafe");
    let mut sender = Peer::connect(server.port);
    sender.send("slogin:bob\njoin:cafe\nsendall:hi\nsendall:no end");
    sender.end();
    for _ in 0..3 {
        assert!(sender.line().starts_with("ok:"));
    }
    // A line that never ended is no request.
    sender.expect_end();
    receiver.expect("delivery:cafe:bob:hi");
    Peer::sender(server.port, "amy", "cafe").ok("sendall:still there?");
    receiver.expect("delivery:cafe:amy:still there?");
}

#[test]
fn the_longest_line_is_255_bytes_with_its_end() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    for (length, end, fits) in
        [(246, "\n", true), (247, "\n", false), (245, "\r\n", true), (246, "\r\n", false)]
    {
        let text = "x".repeat(length);
        sender.send(format!("sendall:{text}{end}"));
        let answer = sender.line();
        assert_eq!(answer.starts_with("ok:"), fits, "{length} bytes and {end:?}: {answer:?}");
        if fits {
            receiver.expect(&format!("delivery:cafe:bob:{text}"));
        }
    }
}

#[test]
fn the_longest_names_and_text_make_a_delivery_of_754_bytes() {
    let server = Server::with(&[]);
    let (user, room, text) = ("u".repeat(247), "r".repeat(249), "t".repeat(246));
    let mut receiver = Peer::receiver(server.port, &user, &room);
    let mut sender = Peer::sender(server.port, &user, &room);
    sender.ok(&format!("sendall:{text}"));
    let line = receiver.line();
    assert_eq!(line, format!("delivery:{room}:{user}:{text}"));
    assert_eq!(line.len() + 1, 754);
    Peer::connect(server.port).err(&format!("slogin:{user}u"));
}

#[test]
fn an_over_long_line_is_one_error_in_every_state() {
    let server = Server::with(&[]);
    let port = server.port;
    let logged_in = |login: &str| {
        let mut peer = Peer::connect(port);
        peer.ok(login);
        peer
    };
    for length in [256, 257, 1000, 70_000] {
        let states = [
            (Peer::connect(port), "slogin:ann"),
            (logged_in("slogin:ann"), "join:here"),
            (logged_in("rlogin:ann"), "join:here"),
            (Peer::sender(port, "ann", "here"), "sendall:here"),
        ];
        for (mut peer, next) in states {
            peer.err(&format!("sendall:{}", "x".repeat(length - "sendall:\n".len())));
            peer.ok(next);
        }
        let mut receiver = Peer::receiver(port, "ann", "there");
        receiver.err(&format!("sendall:{}", "x".repeat(length - "sendall:\n".len())));
        Peer::sender(port, "bob", "there").ok("sendall:there");
        receiver.expect("delivery:there:bob:there");
    }
}

#[test]
fn the_rest_of_an_over_long_line_is_thrown_away_up_to_its_end() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let long = "sendall:x\rsendall:y".repeat(100_000);
    sender.send(format!("{long}\nsendall:after\n"));
    assert!(sender.line().starts_with("err:"));
    assert!(sender.line().starts_with("ok:"));
    receiver.expect("delivery:cafe:bob:after");
}

#[test]
fn bytes_of_any_kind_arrive_as_they_were_sent() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let texts = [
        &all[..128],
        &all[128..],
        b"  spaces  ",
        b"\rfirst",
        b"\r\r",
        "p\u{e4}\u{1f980}".as_bytes(),
    ];
    for text in texts {
        sender.send([b"sendall:", text, b"\n"].concat());
        assert!(sender.line().starts_with("ok:"));
        // Only a carriage return right before the end belongs to the end.
        let want = [b"delivery:cafe:bob:", text.strip_suffix(b"\r").unwrap_or(text)].concat();
        assert_eq!(
            receiver.next_line().unwrap().escape_ascii().to_string(),
            want.escape_ascii().to_string()
        );
    }
}

/// As `telnet` sends it when its user presses Ctrl-C.
#[test]
fn urgent_data_is_data_like_any_other_and_holds_up_nothing() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    for _ in 0..20 {
        sender.send("sendall:1\nsendall:urgen");
        rustix::net::send(sender.stream(), b"t", rustix::net::SendFlags::OOB).unwrap();
        sender.send("\nsendall:2\nsendall:3\n");
        for _ in 0..4 {
            assert!(sender.line().starts_with("ok:"));
        }
        for text in ["1", "urgent", "2", "3"] {
            receiver.expect(&format!("delivery:cafe:bob:{text}"));
        }
    }
}

#[test]
fn a_receiver_in_a_room_is_answered_and_in_its_turn() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.ok("sendall:before");
    receiver.send("sendall:hi\nleave:\nquit:\nrlogin:eve\n\njoin:bad name\njoin:bar\n");
    receiver.expect("delivery:cafe:bob:before");
    for _ in 0..6 {
        let answer = receiver.line();
        assert!(answer.starts_with("err:"), "{answer:?}");
    }
    receiver.expect("ok:joined room bar");
    sender.ok("sendall:after");
    Peer::sender(server.port, "amy", "bar").ok("sendall:sentinel");
    receiver.expect("delivery:bar:amy:sentinel");
}

#[test]
fn a_flood_of_lines_without_reading_answers_is_answered_once_they_are_read() {
    let server = Server::with(&[]);
    let mut peer = Peer::connect(server.port);
    let mut writer = peer.stream().try_clone().unwrap();
    let lines = 500_000;
    let flood = std::thread::spawn(move || {
        let many = "\n".repeat(10_000);
        for _ in 0..lines / many.len() {
            writer.write_all(many.as_bytes()).unwrap();
        }
    });
    for number in 0..lines {
        let answer = peer.line();
        assert!(answer.starts_with("err:"), "answer {number}: {answer:?}");
    }
    flood.join().unwrap();
    peer.ok("slogin:bob");
}

/// A browser sends what a page tells it to, to any port.
#[test]
fn a_web_page_cannot_speak_here() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let body = "slogin:page\njoin:cafe\nsendall:buy something\n";
    let long = "x:".repeat(2500);
    for request in [
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n{body}"),
        format!("POST /slogin:page HTTP/1.0\n{body}"),
        format!("\r\nGET /{long} HTTP/1.1\r\n{body}"),
    ] {
        let mut page = Peer::connect(server.port);
        page.send(&request);
        let mut answers = Vec::new();
        while let Some(answer) = page.next_line() {
            answers.push(answer.escape_ascii().to_string());
        }
        let all_err = answers.iter().all(|answer| answer.starts_with("err:"));
        assert!(all_err && answers.last().unwrap().contains("HTTP"), "{answers:?} to {request:?}");
    }
    // Who has logged in is no web page.
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    sender.err("GET / HTTP/1.1");
    sender.ok("sendall:GET / HTTP/1.1");
    receiver.expect("delivery:cafe:bob:GET / HTTP/1.1");
}

/// It would wait for an answer that it understands.
#[test]
fn a_tls_client_is_closed_at_once() {
    let server = Server::with(&["-v"]);
    for pieces in [&[&b"\x16\x03\x01\x02\0\x01"[..]][..], &[b"\x16", b"\x03"]] {
        let mut client = Peer::connect(server.port);
        for piece in pieces {
            client.send(piece);
            // So that the pieces come one by one.
            Peer::connect(server.port).err("who is there");
        }
        client.expect_end();
    }
    server.program.expect_stderr("it speaks TLS");
    let line = "this server has no certificate (--cert and --key)";
    server.program.expect_stderr(line);
    for near in ["\x16\n", "\x16\x16\x03\n", "\n\x16\x03\n", "\x03\x16\n"] {
        let mut client = Peer::connect(server.port);
        client.send(near);
        near.matches('\n').for_each(|_| assert!(client.line().starts_with("err:"), "{near:?}"));
        client.ok("slogin:bob");
    }
}
