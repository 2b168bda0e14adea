//! `chatbox chat` in rooms that remember.

use std::path::Path;

use crate::chat::{CTRL_D, chat, join, let_in, log_in, shown};
use crate::command_line::scratch;
use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Server, Signal, chatbox};

/// A server that keeps what is said in this folder, on this port.
fn remembering(folder: &Path, port: u16) -> Server {
    let file = folder.join("chat.db");
    let port = port.to_string();
    Server::run(chatbox(["server", "--history", file.to_str().unwrap(), &port]))
}

/// Says texts with these numbers in a room, as bob.
fn say(server: &Server, room: &str, numbers: impl IntoIterator<Item = u32>) {
    let mut bob = Peer::sender(server.port, "bob", room);
    numbers.into_iter().for_each(|number| bob.ok(&format!("sendall:{room} {number} ")));
}

/// The numbers of what bob has said in a room, as they came on the screen.
fn heard(chat: &Terminal, room: &str) -> Vec<u32> {
    let bytes = String::from_utf8(chat.bytes()).unwrap();
    let start = format!("bob: {room} ");
    let texts = bytes.split(&start).skip(1);
    texts.map(|text| text.split(' ').next().unwrap().parse().unwrap()).collect()
}

/// A chat of alice's in room `cafe`, without times and colours.
fn in_cafe(server: &Server, flags: &[&str], name: &str) -> Terminal {
    let args = [&["cafe", "--no-timestamps", "--color", "never"], flags].concat();
    let chat = chat(server.port, &args, name);
    chat.expect_at_cursor("cafe>");
    chat
}

#[test]
fn a_room_begins_with_its_last_texts() {
    let folder = scratch("chat-last-texts");
    let server = remembering(&folder, 0);
    say(&server, "cafe", 1..=30);
    for (flags, numbers) in [
        (&[][..], 11..31),
        (&["--last", "3"], 28..31),
        (&["--last", "0"], 31..31),
        (&["--last", "100"], 1..31),
    ] {
        let mut chat = in_cafe(&server, flags, "chat-last");
        chat.keys(CTRL_D);
        assert!(chat.finish().success(), "{chat:?}");
        assert_eq!(heard(&chat, "cafe"), numbers.collect::<Vec<_>>(), "{flags:?}: {chat:?}");
    }
}

#[test]
fn nothing_is_missed_and_nothing_comes_twice_when_the_server_comes_back() {
    let folder = scratch("chat-comes-back");
    let mut server = remembering(&folder, 0);
    say(&server, "cafe", 1..=5);
    let chat = in_cafe(&server, &["--last", "2"], "chat-back");
    for round in 1..4 {
        let first = round * 10;
        say(&server, "cafe", first..=first + 2);
        // All of it is on the screen, or not.
        let port = server.port;
        server.program.signal(Signal::KILL);
        server.program.finish();
        server = remembering(&folder, port);
        say(&server, "cafe", first + 3..=first + 4);
        chat.expect(&format!("bob: cafe {}", first + 4));
    }
    let rounds = (1..4).flat_map(|round| round * 10..=round * 10 + 4);
    assert_eq!(heard(&chat, "cafe"), (4..=5).chain(rounds).collect::<Vec<_>>(), "{chat:?}");
    assert!(!chat.lines().join("\n").contains("missing"), "{chat:?}");
}

#[test]
fn nothing_is_missed_and_nothing_comes_twice_from_room_to_room() {
    let folder = scratch("chat-moves");
    let server = remembering(&folder, 0);
    say(&server, "cafe", 1..=5);
    say(&server, "tea", 1..=5);
    let mut chat = in_cafe(&server, &["--last", "2"], "chat-rooms");
    chat.expect_line("bob: cafe 5");
    chat.keys("/join tea\r");
    chat.expect_at_cursor("tea>");
    say(&server, "cafe", 6..=9);
    say(&server, "tea", 6..=7);
    chat.expect_line("bob: tea 7");
    // The room that one is in, too.
    for room in ["cafe", "cafe", "tea"] {
        chat.keys(format!("/join {room}\r"));
        chat.expect_at_cursor(&format!("{room}>"));
        chat.keys(format!("in {room}\r"));
        chat.expect_line(&format!("alice: in {room}"));
    }
    chat.keys(CTRL_D);
    assert!(chat.finish().success(), "{chat:?}");
    assert_eq!(heard(&chat, "cafe"), [4, 5, 6, 7, 8, 9], "{chat:?}");
    assert_eq!(heard(&chat, "tea"), [4, 5, 6, 7], "{chat:?}");
    assert!(!chat.lines().join("\n").contains("unexpected"), "{chat:?}");
}

