//! `chatbox chat` at a real pseudo-terminal: one screen to talk and to listen.

use crate::command_line::scratch;
use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Server, Way, chatbox, wait_until};
use crate::over_each_way;

pub const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";

/// A chat of alice's at a terminal, with a history of its own.
pub fn chat(port: impl ToString, args: &[&str], name: &str) -> Terminal {
    let mut command = chatbox(["chat", "localhost", &port.to_string(), "alice"]);
    command.args(args).env("XDG_STATE_HOME", scratch(name));
    Terminal::start(&command)
}

/// The same in a room, without times and colours.
pub fn in_cafe(server: &Server, name: &str) -> Terminal {
    let chat = chat(server.port, &["cafe", "--no-timestamps", "--color", "never"], name);
    chat.expect_at_cursor("cafe>");
    chat
}

/// The same with a server that the test plays: with its sender's and its receiver's connection.
pub fn scripted(script: &Script, name: &str) -> (Terminal, Peer, Peer) {
    let chat = chat(&script.port, &["cafe", "--no-timestamps"], name);
    let [sender, receiver] = let_in(script, "cafe");
    chat.expect_at_cursor("cafe>");
    (chat, sender, receiver)
}

/// Lets one of a chat's connections log in, to a server that offers this.
pub fn log_in(script: &Script, login: &str, offers: &str) -> Peer {
    let mut peer = script.accept();
    peer.expect(login);
    peer.send(format!("ok:hello {offers}\n"));
    peer
}

/// Lets it join a room, there in its history.
pub fn join(peer: &mut Peer, room: &str, span: &str) {
    peer.expect(&format!("join:{room}"));
    peer.send(format!("ok:come in {span}\n"));
}

/// Lets both connections of a chat in.
pub fn let_in(script: &Script, room: &str) -> [Peer; 2] {
    ["slogin:alice", "rlogin:alice"].map(|login| {
        let mut peer = log_in(script, login, "");
        join(&mut peer, room, "");
        peer
    })
}

/// The lines on the screen that are not empty.
pub fn shown(chat: &Terminal) -> Vec<String> {
    chat.lines().into_iter().filter(|line| !line.is_empty()).collect()
}

over_each_way! {
    a_chat_is_one_however_it_comes
}

fn a_chat_is_one_however_it_comes(way: Way) {
    let server = Server::over(way, &[]);
    let mut other = Peer::receiver(server.place(), "bob", "cafe");
    let words = ["alice", "cafe", "--no-timestamps", "--color", "never"];
    let mut command = server.client("chat", &words);
    command.env("XDG_STATE_HOME", scratch(&format!("chat-{way:?}")));
    let mut chat = Terminal::start(&command);
    chat.expect_at_cursor("cafe>");
    chat.keys("hello?\r");
    chat.expect_line("alice: hello?");
    other.expect("delivery:cafe:alice:hello?");
    chat.keys(CTRL_D);
    assert_eq!(chat.finish().code(), Some(0));
}

#[test]
fn a_refused_text_comes_back_into_the_input_line() {
    let server = Server::start();
    let mut chat = chat(server.port, &[], "chat-refused");
    chat.expect_line("chat: enter a room with /join ROOM");
    chat.expect_at_cursor(">");
    chat.keys("hello?\r");
    chat.expect_line("not in a room, join one first");
    chat.expect_at_cursor("> hello?");
}

#[test]
fn a_text_whose_answer_is_lost_comes_back_too() {
    let script = Script::new();
    let (mut chat, mut sender, _receiver) = scripted(&script, "chat-unsure");
    chat.keys("hello?\r");
    sender.expect("sendall:hello?");
    drop(sender);
    chat.expect_line("chat: the answer got lost: unsure whether it was sent");
    chat.expect_at_cursor("cafe> hello?");
}

/// The same name may be logged in many times.
#[test]
fn a_refused_text_comes_back_though_somebody_says_the_same_under_that_name() {
    let script = Script::new();
    let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-same");
    chat.keys("hello\r");
    sender.expect("sendall:hello");
    receiver.send("delivery:cafe:alice:hello\n");
    chat.expect_line("alice: hello");
    sender.send("err:no\n");
    chat.expect_line("no");
    chat.expect_at_cursor("cafe> hello");
}

