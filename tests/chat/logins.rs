//! Logins, and what the answers to requests say.

use crate::harness::{Peer, Server};

#[test]
fn a_failed_login_can_be_tried_again() {
    let server = Server::with(&[]);
    let mut peer = Peer::connect(server.port);
    peer.err("slogin:not a name");
    peer.err("rlogin:");
    peer.ok("slogin:ann");
    let mut peer = Peer::connect(server.port);
    peer.err("join:cafe");
    peer.err("rlogin:not a name");
    peer.ok("rlogin:ann");
    peer.err("join:");
    peer.ok("join:cafe");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hi");
    peer.expect("delivery:cafe:bob:hi");
}

#[test]
fn one_name_may_be_logged_in_any_number_of_times() {
    let server = Server::with(&[]);
    let mut receivers: Vec<_> =
        (0..3).map(|_| Peer::receiver(server.port, "ann", "cafe")).collect();
    let mut senders: Vec<_> = (0..3).map(|_| Peer::sender(server.port, "ann", "cafe")).collect();
    for sender in &mut senders {
        sender.ok("sendall:it is me");
    }
    for receiver in &mut receivers {
        for _ in 0..senders.len() {
            receiver.expect("delivery:cafe:ann:it is me");
        }
    }
}

#[test]
fn answers_name_the_thing() {
    let server = Server::with(&[]);
    let mut peer = Peer::connect(server.port);
    assert_eq!(peer.ask("slogin:bob"), "ok:logged in as bob");
    assert_eq!(peer.ask("sendall:hi"), "err:not in a room, join one first");
    assert_eq!(peer.ask("join:cafe"), "ok:joined room cafe");
    assert_eq!(peer.ask("leave:"), "ok:left room cafe");
    assert_eq!(peer.ask("slogin:bob"), "err:already logged in as bob");
}