/// Lets both connections of a chat in, the receiver's into a history, for which it asks.
fn let_in_to_history(script: &Script, asks: &str, span: &str) -> [Peer; 2] {
    let mut sender = log_in(script, "slogin:alice", "+history");
    join(&mut sender, "cafe", "");
    let mut receiver = log_in(script, "rlogin:alice", "+history");
    receiver.expect(&format!("history:{asks}"));
    receiver.send("ok:records it is\n");
    join(&mut receiver, "cafe", span);
    [sender, receiver]
}

#[test]
fn who_comes_back_is_told_once_what_is_missing() {
    let script = Script::new();
    let chat = chat(&script.port, &["cafe", "--no-timestamps", "--last", "7"], "chat-gaps");
    let [_, mut receiver] = let_in_to_history(&script, "last=7", "@7-2..2");
    receiver.send("record:7-3:1:cafe:bob:text 3\n");
    chat.expect_line("bob: text 3");
    drop(receiver);
    let [_, mut receiver] = let_in_to_history(&script, "after=7-3", "@7-4..5");
    receiver.send("record:7-5:1:cafe:bob:text 5\n");
    chat.expect_line("chat: 1 text is missing: the server no longer keeps it");
    chat.expect_line("bob: text 5");
    drop(receiver);
    let [_, mut receiver] = let_in_to_history(&script, "after=7-5", "@8-5..5");
    receiver.send("record:8-6:1:cafe:bob:text 6\n");
    chat.expect_start_of_line("chat: the server's history has begun anew: texts may be missing");
    chat.expect_line("bob: text 6");
    drop(receiver);
    let [_sender, mut receiver] = let_in(&script, "cafe");
    receiver.send("delivery:cafe:bob:text 7\n");
    chat.expect_start_of_line("chat: the server does not keep what is said any more");
    chat.expect_line("bob: text 7");
    let told: Vec<_> = shown(&chat).into_iter().filter(|line| line.contains("missing")).collect();
    assert_eq!(told.len(), 3, "one line each: {chat:?}");
}

#[test]
fn the_time_is_the_servers_and_a_new_day_is_told() {
    let script = Script::new();
    let mut command = chatbox(["chat", "localhost", &script.port, "alice", "cafe"]);
    command.env("TZ", "UTC").env("XDG_STATE_HOME", scratch("chat-days"));
    let chat = Terminal::start(&command);
    let [_sender, mut receiver] = let_in_to_history(&script, "last=20", "@7-2..5");
    for (seq, days) in [(3, 0), (4, 0), (5, 1)] {
        let time = 1_000_000_000_123_u64 + days * 86_400_000;
        receiver.send(format!("record:7-{seq}:{time}:cafe:bob:text {seq}, alice\n"));
    }
    chat.expect("text 5");
    let lines = [
        "--- Sunday, 2001-09-09 ---",
        "01:46 bob: text 3, alice",
        "01:46 bob: text 4, alice",
        "--- Monday, 2001-09-10 ---",
        "01:46 bob: text 5, alice",
    ];
    assert_eq!(shown(&chat)[..5], lines, "{chat:?}");
    assert!(!chat.bytes().contains(&7), "it rings for what was said before one came");
    receiver.send("record:7-6:1000086400123:cafe:bob:alice!\n");
    chat.expect_line("01:46 bob: alice!");
    assert!(chat.bytes().contains(&7), "{chat:?}");
}