/// However late that is, and without a key.
#[test]
fn a_late_refusal_comes_back_into_an_empty_input_line() {
    let script = Script::new();
    let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-late-empty");
    for (number, word) in ["one", "two", "three"].into_iter().enumerate() {
        chat.keys(format!("{word}\r"));
        sender.expect(&format!("sendall:{word}"));
        // There is a prompt before the answer comes.
        receiver.send(format!("delivery:cafe:bob:{number}\n"));
        chat.expect_line(&format!("bob: {number}"));
        chat.expect_at_cursor("cafe>");
        // What is taken away again leaves an empty line.
        chat.keys("x");
        chat.expect_at_cursor("cafe> x");
        chat.keys("\x7f");
        chat.expect_at_cursor("cafe>");
        sender.send("err:not now\n");
        chat.expect_at_cursor(&format!("cafe> {word}"));
        let told = shown(&chat).iter().filter(|line| *line == "not now").count();
        assert_eq!(told, number + 1, "{chat:?}");
        chat.keys(format!("{CTRL_C}after {word}\r"));
        sender.expect(&format!("sendall:after {word}"));
        sender.send("ok:\n");
    }
}

/// A room may be held back for long, which must not hold up what others say.
#[test]
fn what_is_said_is_shown_while_an_answer_is_waited_for_and_a_late_refusal_is_told() {
    let script = Script::new();
    let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-late");
    chat.keys("hello?\r");
    sender.expect("sendall:hello?");
    receiver.send("delivery:cafe:bob:hi\n");
    chat.expect_line("bob: hi");
    chat.expect_at_cursor("cafe>");
    chat.keys("more\r");
    chat.expect_line("chat: still waiting for the answer to the line before");
    chat.expect_at_cursor("cafe> more");
    sender.send("err:no\n");
    chat.expect_line("chat: not sent: hello?: no");
    chat.expect_at_cursor("cafe> more");
    chat.keys("\r");
    sender.expect("sendall:more");
}

#[test]
fn joining_moves_both_connections_and_a_refusal_moves_neither() {
    let script = Script::new();
    let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-join");
    chat.keys("/join bar\rtyped ahead\r");
    sender.expect("join:bar");
    sender.send("ok:\n");
    receiver.expect("join:bar");
    receiver.send("delivery:cafe:bob:still here\n");
    chat.expect_line("bob: still here");
    receiver.send("ok:\n");
    sender.expect("sendall:typed ahead");
    sender.send("ok:\n");
    chat.expect_at_cursor("bar>");
    // What is typed ahead waits until it is known which room it goes to.
    chat.keys("/join full\rnext\r");
    sender.expect("join:full");
    sender.send("ok:\n");
    receiver.expect("join:full");
    receiver.send("err:no place\n");
    sender.expect("join:bar");
    sender.send("ok:\n");
    sender.expect("sendall:next");
    sender.send("ok:\n");
    chat.expect_line("no place");
    chat.expect_at_cursor("bar> /join full");
}

/// It is no answer to a question, and gets into nothing that is being pasted.
#[test]
fn a_late_refusal_is_told_while_a_question_or_a_paste_is_open() {
    let pasted: String = (0..6).map(|number| format!("line {number}\n")).collect();
    for (keys, opened, then, after) in [
        (&*format!("\x1b[200~{pasted}\x1b[201~\r"), "6 lines: send? [y/N]", "n\r", "cafe>"),
        ("x\x7f\x1b[200~paste", "cafe>", "d\x1b[201~", "cafe> pasted"),
    ] {
        let script = Script::new();
        let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-question");
        chat.keys("hello\r");
        sender.expect("sendall:hello");
        receiver.send("delivery:cafe:bob:hi\n");
        chat.expect_line("bob: hi");
        chat.expect_at_cursor("cafe>");
        let before = chat.bytes().len();
        chat.keys(keys);
        wait_until(|| chat.bytes().len() > before, || format!("{chat:?}"));
        chat.expect_at_cursor(opened);
        sender.send("err:no\n");
        chat.expect_line("chat: not sent: hello: no");
        chat.expect_at_cursor(opened);
        chat.keys(then);
        chat.expect_at_cursor(after);
    }
}

/// It is not mixed with what is typed ahead.
#[test]
fn a_refused_text_does_not_come_back_into_a_line_that_is_begun() {
    let script = Script::new();
    let (mut chat, mut sender, _receiver) = scripted(&script, "chat-begun");
    chat.keys("hello\rnext");
    sender.expect("sendall:hello");
    sender.send("err:no\n");
    chat.expect_line("chat: not sent: hello: no");
    chat.expect_at_cursor("cafe> next");
    let told = shown(&chat).iter().filter(|line| line.starts_with("no")).count();
    assert_eq!(told, 0, "in one line: {chat:?}");
}

