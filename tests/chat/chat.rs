//! `chatbox chat` at a real pseudo-terminal: one screen to talk and to listen.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::command_line::scratch;
use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Program, Server, Signal, bash, chatbox, left_out, wait_until};

const CTRL_C: &str = "\x03";
pub const CTRL_D: &str = "\x04";
const CTRL_G: &str = "\x07";
const CTRL_R: &str = "\x12";
const CTRL_Z: &str = "\x1a";

/// A chat of alice's at a terminal, with a history of its own.
pub fn chat(port: impl ToString, args: &[&str], name: &str) -> Terminal {
    let mut command = chatbox(["chat", "localhost", &port.to_string(), "alice"]);
    command.args(args).env("XDG_STATE_HOME", scratch(name));
    Terminal::start(&command)
}

/// The same in a room, without times and colours.
fn in_cafe(server: &Server, name: &str) -> Terminal {
    let chat = chat(server.port, &["cafe", "--no-timestamps", "--color", "never"], name);
    chat.expect_at_cursor("cafe>");
    chat
}

/// The same with a server that the test plays: with its sender's and its receiver's connection.
fn scripted(script: &Script, name: &str) -> (Terminal, Peer, Peer) {
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

#[test]
fn what_is_said_appears_above_the_line_in_which_one_types() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-inline");
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    bob.ok("sendall:hello");
    chat.expect_line("bob: hello");
    chat.keys("half ");
    chat.expect_at_cursor("cafe> half");
    bob.ok("sendall:are you there?");
    chat.expect_line("bob: are you there?");
    chat.expect_at_cursor("cafe> half");
    chat.keys("a line\r");
    chat.expect_line("alice: half a line");
    chat.expect_at_cursor("cafe>");
    let lines = ["bob: hello", "bob: are you there?", "alice: half a line", "cafe>"];
    assert_eq!(shown(&chat), lines, "the typed line is taken away");
    // Neither another screen, nor the mouse, nor the cursor by its address.
    let bytes = chat.bytes().escape_ascii().to_string();
    for sequence in ["\\x1b[?1049h", "\\x1b[?47h", "\\x1b[?100", "\\x1b[H", "\\x1b[2J"] {
        assert!(!bytes.contains(sequence), "{sequence}: {bytes}");
    }
    assert!(!chat.look(vt100::Screen::alternate_screen));
}

#[test]
fn a_long_line_is_taken_away_whole_wherever_the_cursor_stands_and_nothing_else_is() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-long");
    // To the bottom of the screen, where line breaks scroll.
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    (0..30).for_each(|number| bob.ok(&format!("sendall:{number}")));
    chat.expect_line("bob: 29");
    // The last character ends before, in, or after the last column.
    const WIDTHS: [usize; 6] = [79, 80, 81, 159, 160, 161];
    for width in WIDTHS {
        let text = format!("{}\u{1f980}", "x".repeat(width - "cafe> ".len() - 2));
        chat.keys(format!("{text}\x1b[D\x1b[D\r"));
        bob.ok(&format!("sendall:after {width}"));
        chat.expect_line(&format!("bob: after {width}"));
        let contents = || chat.look(|screen| screen.contents().replace(['\n', ' '], ""));
        let is_there = || contents().contains(&format!("alice:{text}"));
        wait_until(is_there, || format!("no text of {width}: {chat:?}"));
        wait_until(|| shown(&chat).last().unwrap() == "cafe>", || format!("{chat:?}"));
        assert_eq!(contents().matches("cafe>").count(), 1, "{chat:?}");
    }
    let all = chat.lines().join("\n");
    assert!(!all.contains("\n\n"), "what is taken away leaves no empty line: {chat:?}");
    for width in WIDTHS {
        assert!(all.contains(&format!("bob: after {width}")), "{chat:?}");
    }
}

