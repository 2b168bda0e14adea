//! Certificates of clients that hold no longer.

use std::fs;
use std::io::BufReader;

use rustls::StreamOwned;

use crate::harness::authority::{Authority, TlsPeer, write_secret};
use crate::harness::{Signal, wait_until};
use crate::tls::{refused, server};

#[test]
fn what_is_revoked_is_read_again_and_only_those_are_disconnected() {
    let authority = Authority::new();
    let own = authority.own();
    let pair = authority.server(|_| {});
    let crl = authority.revoke(&["old"]);
    let server = server(&pair, &["--client-ca", &own, "--crl", &crl]);
    let clients = ["old", "ann", "bob"].map(|name| authority.client(name, &[]));
    let mut old = authority.peer(server.port, Some(&clients[0]), &[]);
    let sent = old.send("slogin:old\n");
    assert!(sent.and_then(|()| old.line()).is_err(), "a revoked certificate is taken");
    let mut ann = authority.peer(server.port, Some(&clients[1]), &[]);
    let mut bob = authority.peer(server.port, Some(&clients[2]), &[]);
    assert_eq!(ann.ask("slogin:ann"), "ok:logged in as ann");
    assert_eq!(bob.ask("slogin:bob"), "ok:logged in as bob");
    // All or nothing.
    let key = fs::read_to_string(&pair.key).unwrap();
    write_secret(&pair.key, "nothing");
    authority.revoke(&["old", "ann"]);
    server.program.signal(Signal::USR2);
    server.program.expect_stderr("everything stays as it was: ");
    assert_eq!(ann.ask("join:cafe"), "ok:joined room cafe");
    let mut more = authority.peer(server.port, Some(&clients[1]), &[]);
    assert_eq!(more.ask("slogin:ann"), "ok:logged in as ann");
    write_secret(&pair.key, &key);
    server.program.signal(Signal::USR2);
    server.program.expect_stderr("certificates are read again");
    for peer in [&mut ann, &mut more] {
        assert_eq!(peer.line().unwrap(), "", "it is still there");
    }
    assert_eq!(bob.ask("join:cafe"), "ok:joined room cafe");
    let closed = || server.program.stderr().matches("its certificate holds no longer").count() == 2;
    wait_until(closed, || server.report());
    let mut again = authority.peer(server.port, Some(&clients[1]), &[]);
    let sent = again.send("slogin:ann\n");
    assert!(sent.and_then(|()| again.line()).is_err(), "a revoked certificate is taken");
}

/// Its certificate was good when it began.
#[test]
fn who_is_revoked_in_the_middle_of_a_handshake_does_not_log_in() {
    let authority = Authority::new();
    let own = authority.own();
    let crl = authority.revoke(&[]);
    let server = server(&authority.server(|_| {}), &["--client-ca", &own, "--crl", &crl]);
    let [mut ann, mut bob] = ["ann", "bob"].map(|name| {
        let pair = authority.client(name, &[]);
        let (mut session, mut tcp) = authority.connect(server.port, Some(&pair), &[]);
        session.write_tls(&mut tcp).unwrap();
        // All that the server says is there when there is something to answer.
        while !session.wants_write() {
            session.read_tls(&mut tcp).unwrap();
            session.process_new_packets().unwrap();
        }
        TlsPeer(BufReader::new(StreamOwned::new(session, tcp)))
    });
    authority.revoke(&["ann"]);
    server.program.signal(Signal::USR2);
    server.program.expect_stderr("certificates are read again");
    assert_eq!(bob.ask("slogin:bob"), "ok:logged in as bob");
    let sent = ann.send("slogin:ann\n");
    let said = sent.and_then(|()| ann.line());
    let is_gone = match &said {
        Ok(line) => line.is_empty(),
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    assert!(is_gone, "{said:?}");
}

/// So are all whom it vouched for.
#[test]
fn an_issuer_in_between_may_be_revoked() {
    let authority = Authority::new();
    let own = authority.own();
    let deputy = authority.deputy("deputy", |_| {});
    let crls = authority.path("crls.pem");
    let write_lists = |revoked: &[&str]| {
        let lists = [authority.revoke(revoked), deputy.revoke(&[])];
        let lists: String = lists.map(|path| fs::read_to_string(path).unwrap()).concat();
        fs::write(&crls, lists).unwrap();
    };
    write_lists(&[]);
    let flags = ["--client-ca", &own, "--crl", crls.to_str().unwrap()];
    let server = server(&authority.server(|_| {}), &flags);
    let (ann, bob) = (deputy.client("ann", &[]), authority.client("bob", &[]));
    let mut ann = authority.peer(server.port, Some(&ann), &[]);
    let mut bob = authority.peer(server.port, Some(&bob), &[]);
    assert_eq!(ann.ask("slogin:ann"), "ok:logged in as ann");
    assert_eq!(bob.ask("slogin:bob"), "ok:logged in as bob");
    write_lists(&["deputy"]);
    server.program.signal(Signal::USR2);
    server.program.expect_stderr("certificates are read again");
    assert_eq!(ann.line().unwrap(), "", "it is still there");
    assert_eq!(bob.ask("join:cafe"), "ok:joined room cafe");
}

#[test]
fn lists_of_what_is_revoked_are_looked_at() {
    let authority = Authority::new();
    let own = authority.own();
    let pair = authority.server(|_| {});
    let (empty, both) = (authority.revoke(&[]), authority.path("both.pem"));
    let lists = fs::read_to_string(&empty).unwrap();
    let lists = lists + &fs::read_to_string(authority.revoke(&["ann"])).unwrap();
    fs::write(&both, lists).unwrap();
    // The first alone would count.
    let flags = ["--client-ca", &own, "--crl", both.to_str().unwrap()];
    refused(&[&pair.flags()[..], &flags].concat()).assert_one_error(1, "two lists of the same");
}

/// Nobody would have a certificate that is known to hold.
#[test]
fn lists_of_others_change_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (own, crl) = (authority.own(), authority.revoke(&[]));
    let pair = authority.server(|_| {});
    let server = server(&pair, &["--client-ca", &own, "--crl", &crl]);
    let ann = authority.client("ann", &[]);
    let mut ann = authority.peer(server.port, Some(&ann), &[]);
    assert_eq!(ann.ask("slogin:ann"), "ok:logged in as ann");
    for (list, problem) in [
        (stranger.revoke(&[]), "has a list that its issuer has not signed"),
        (authority.deputy("deputy", |_| {}).revoke(&[]), "has no list of the issuer an authority"),
    ] {
        fs::copy(list, &crl).unwrap();
        let flags = [&pair.flags()[..], &["--client-ca", &own, "--crl", &crl]].concat();
        refused(&flags).assert_one_error(1, problem);
        server.program.signal(Signal::USR2);
        server.program.expect_stderr(problem);
    }
    assert_eq!(ann.ask("join:cafe"), "ok:joined room cafe");
}
