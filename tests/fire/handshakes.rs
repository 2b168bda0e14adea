//! Clients that begin to speak TLS and do not go on.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::KeyPair;

use crate::harness::authority::{Authority, has_openssl};
use crate::harness::{Crowd, Peer, Server, left_out, wait_until};

/// The start of a first message, which says that more comes.
const START: &[u8] = &[0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00];

/// How long something usually takes that is done so often.
fn usually(times: usize, mut ask: impl FnMut()) -> Duration {
    let mut took: Vec<_> = (0..times)
        .map(|_| {
            let begun = Instant::now();
            ask();
            begun.elapsed()
        })
        .collect();
    took.sort();
    // The machine may have been busy with something else a few times.
    took[times / 2]
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
    let plain_took = usually(51, || plain.ok("sendall:hi"));
    let secret_took = usually(51, || drop(secret.ask("join:cafe")));
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

/// Each is answered with a signature, which takes milliseconds with such a key.
#[test]
fn a_thousand_handshakes_that_begin_rightly_hold_up_nobody() {
    let Some(_crowd) = Crowd::of(1200) else { return };
    if !has_openssl() {
        return left_out("there is no openssl");
    }
    let key = Command::new("openssl").args(["genrsa", "4096"]).output().unwrap().stdout;
    let authority = Authority::new();
    let pair = authority.server_with(KeyPair::from_pem(&String::from_utf8(key).unwrap()).unwrap());
    let server = Server::with(&[&["--allow-plain"], &pair.flags()[..]].concat());
    let mut plain = Peer::sender(server.port, "bob", "cafe");
    let mut secret = authority.peer(server.port, None, &[]);
    assert_eq!(secret.ask("slogin:eve"), "ok:logged in as eve");
    let handshake = usually(7, || drop(authority.peer(server.port, None, &[]).ask("x")));
    let mut hello = Vec::new();
    let (mut session, _) = authority.connect(server.port, None, &[]);
    session.write_tls(&mut hello).unwrap();
    let begun = Instant::now();
    let stuck: Vec<_> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            stream.write_all(&hello).unwrap();
            stream
        })
        .collect();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(2) {
        let asked = Instant::now();
        plain.ok("sendall:hi");
        secret.ask("join:cafe");
        longest = longest.max(asked.elapsed());
    }
    // Each worker has 256 of them to answer, and does nothing else meanwhile if nothing stops it.
    let summary = format!("two round trips take {longest:?} at most, a handshake {handshake:?}");
    assert!(longest < 60 * handshake, "{summary}");
    println!("{summary}");
    drop(stuck);
}
