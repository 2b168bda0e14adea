//! What keeps a server from being started over Redis.

use std::net::TcpListener;
use std::thread;

use crate::engine::Engine;
use crate::harness::authority::{Authority, Pair};
use crate::harness::ports::{ClosedPort, free_port};
use crate::harness::{Finished, Peer, Program, Server, Signal, chatbox};

fn refused(flags: &[&str]) -> Finished {
    let words = ["server", "0"].iter().chain(flags).copied();
    Program::start(chatbox(words)).finish()
}

#[test]
fn a_redis_that_cannot_be_used_is_one_line() {
    let insecure = "rediss://localhost/#insecure";
    let other_place = "redis://localhost/?db=3";
    for url in ["", "x", "http://localhost", "redis://", "rediss://", insecure, other_place] {
        let finished = refused(&["--redis", url]);
        finished.assert_one_error(2, "--redis takes redis://");
    }
    let closed = ClosedPort::new();
    let nobody = format!("127.0.0.1:{}", closed.port);
    let url = format!("redis://eve:secret@{nobody}");
    let finished = refused(&["--redis", &url, "--redis-timeout", "1"]);
    finished.assert_one_error(1, &format!("cannot use Redis at {nobody}: "));
    assert!(!String::from_utf8_lossy(&finished.stderr).contains("secret"), "{finished:?}");
}

/// Whom to trust is for the system, or a variable, to say.
#[test]
fn redis_is_used_over_tls_if_its_certificate_can_be_trusted() {
    let authority = Authority::new();
    let Pair { certificate, key } = authority.server(|_| {});
    let (port, own) = (free_port().to_string(), authority.own());
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    let files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", &own];
    let flags = ["--tls-port", &port, "--tls-auth-clients", "no"];
    let Some(engine) = Engine::with(&[&files[..], &flags].concat()) else { return };
    let plain = engine.server(&[]);
    let mut receiver = Peer::receiver(plain.port, "eve", "cafe");
    let url = format!("rediss://localhost:{port}");
    let mut command = chatbox(["server", "--redis", &url, "0"]);
    command.env("SSL_CERT_FILE", &own);
    let secret = Server::run(command);
    Peer::sender(secret.port, "bob", "cafe").ok("sendall:hi");
    receiver.expect("delivery:cafe:bob:hi");
    let finished = refused(&["--redis", &url]);
    finished.assert_one_error(1, &format!("cannot use Redis at localhost:{port}: "));
    let error = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn one_that_says_nothing_is_not_waited_for() {
    let mute = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}", mute.local_addr().unwrap());
    let finished = refused(&["--redis", &url, "--redis-timeout", "1"]);
    finished.assert_one_error(1, "does not answer");
}

#[test]
fn one_that_is_busy_for_a_moment_is_waited_for() {
    let Some(engine) = Engine::start() else { return };
    engine.signal(Signal::STOP);
    let url = engine.url();
    let server = Program::start(chatbox(["server", "--redis", &url, "0"]));
    // One that is as patient as a running server is for a reply has given up by then.
    let finished = refused(&["--redis", &url, "--redis-timeout", "1"]);
    finished.assert_one_error(1, "does not answer");
    engine.signal(Signal::CONT);
    server.expect_stderr("listening on ");
}

#[test]
fn what_is_no_redis_is_told_so() {
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}", other.local_addr().unwrap());
    thread::spawn(move || {
        let mut peer = Peer::over(other.accept().unwrap().0);
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        while peer.next_line().is_some() {}
    });
    refused(&["--redis", &url]).assert_one_error(1, "what answers there is no Redis");
    let closed = ClosedPort::new().port;
    let finished = refused(&["--redis", &format!("redis://[::1]:{closed}")]);
    finished.assert_one_error(1, &format!("cannot use Redis at [::1]:{closed}: "));
}

