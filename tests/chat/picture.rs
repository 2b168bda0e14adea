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
    // The time would be another each time.
    let enter = |name| {
        let chat = at_terminal(&["chat", "--no-timestamps", "localhost", &port, name, "cafe"]);
        chat.expect_at_cursor("cafe>");
        chat
    };
    let (mut alice, mut bob) = (enter("alice"), enter("bob"));
    let mut carol = Peer::sender(server.port, "carol", "cafe");
    let mut mallory = Peer::sender(server.port, "mallory", "cafe");

    bob.keys("hello, who is here?\r");
    alice.expect_line("bob: hello, who is here?");
    carol.ok("sendall:me, and I have brought cake \u{1f370}");
    alice.expect_start_of_line("carol: me");
    mallory.ok("sendall:\x1b[2J\x1b]0;owned\x07 did your screen go blank?");
    alice.expect_start_of_line("mallory: ");
    bob.keys("no. alice, are you coming?\r");
    alice.expect_line("bob: no. alice, are you coming?");
    alice.keys("on my way!\r");
    bob.expect_line("alice: on my way!");
    alice.expect_line("alice: on my way!");
    bob.expect_at_cursor("cafe>");
    alice.expect_at_cursor("cafe>");
    bob.keys("see you");
    bob.expect_at_cursor("cafe> see you");

    let picture = draw(&[
        ("chatbox chat --no-timestamps localhost 5000 alice cafe", alice.look(Clone::clone), 6),
        ("chatbox chat --no-timestamps localhost 5000 bob cafe", bob.look(Clone::clone), 6),
    ]);
    let drawn = home.join("chat.svg");
    std::fs::write(&drawn, &picture).unwrap();
    assert!(
        picture == include_str!("../pictures/chat.svg"),
        "what the programs show has changed; if that is right: cp {} tests/pictures/chat.svg\n{alice:?}{bob:?}",
        drawn.display()
    );
}
