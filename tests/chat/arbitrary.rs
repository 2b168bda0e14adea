//! Properties that hold for any input: what is encoded parses back, and any bytes, cut anywhere,
//! get one answer a line.

use chatbox::wire::protocol::{Delivery, EncodeError, MAX_REQUEST, Reply, Request};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::harness::{Peer, Server};

/// Bytes without a line break, a few of them special.
fn payload(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => any::<u8>(), 1 => Just(b':'), 1 => Just(b'\r'), 1 => Just(0)];
    vec(byte.prop_map(|byte| if byte == b'\n' { b' ' } else { byte }), 0..most)
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::char::ranges(vec!['a'..='z', 'A'..='Z', '0'..='9'].into()), 1..20)
        .prop_map(|chars| chars.into_iter().collect::<String>().into_bytes())
}

/// Lines as friends and enemies write them. None is a sender's `quit`, after which there would be
/// no answers, and none logs in a receiver, which might hear others.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        2 => Just(b"slogin:bob".to_vec()),
        2 => Just(b"join:cafe".to_vec()),
        1 => Just(b"leave:".to_vec()),
        1 => Just(b"quit".to_vec()),
        1 => Just(vec![]),
        4 => payload(300).prop_map(|text| [b"sendall:", text.as_slice()].concat()),
        2 => payload(2000),
        1 => vec(Just(b'x'), 0..5000),
    ];
    let end = prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..])];
    let whole = (line, end).prop_map(|(line, end)| [&line, end].concat());
    vec(whole, 0..60).prop_map(|lines| lines.concat()).prop_filter("no farewell", |bytes| {
        let spoils = |line: &[u8]| line.starts_with(b"quit:") || line.starts_with(b"rlogin:");
        // Nor does it begin as TLS does.
        !bytes.starts_with(b"\x16\x03") && !bytes.split(|byte| *byte == b'\n').any(spoils)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_survives_the_wire(tag in 0..6usize, payload in payload(260)) {
        let request = [
            Request::LogInSender(&payload),
            Request::LogInReceiver(&payload),
            Request::Join(&payload),
            Request::SendAll(&payload),
            Request::Leave,
            Request::Quit,
        ][tag];
        let mut line = Vec::new();
        match request.encode(&mut line) {
            Ok(()) => {
                prop_assert!(line.len() <= MAX_REQUEST);
                prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
                prop_assert_eq!(line.pop(), Some(b'\n'));
                prop_assert_eq!(Request::parse(&line), Ok(request));
            }
            Err(EncodeError::LineBreak) => prop_assert!(payload.ends_with(b"\r")),
            Err(EncodeError::TooLong { .. }) => prop_assert!(payload.len() > MAX_REQUEST - 10),
        }
    }

    #[test]
    fn a_reply_survives_the_wire(tag in 0..3usize, room in word(), sender in word(), text in payload(246)) {
        let reply = [
            Reply::Ok(&text),
            Reply::Err(&text),
            Reply::Delivery(Delivery { room: &room, sender: &sender, text: &text }),
        ][tag];
        let mut line = Vec::new();
        reply.encode(&mut line);
        prop_assert_eq!(line.pop(), Some(b'\n'));
        prop_assert_eq!(Reply::parse(&line), Ok(reply));
    }

    #[test]
    fn any_bytes_parse_to_something_or_nothing(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Request::parse(&bytes);
        let _ = Reply::parse(&bytes);
    }
}

#[test]
fn any_bytes_cut_anywhere_get_one_answer_a_line() {
    let server = Server::with(&[]);
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() };
    proptest!(config, |(bytes in lines(), cuts in vec(any::<prop::sample::Index>(), 0..20))| {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut peer = Peer::connect(server.port);
        for piece in cuts.windows(2) {
            peer.send(&bytes[piece[0]..piece[1]]);
        }
        peer.end();
        for _ in bytes.iter().filter(|byte| **byte == b'\n') {
            let answer = peer.line();
            prop_assert!(answer.starts_with("ok:") || answer.starts_with("err:"), "{answer:?}");
        }
        peer.expect_end();
    });
    let finished = server.stop();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(!String::from_utf8_lossy(&finished.stderr).contains("panic"), "{finished:?}");
}