#[test]
fn one_that_is_too_old_is_one_line() {
    let old = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("redis://{}", old.local_addr().unwrap());
    thread::spawn(move || {
        let mut peer = Peer::over(old.accept().unwrap().0);
        peer.line();
        let info = "redis_version:6.2.7\r\nrun_id:x\r\n";
        peer.send(format!("${}\r\n{info}\r\n", info.len()));
        peer.send("$1\r\nx\r\n".repeat(6));
        while peer.next_line().is_some() {}
    });
    refused(&["--redis", &url]).assert_one_error(1, "version 6.2.7: 7.0 or newer is needed");
}

#[test]
fn flags_for_redis_need_redis_and_no_file() {
    for flags in [
        &["--redis", "redis://localhost", "--history", "chat.db"][..],
        &["--redis", "redis://localhost", "--fsync"],
        &["--redis-prefix", "x"],
        &["--redis-timeout", "1"],
        &["--redis-password-file", "x"],
        &["--keep-texts", "1"],
    ] {
        refused(flags).assert_one_error(2, "--");
    }
}

#[test]
fn a_password_comes_from_the_url_or_from_a_file_and_is_in_no_line() {
    let Some(engine) = Engine::with(&["--user", "bob", "on", ">secret", "~*", "&*", "+@all"])
    else {
        return;
    };
    let with = |user: &str| engine.url().replace("redis://", &format!("redis://{user}@"));
    let bad = refused(&["--redis", &with("bob:not the one")]);
    bad.assert_one_error(1, "authentication failed");
    assert!(!String::from_utf8_lossy(&bad.stderr).contains("not the one"), "{bad:?}");
    let file = engine.folder().join("password");
    let path = file.to_str().unwrap();
    let from_file = ["--redis", &with("bob"), "--redis-password-file", path];
    refused(&from_file).assert_one_error(1, "cannot read");
    std::fs::write(&file, [0xff, b'\n']).unwrap();
    refused(&from_file).assert_one_error(1, "it is not UTF-8");
    let endless = ["--redis", &with("bob"), "--redis-password-file", "/dev/zero"];
    refused(&endless).assert_one_error(1, "/dev/zero is larger than 1 MiB");
    std::fs::write(&file, "secret\r\nand more\n").unwrap();
    for flags in [&["--redis", &*with("bob:secret")][..], &from_file] {
        let server = crate::harness::Server::with(flags);
        Peer::sender(server.port, "al", "cafe").ok("sendall:hi");
        let report = server.report();
        assert!(!report.contains("secret"), "{report}");
        let finished = server.stop();
        assert!(!String::from_utf8_lossy(&finished.stderr).contains("secret"), "{finished:?}");
    }
}

#[test]
fn servers_that_keep_more_or_less_are_told_so() {
    let Some(engine) = Engine::start() else { return };
    let url = engine.url();
    let first = engine.server(&["--keep-texts", "7"]);
    let more = refused(&["--redis", &url]);
    more.assert_one_error(
        1,
        "keep 7 texts of each room, for ever, this one would keep 10000 texts",
    );
    refused(&["--redis", &url, "--keep-texts", "7", "--keep-days", "2"])
        .assert_one_error(1, "for 2 days");
    // Another chat is another one.
    engine.server(&["--redis-prefix", "other:"]).stop();
    // When the others have stopped, it may be changed.
    first.stop();
    engine.server(&[]).stop();
}

#[test]
fn who_may_not_hear_or_announce_is_told_so() {
    let may = |rights: &[&str]| {
        Engine::with(&[&["--user", "bob", "on", ">secret", "~*"], rights].concat())
    };
    for rights in [&["+@all"][..], &["&*", "+@all", "-publish"], &["&*", "+@all", "-subscribe"]] {
        let Some(engine) = may(rights) else { return };
        let url = engine.url().replace("redis://", "redis://bob:secret@");
        refused(&["--redis", &url]).assert_one_error(1, "NOPERM");
    }
}
