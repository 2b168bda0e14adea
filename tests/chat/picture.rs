//! The picture of a chat in the README: drawn from what real programs show, and still true.

use crate::command_line::scratch;
use crate::harness::picture::draw;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Server, chatbox};

#[test]
fn the_picture_in_the_readme_is_what_the_programs_show() {
    let server = Server::start();
    let port = server.port.to_string();
    let home = scratch("picture");
    let at_terminal = |args: &[&str]| {
        let mut command = chatbox(args.iter().copied());
        command.env("XDG_STATE_HOME", &home);
        Terminal::start(&command)
    };
    let alice = at_terminal(&["receiver", "--color", "auto", "localhost", &port, "alice", "cafe"]);
    server.program.expect_stderr("joined room cafe");
    let mut bob = at_terminal(&["sender", "localhost", &port, "bob"]);
    let mut carol = Peer::sender(server.port, "carol", "cafe");
    let mut mallory = Peer::sender(server.port, "mallory", "cafe");

    bob.expect_at_cursor(">");
    bob.keys("hello?\r");
    bob.expect_line("sender: enter one with /join ROOM");
    bob.keys("/jo\tcafe\r");
    bob.expect_at_cursor("cafe>");
    bob.keys("hello, who is here?\r");
    alice.expect_line("bob: hello, who is here?");
    carol.ok("sendall:me, and I have brought cake \u{1f370}");
    alice.expect_start_of_line("carol: me");
    mallory.ok("sendall:\x1b[2J\x1b]0;owned\x07 did your screen go blank?");
    alice.expect_start_of_line("mallory: ");
    bob.keys("no. alice, are you coming?\r");
    alice.expect_line("bob: no. alice, are you coming?");
    // The screen may not show yet what the others have heard.
    bob.expect_line("cafe> no. alice, are you coming?");
    bob.expect_at_cursor("cafe>");

    let picture = draw(&[
        ("receiver --color auto localhost 5000 alice cafe", alice.look(Clone::clone), 4),
        ("sender localhost 5000 bob", bob.look(Clone::clone), 7),
    ]);
    let drawn = home.join("chat.svg");
    std::fs::write(&drawn, &picture).unwrap();
    assert!(
        picture == include_str!("../pictures/chat.svg"),
        "what the programs show has changed; if that is right: cp {} tests/pictures/chat.svg\n{alice:?}{bob:?}",
        drawn.display()
    );
}
