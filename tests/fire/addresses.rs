//! Who takes all places, and who has to go for others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use rustix::net::{bind, connect};

use crate::harness::{Peer, Server, inet_socket, wait_until};

/// A client that comes from another of this machine's addresses.
fn connect_from(address: [u8; 4], port: u16) -> Peer {
    let at = |address, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), port);
    let socket = inet_socket();
    bind(&socket, &at(address, 0)).unwrap();
    connect(&socket, &at([127, 0, 0, 1], port)).unwrap();
    Peer::over(TcpStream::from(socket))
}

#[test]
fn an_address_has_so_many_places_and_others_have_theirs() {
    let begun = Instant::now();
    let server = Server::with(&["--max-per-address", "3"]);
    let from = |number| connect_from([127, 0, 0, number], server.port);
    let mut first: Vec<_> = (0..3).map(|_| from(1)).collect();
    first[0].ok("slogin:bob");
    for other in 2..22 {
        let mut refused = from(1);
        assert!(refused.line().contains("too many clients from your address"));
        refused.expect_end();
        // It keeps nobody else out.
        from(other).ok("rlogin:eve");
    }
    drop(first.pop());
    wait_until(
        || {
            let mut again = from(1);
            again.send("slogin:amy\n");
            again.line() == "ok:logged in as amy"
        },
        || server.report(),
    );
    let line = "refusing clients from 127.0.0.1: it has 3";
    server.program.expect_stderr(line);
    // Once in ten seconds.
    let refusals = server.program.stderr().matches(line).count() as u64;
    assert!(refusals <= 1 + begun.elapsed().as_secs() / 10, "{:?}", server.program);
}

/// Those who have taken all places without a word make room once they have had time to log in.
#[test]
fn whoever_does_not_log_in_goes_before_anybody_else() {
    let server = Server::with(&["--max-clients", "4", "-vv"]);
    let mut half_closed = Peer::receiver(server.port, "eve", "cafe");
    half_closed.end();
    let mut silent = Peer::connect(server.port);
    let mut late = Peer::connect(server.port);
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    late.ok("slogin:late");
    // The first ones that knock have only the half-closed one to make room.
    sender.ok("sendall:hi");
    half_closed.expect("delivery:cafe:bob:hi");
    let _newcomer = Peer::receiver(server.port, "amy", "cafe");
    half_closed.expect_end();
    // Then there is nobody for a while.
    let mut refused = Peer::connect(server.port);
    assert!(refused.line().contains("full"));
    wait_until(
        || {
            let mut newcomer = Peer::connect(server.port);
            newcomer.send("slogin:dan\n");
            newcomer.line() == "ok:logged in as dan"
        },
        || server.report(),
    );
    assert_eq!(silent.line(), "err:not logged in, and others need the place");
    silent.expect_end();
    late.ok("join:cafe");
    // A warning would come only if the last one, of the half-closed receiver, was long enough ago.
    server.program.expect_stderr("closed: not logged in, others need the place");
}
