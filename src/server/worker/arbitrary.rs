//! Any bytes, cut anywhere, over each transport and with each log, get one answer a line.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::test_log::TestLog;
use super::test_server::{Client, TestServer};
use super::test_transport::{TestClient, TestTransport};
use super::transport::Transport;

/// Lines as friends and enemies write them, pipelined, none of which ends the connection.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |most| vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..most);
    let line = prop_oneof![
        1 => Just(b"slogin:bob".to_vec()),
        2 => Just(b"join:here".to_vec()),
        1 => Just(b"join:there".to_vec()),
        1 => Just(b"leave:".to_vec()),
        1 => Just(b"quit".to_vec()),
        6 => bytes(300).prop_map(|text| [b"sendall:", text.as_slice()].concat()),
        2 => bytes(600),
    ];
    let end = prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..])];
    let whole = (line, end).prop_map(|(line, end)| [&line, end].concat());
    let start = Just(b"slogin:bob\njoin:here\n".to_vec());
    (start, vec(whole, 0..60)).prop_map(|(start, lines)| [start, lines.concat()].concat())
}

/// What a log does with what it is given.
const LOGS: [Option<Option<Result<(), &str>>>; 4] =
    [None, Some(None), Some(Some(Ok(()))), Some(Some(Err("no")))];

/// A client over one transport or the other.
enum Either {
    Plain(Client),
    Veiled(Client, TestClient),
}

impl Either {
    fn send(&mut self, bytes: &[u8]) {
        match self {
            Either::Plain(client) => client.send_bytes(bytes),
            Either::Veiled(_, veil) => veil.send(bytes),
        }
    }

    fn end(&mut self) {
        match self {
            Either::Plain(client) => client.end(),
            Either::Veiled(_, veil) => veil.end(),
        }
    }

    fn heard(&mut self) -> Vec<u8> {
        match self {
            Either::Plain(client) => client.heard_bytes(),
            Either::Veiled(client, veil) => veil.exchange(&client.0),
        }
    }
}

/// The answers to these pieces of lines.
fn answers(pieces: &[&[u8]], log: Option<&Arc<TestLog>>, veiled: bool) -> Vec<u8> {
    let mut server = match log {
        Some(log) => TestServer::with_log(Arc::clone(log) as _),
        None => TestServer::new(),
    };
    let mut client = if veiled {
        let transport = |stream| Transport::Test(TestTransport::new(stream));
        Either::Veiled(server.connect_over(0, transport), TestClient::default())
    } else {
        Either::Plain(server.connect(0))
    };
    let mut heard = Vec::new();
    for piece in pieces {
        client.send(piece);
        server.step_all();
        heard.extend(client.heard());
    }
    client.end();
    let is_over = |server: &mut TestServer| {
        server.step_all();
        if let Some(log) = log {
            log.decide_all(&server.shared);
        }
        heard.extend(client.heard());
        server.shared.placement.sessions(0) + server.shared.placement.sessions(1) == 0
    };
    server.wait_for(is_over, "it does not end");
    heard.extend(client.heard());
    heard
}

#[test]
fn any_bytes_cut_anywhere_over_anything_get_one_answer_a_line() {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() };
    proptest!(config, |(bytes in lines(), cuts in vec(any::<Index>(), 0..10))| {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|piece| &bytes[piece[0]..piece[1]]).collect();
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        for decides in LOGS {
            for veiled in [false, true] {
                let log = decides.map(|decides_at_once| {
                    Arc::new(TestLog { decides_at_once, ..TestLog::default() })
                });
                let heard = answers(&pieces, log.as_ref(), veiled);
                let heard = String::from_utf8_lossy(&heard).into_owned();
                let all = heard.lines().all(|line| line.starts_with("ok:") || line.starts_with("err:"));
                prop_assert!(all && heard.ends_with('\n'), "{decides:?} {veiled}: {heard}");
                prop_assert_eq!(heard.lines().count(), lines, "{:?} {}: {}", decides, veiled, heard);
                let refused = heard.contains("err:no\n");
                prop_assert!(!refused || decides == Some(Some(Err("no"))), "{decides:?}: {heard}");
            }
        }
    });
}