#[test]
fn a_refused_text_comes_back_into_the_input_line() {
    let server = Server::start();
    let mut chat = chat(server.port, &[], "chat-refused");
    chat.expect_at_cursor(">");
    chat.keys("hello?\r");
    chat.expect_line("not in a room, join one first");
    chat.expect_line("chat: enter one with /join ROOM");
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

/// Enter is pressed while texts arrive, so that some come at that very moment.
#[test]
fn all_texts_are_shown_once_and_in_order_while_one_types_and_sends() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-order");
    let mut witness = Peer::receiver(server.port, "eve", "cafe");
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    for number in 0..500 {
        bob.send(format!("sendall:text {number} \n"));
        if number % 10 == 0 {
            chat.keys(format!("mine {number} \r"));
        }
    }
    let heard = (0..550).map(|_| {
        let line = witness.line().replacen("delivery:cafe:", "", 1).replacen(':', ": ", 1);
        line.trim_end().to_owned()
    });
    let all: Vec<_> = heard.chain(["cafe>".to_owned()]).collect();
    wait_until(|| chat.whole() == all, || format!("{:?}", chat.whole()));
}

/// More texts than a chat keeps, and than the system keeps for both ends of its connection.
const FLOOD: usize = 80_000;

/// Says them.
fn flood(server: &Server) {
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    let filler = "x".repeat(200);
    for part in (0..FLOOD).collect::<Vec<_>>().chunks(500) {
        let texts = part.iter().map(|number| format!("sendall:text {number} {filler}\n"));
        bob.send(texts.collect::<String>());
        part.iter().for_each(|_| assert!(bob.line().starts_with("ok")));
    }
    bob.ok("sendall:the end");
}

/// Waits until what was left out of that flood has been told, and the rest is there, the newest.
fn expect_newest_of_flood(chat: &Terminal) {
    chat.expect_line("bob: the end");
    let bytes = String::from_utf8(chat.bytes()).unwrap();
    let number = |text: &str, place: usize| text.split(' ').nth(place).unwrap().parse().unwrap();
    let shown: Vec<usize> = bytes.split("bob: text").skip(1).map(|text| number(text, 1)).collect();
    let told = bytes.split("chat: ").filter(|line| line.contains(" texts left out here"));
    let left_out: Vec<usize> = told.map(|line| number(line, 0)).collect();
    assert!(!left_out.is_empty(), "all {} are there: {chat:?}", shown.len());
    assert_eq!(shown.len() + left_out.iter().sum::<usize>(), FLOOD, "{left_out:?}: {chat:?}");
    assert!(shown.is_sorted() && *shown.last().unwrap() == FLOOD - 1, "{chat:?}");
    let gaps = shown.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(gaps <= left_out.len(), "{gaps} gaps, told of {left_out:?}");
    assert!(!bytes.contains("trying again"), "it was cut: {chat:?}");
}

/// One that cuts who takes too little at once.
fn strict_server() -> Server {
    Server::with(&["--stall-timeout", "1", "--queue-limit", "10000"])
}

#[test]
fn a_search_does_not_hold_up_the_room_and_what_was_left_out_is_told() {
    let server = strict_server();
    let mut chat = in_cafe(&server, "chat-busy");
    // Without a history, there is nothing to search.
    chat.keys("/help\r");
    chat.expect_at_cursor("cafe>");
    chat.keys(CTRL_R);
    chat.expect("reverse-i-search");
    flood(&server);
    chat.keys(CTRL_G);
    expect_newest_of_flood(&chat);
}

#[test]
fn a_terminal_that_takes_nothing_does_not_hold_up_the_room_either() {
    let server = strict_server();
    let chat = in_cafe(&server, "chat-stopped");
    chat.while_stopped(|| flood(&server));
    expect_newest_of_flood(&chat);
}

#[test]
fn a_line_survives_ctrl_z() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-stop");
    chat.keys("half ");
    chat.expect_at_cursor("cafe> half");
    chat.keys(CTRL_Z);
    wait_until(|| chat.is_stopped(), || format!("{chat:?}"));
    assert!(chat.is_as_it_was());
    chat.signal(Signal::CONT);
    chat.keys("a line\r");
    chat.expect_line("alice: half a line");
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

