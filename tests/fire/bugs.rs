//! A bug in the server itself.

use crate::harness::{Peer, Server, chatbox};

/// Builds with debug assertions have a bug that can be provoked: a receiver that
/// enters a certain room finds it, in its own turn.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "this build has no bug to provoke")]
fn a_bug_ends_one_connection_and_is_one_error() {
    let mut command = chatbox(["server", "0"]);
    command.env("CHATBOX_PROVOKE_A_BUG", "trap");
    let server = Server::run(command);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = Peer::sender(server.port, "bob", "cafe");
    for round in 0..3 {
        let mut unlucky = Peer::connect(server.port);
        unlucky.ok("rlogin:unlucky");
        unlucky.send("join:trap\n");
        unlucky.expect_end();
        // The others do not notice, in the room, in others, nor in the one with the bug.
        sender.ok("join:trap");
        sender.ok("sendall:anybody?");
        sender.ok("join:cafe");
        sender.ok(&format!("sendall:{round}"));
        receiver.expect(&format!("delivery:cafe:bob:{round}"));
    }
    assert_eq!(server.reports("receivers,"), 1, "{}", server.report());
    assert_eq!(server.reports("rooms"), 1, "{}", server.report());
    let finished = server.stop();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(stderr.matches("ERROR").count(), 3, "{finished:?}");
    assert!(
        stderr.lines().all(|line| line.contains(" - ")),
        "more than one line each: {finished:?}"
    );
}