#[test]
fn nobody_is_told_that_a_text_was_not_sent_if_it_may_have_been() {
    let script = Script::new();
    let (mut chat, mut sender, _receiver) = scripted(&script, "chat-begun-unsure");
    chat.keys("hello\rnext");
    sender.expect("sendall:hello");
    drop(sender);
    chat.expect_line("chat: the answer got lost: unsure whether it was sent: hello");
    let _both = let_in(&script, "cafe");
    chat.expect_start_of_line("chat: connected again after ");
    chat.expect_at_cursor("cafe> next");
    let lines = chat.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("unsure")).count(), 1, "{chat:?}");
    assert!(!lines.join("\n").contains("not sent"), "{chat:?}");
}

/// As a room may be held back.
#[test]
fn one_is_told_that_an_answer_takes_long() {
    let script = Script::new();
    let (mut chat, mut sender, _receiver) = scripted(&script, "chat-takes-long");
    chat.keys("hello\r");
    sender.expect("sendall:hello");
    chat.expect_line("chat: no answer from the server for 5 s; still waiting");
}

#[test]
fn if_the_sender_cannot_go_back_both_connections_are_made_again() {
    let script = Script::new();
    let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-stranded");
    chat.keys("/join full\r");
    sender.expect("join:full");
    sender.send("ok:\n");
    receiver.expect("join:full");
    receiver.send("err:no place\n");
    sender.expect("join:cafe");
    sender.send("err:no place there any more either\n");
    sender.expect_end();
    receiver.expect_end();
    let _both = let_in(&script, "cafe");
    chat.expect_start_of_line("chat: connected again after ");
    chat.expect_at_cursor("cafe> /join full");
}

#[test]
fn commands_are_few_and_any_other_is_a_mistake() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-commands");
    chat.keys("/leave\r/foo\r//etc is a path\r");
    chat.expect_line("alice: /etc is a path");
    let told = chat.lines().join("\n").matches("chat: unknown command").count();
    assert_eq!(told, 2, "{chat:?}");
    chat.keys("/help\r");
    for command in ["/join ROOM", "/quit", "/help", "//"] {
        chat.expect_start_of_line(command);
    }
    chat.keys("/quit\r");
    assert_eq!(chat.finish().code(), Some(0), "{chat:?}");
    assert!(chat.is_as_it_was());
    chat.expect_at_cursor("");
    chat.expect_line("alice: /etc is a path");
}

#[test]
fn the_tab_key_completes_commands_rooms_and_those_who_have_spoken() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-tab");
    Peer::sender(server.port, "bobby", "cafe").ok("sendall:one");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:two");
    chat.expect_line("bob: two");
    chat.keys("bo\thello");
    chat.expect_at_cursor("cafe> bob: hello");
    chat.keys(" bobb\tand");
    chat.expect_at_cursor("cafe> bob: hello bobby and");
    chat.keys(format!("{CTRL_C}/jo\tbar\r"));
    chat.expect_at_cursor("bar>");
    chat.keys("/join c\t");
    chat.expect_at_cursor("bar> /join cafe");
}

#[test]
fn a_mention_stands_out_and_rings_but_not_for_oneself() {
    let server = Server::start();
    let mut chat = chat(server.port, &["cafe"], "chat-bell");
    chat.expect_at_cursor("cafe>");
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    chat.keys("I am alice\r");
    chat.expect(" alice: I am alice");
    bob.ok("sendall:malice");
    chat.expect(" bob: malice");
    assert!(!chat.bytes().contains(&7), "{chat:?}");
    // At once, so that it is less than a second.
    bob.send("sendall:hi ALICE\nsendall:alice?\n");
    chat.expect(" bob: alice?");
    let bytes = chat.bytes();
    assert_eq!(bytes.iter().filter(|byte| **byte == 7).count(), 1, "once a second");
    assert!(bytes.escape_ascii().to_string().contains("hi \\x1b[1;7mALICE\\x1b[0m"));
}

#[test]
fn a_bell_rings_as_one_wishes() {
    for (when, rings) in [("all", true), ("never", false)] {
        let server = Server::start();
        let mut chat = chat(server.port, &["cafe", "--bell", when], "chat-bells");
        chat.expect_at_cursor("cafe>");
        chat.keys("alice\r");
        chat.expect("alice: alice");
        assert!(!chat.bytes().contains(&7), "for oneself");
        Peer::sender(server.port, "bob", "cafe").ok("sendall:not to her");
        chat.expect("bob: not to her");
        Peer::sender(server.port, "bob", "cafe").ok("sendall:alice");
        chat.expect("bob: alice");
        assert_eq!(chat.bytes().contains(&7), rings, "{when}");
    }
}