/// It is not mixed with what is typed ahead.
#[test]
fn a_refused_text_does_not_come_back_into_a_line_that_is_begun() {
    let script = Script::new();
    let (mut chat, mut sender, _receiver) = scripted(&script, "chat-begun");
    chat.keys("hello\rnext");
    sender.expect("sendall:hello");
    sender.send("err:no\n");
    chat.expect_line("chat: not sent: hello");
    chat.expect_at_cursor("cafe> next");
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
        Peer::sender(server.port, "bob", "cafe").ok("sendall:not to her");
        chat.expect("bob: not to her");
        Peer::sender(server.port, "bob", "cafe").ok("sendall:alice");
        chat.expect("bob: alice");
        assert_eq!(chat.bytes().contains(&7), rings, "{when}");
        let before = chat.bytes().len();
        chat.keys("alice\r");
        chat.expect("alice: alice");
        assert!(!chat.bytes()[before..].contains(&7), "for oneself");
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
fn without_reconnecting_it_ends_with_the_server() {
    let server = Server::start();
    let mut chat = chat(server.port, &["cafe", "--no-reconnect"], "chat-ends");
    chat.expect_at_cursor("cafe>");
    drop(server);
    chat.expect_line("chat: the server closed the connection");
    assert_eq!(chat.finish().code(), Some(1), "{chat:?}");
    assert!(chat.is_as_it_was());
}

#[test]
fn however_it_ends_the_terminal_is_as_it_was() {
    for signal in [Signal::TERM, Signal::HUP] {
        let server = Server::start();
        let mut chat = in_cafe(&server, "chat-signal");
        Peer::sender(server.port, "bob", "cafe").ok("sendall:hello");
        chat.expect_line("bob: hello");
        chat.signal(signal);
        assert_eq!(chat.finish().signal(), Some(signal.as_raw()), "{chat:?}");
        assert!(chat.is_as_it_was() && !chat.look(vt100::Screen::bracketed_paste));
        chat.expect_line("bob: hello");
        chat.expect_at_cursor("");
    }
    for keys in [CTRL_D, CTRL_C, "/quit\r"] {
        let server = Server::start();
        let mut chat = in_cafe(&server, "chat-end");
        Peer::sender(server.port, "bob", "cafe").ok("sendall:hello");
        chat.expect_line("bob: hello");
        chat.keys(keys);
        assert_eq!(chat.finish().code(), Some(0), "{chat:?}");
        assert!(chat.is_as_it_was() && !chat.look(vt100::Screen::bracketed_paste));
        chat.expect_line("bob: hello");
        chat.expect_at_cursor("");
    }
}

/// What was said before one leaves is heard, however fast that is.
#[test]
fn what_was_delivered_is_on_the_screen_when_it_ends() {
    for keys in [CTRL_D, "/quit\r"] {
        let script = Script::new();
        let (mut chat, mut sender, mut receiver) = scripted(&script, "chat-leaves");
        chat.keys(format!("bye\r{keys}"));
        sender.expect("sendall:bye");
        sender.send("ok:\n");
        receiver.expect("join:cafe");
        let texts = (0..3000).map(|number| format!("delivery:cafe:bob:text {number} \n"));
        receiver.send(texts.collect::<String>() + "delivery:cafe:alice:bye\nok:\n");
        if keys != CTRL_D {
            sender.expect("quit:");
            sender.send("ok:\n");
        }
        assert_eq!(chat.finish().code(), Some(0), "{chat:?}");
        chat.expect_line("alice: bye");
        let bytes = String::from_utf8(chat.bytes()).unwrap();
        assert_eq!(bytes.matches(": text ").count(), 3000, "{chat:?}");
    }
}

#[test]
fn one_is_told_if_nobody_knows_what_became_of_a_text_when_it_ends() {
    let script = Script::new();
    let (mut chat, mut sender, _receiver) = scripted(&script, "chat-leaves-unsure");
    chat.keys("hello?\r");
    sender.expect("sendall:hello?");
    chat.keys(CTRL_D);
    assert_eq!(chat.finish().code(), Some(0), "{chat:?}");
    chat.expect_line("chat: the answer got lost: unsure whether it was sent: hello?");
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

#[test]
fn without_a_terminal_it_names_those_who_need_none() {
    let finished = Program::start(chatbox(["chat", "localhost", "5000", "alice"])).finish();
    finished.assert_one_error(2, "use sender to talk and receiver to listen");
    for redirection in ["</dev/null", "| cat"] {
        let words = "chat localhost 5000 alice";
        let script =
            format!("set -o pipefail; \"$chatbox\" {words} {redirection}; echo \"status $?\"");
        let terminal = Terminal::start(&bash(&script));
        terminal.expect("use sender to talk and receiver to listen");
        terminal.expect_line("status 2");
    }
}

#[test]
fn a_terminal_that_can_do_nothing_gets_plain_lines() {
    let server = Server::start();
    let mut command = chatbox(["chat", "localhost", &server.port.to_string(), "alice", "cafe"]);
    command.env("TERM", "dumb").env("XDG_STATE_HOME", scratch("chat-dumb"));
    let mut chat = Terminal::start(&command);
    chat.expect_start_of_line("cafe>");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hello");
    chat.expect("bob: hello");
    chat.keys("hi\n");
    chat.expect(" alice: hi");
    assert!(!chat.bytes().contains(&0x1b), "{chat:?}");
    chat.keys(CTRL_D);
    assert_eq!(chat.finish().code(), Some(0), "{chat:?}");
}

/// Looked at after the next key, as a window that changes is drawn anew by tmux, too.
#[test]
fn a_half_typed_line_survives_a_window_that_gets_narrow_and_wide_again() {
    let folder = scratch("chat-tmux");
    let server = Server::start();
    let tmux = |args: &[&str]| {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(folder.join("socket")).args(["-f", "/dev/null"]).args(args);
        // It runs in no other locale, and starts a shell for what it runs.
        tmux.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh");
        tmux.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let command = format!(
        "env XDG_STATE_HOME={} {} chat --no-timestamps localhost {} alice cafe",
        folder.display(),
        env!("CARGO_BIN_EXE_chatbox"),
        server.port
    );
    if tmux(&["new-session", "-d", "-x", "80", "-y", "24", &command]).is_err() {
        return left_out("there is no tmux");
    }
    let screen = || tmux(&["capture-pane", "-p", "-J"]).unwrap();
    let wait = |text: &str| {
        wait_until(|| screen().contains(text), || format!("no {text:?}:\n{}", screen()));
    };
    wait("cafe>");
    let text = format!("{} end", "x".repeat(100));
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    bob.ok(&format!("sendall:{text}"));
    wait(&format!("bob: {text}"));
    let mut typed = "a line that is only half typed".to_owned();
    tmux(&["send-keys", "-l", &typed]).unwrap();
    for (width, key) in [("20", "!"), ("80", "?")] {
        wait(&format!("cafe> {typed}"));
        tmux(&["resize-window", "-x", width]).unwrap();
        tmux(&["send-keys", "-l", key]).unwrap();
        typed += key;
    }
    wait(&format!("cafe> {typed}"));
    bob.ok("sendall:and now?");
    wait("bob: and now?");
    wait(&format!("bob: {text}"));
    tmux(&["send-keys", "Enter"]).unwrap();
    wait(&format!("alice: {typed}"));
    tmux(&["kill-server"]).unwrap();
}

/// What it says last is on its way when both connections are closed.
#[test]
fn what_a_server_delivers_before_it_stops_is_shown() {
    let script = Script::new();
    let (chat, sender, mut receiver) = scripted(&script, "chat-last");
    drop(sender);
    receiver.send("delivery:cafe:bob:good night\n");
    drop(receiver);
    chat.expect_line("bob: good night");
    chat.expect_line("chat: the server closed the connection; trying again");
}
