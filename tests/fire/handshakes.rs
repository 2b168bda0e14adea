//! Clients that begin to speak TLS and do not go on.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::authority::Authority;
use crate::harness::{Crowd, Peer, Server, wait_until};

/// The start of a first message, which says that more comes.
const START: &[u8] = &[0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00];

/// How long a round trip usually takes.
fn round_trip(mut ask: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..51)
        .map(|_| {
            let begun = Instant::now();
            ask();
            begun.elapsed()
        })
        .collect();
    times.sort();
    // The machine may have been busy with something else a few times.
    times[25]
}

#[test]
fn a_thousand_handshakes_that_do_not_go_on_hold_up_nobody_and_are_gone_in_time() {
    let Some(_crowd) = Crowd::of(1200) else { return };
    let authority = Authority::new();
    let pair = authority.server(|_| {});
    let flags = [&["--allow-plain"], &pair.flags()[..]].concat();
    let server = Server::with(&flags);
    let mut plain = Peer::sender(server.port, "bob", "cafe");
    let mut secret = authority.peer(server.port, None, &[]);
    assert_eq!(secret.ask("slogin:eve"), "ok:logged in as eve");
    // These log in as soon as they can, and move at once: what they leave is nobody else's.
    let mut movers: Vec<_> = (0..20)
        .map(|number| {
            let mut peer = authority.peer(server.port, None, &[]);
            peer.send(&format!("slogin:amy\njoin:room{number}\n")).unwrap();
            peer
        })
        .collect();
    let before = server.program.memory();
    let begun = Instant::now();
    let stuck: Vec<_> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            stream.write_all(START).unwrap();
            stream
        })
        .collect();
    let plain_took = round_trip(|| plain.ok("sendall:hi"));
    let secret_took = round_trip(|| drop(secret.ask("join:cafe")));
    for took in [plain_took, secret_took] {
        assert!(took < Duration::from_millis(100), "a round trip takes {took:?}");
    }
    let grown = server.program.memory() - before;
    assert!(grown < 30 * 1024, "memory grew by {grown} KiB");
    // Others come in all the while.
    assert_eq!(authority.peer(server.port, None, &[]).ask("slogin:amy"), "ok:logged in as amy");
    wait_until(|| server.reports("new clients") == 0, || server.report());
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(9), "gone already after {took:?}");
    for peer in &mut movers {
        assert_eq!(peer.line().unwrap(), "ok:logged in as amy");
        assert!(peer.line().unwrap().starts_with("ok:joined room"));
        assert_eq!(peer.ask("sendall:still here"), "ok:sent");
    }
    server.program.expect_stderr("closing clients whose TLS handshake takes too long");
    drop(stuck);
    println!("plain {plain_took:?}, TLS {secret_took:?}, {grown} KiB, gone after {took:?}");
}