#[test]
fn many_pasted_lines_are_asked_about() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-paste");
    let pasted: String = (0..6).map(|number| format!("line {number}\n")).collect();
    chat.keys(format!("\x1b[200~{pasted}\x1b[201~\r"));
    chat.expect_at_cursor("6 lines: send? [y/N]");
    chat.keys("y\r");
    chat.expect_line("alice: line 5");
    chat.keys(format!("\x1b[200~{pasted}\x1b[201~\r"));
    chat.expect_at_cursor("6 lines: send? [y/N]");
    chat.keys("what?\r");
    chat.expect_line("chat: not sent");
}

#[test]
fn it_connects_again_and_keeps_what_is_typed() {
    let server = Server::start();
    let port = server.port;
    let mut chat = in_cafe(&server, "chat-again");
    chat.keys("half ");
    chat.expect_at_cursor("cafe> half");
    drop(server);
    chat.expect_line("chat: the server closed the connection; trying again");
    chat.keys("\r");
    chat.expect_line("chat: the server is away: that was not sent");
    chat.expect_at_cursor("cafe> half");
    let server = Server::run(chatbox(["server", &port.to_string(), "-v"]));
    chat.expect_start_of_line("chat: connected again after ");
    chat.expect_line("chat: what was said meanwhile may be missing");
    chat.expect_at_cursor("cafe> half");
    let told = chat.lines().join("\n").matches("trying again").count();
    assert_eq!(told, 1, "one line for both connections: {chat:?}");
    chat.keys("a line\r");
    chat.expect_line("alice: half a line");
    drop(server);
}

#[test]
fn if_one_connection_is_lost_the_other_does_not_go_on_alone() {
    for lost in 0..2 {
        let script = Script::new();
        let (chat, sender, receiver) = scripted(&script, "chat-alone");
        let mut peers = [Some(sender), Some(receiver)];
        peers[lost] = None;
        chat.expect_line("chat: the server closed the connection; trying again");
        peers[1 - lost].as_mut().unwrap().expect_end();
        let _both = let_in(&script, "cafe");
        chat.expect_start_of_line("chat: connected again after ");
    }
}

#[test]
fn each_line_has_its_time() {
    let server = Server::start();
    let chat = chat(server.port, &["cafe"], "chat-times");
    chat.expect_at_cursor("cafe>");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hello");
    chat.expect(" bob: hello");
    let line = shown(&chat).remove(0);
    let time: Vec<_> = line[..5].split(':').map(|part| part.parse::<u8>().unwrap()).collect();
    assert!(time.len() == 2 && time[0] < 24 && time[1] < 60, "{line}");
    assert_eq!(&line[5..], " bob: hello");
}

#[test]
fn colours_are_on_and_what_strangers_send_is_shown_and_not_obeyed() {
    let server = Server::start();
    let chat = chat(server.port, &["cafe", "--no-timestamps"], "chat-color");
    chat.expect_at_cursor("cafe>");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:\x1b[2J gone?");
    chat.expect_line("bob: \\x1b[2J gone?");
    let bytes = chat.bytes().escape_ascii().to_string();
    assert!(bytes.contains("mbob\\x1b[0m: "), "{bytes}");
}

/// The editor leaves something out, too, where that is set.
#[test]
fn without_colours_all_is_shown() {
    let server = Server::start();
    let mut command = chatbox(["chat", "localhost", &server.port.to_string(), "alice", "cafe"]);
    command.arg("--no-timestamps").env("XDG_STATE_HOME", scratch("chat-no-color"));
    let mut chat = Terminal::start(command.env("NO_COLOR", "1"));
    chat.expect_at_cursor("cafe>");
    chat.keys("hi\r");
    chat.expect_line("alice: hi");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hello");
    chat.expect_line("bob: hello");
    chat.expect_at_cursor("cafe>");
    assert_eq!(shown(&chat), ["alice: hi", "bob: hello", "cafe>"]);
}

#[test]
fn raw_shows_control_characters_as_they_are() {
    let script = Script::new();
    let chat = chat(&script.port, &["cafe", "--no-timestamps", "--raw"], "chat-raw");
    let [_sender, mut receiver] = let_in(&script, "cafe");
    receiver.send(b"delivery:cafe:bob:\x1b[1mbold\x1b[0m caf\xe9\n");
    chat.expect("bob: bold caf");
    let bytes = String::from_utf8(chat.bytes()).unwrap();
    assert!(bytes.contains("\x1b[1mbold\x1b[0m caf\u{fffd}"), "{chat:?}");
}

/// What it says last is on its way when both connections are closed.
#[test]
fn what_a_server_delivers_before_it_stops_is_shown() {
    let script = Script::new();
    let (chat, sender, mut receiver) = scripted(&script, "chat-good-night");
    drop(sender);
    receiver.send("delivery:cafe:bob:good night\n");
    drop(receiver);
    chat.expect_line("bob: good night");
    chat.expect_line("chat: the server closed the connection; trying again");
}
