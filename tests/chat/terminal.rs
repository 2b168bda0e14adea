//! `sender` and `receiver` at a real pseudo-terminal: keys in, screen out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use crate::command_line::scratch;
use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Program, Server, Signal, bash, chatbox, wait_until};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";

/// A sender at a terminal, with a history of its own.
fn sender(port: impl ToString, args: &[&str], home: &Path) -> Terminal {
    let mut command = chatbox(["sender", "localhost", &port.to_string(), "bob"]);
    command.args(args).env("XDG_STATE_HOME", home);
    Terminal::start(&command)
}

/// A sender that has joined the room of the receiver that comes with it.
fn in_a_room(server: &Server, name: &str) -> (Terminal, Peer) {
    let receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = sender(server.port, &[], &scratch(name));
    sender.expect_at_cursor(">");
    sender.keys("/join cafe\r");
    sender.expect_at_cursor("cafe>");
    (sender, receiver)
}

/// A sender at its prompt, that has been let in by a server that the test plays.
fn let_in(script: &Script, name: &str) -> (Terminal, Peer) {
    let sender = sender(&script.port, &[], &scratch(name));
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    sender.expect_at_cursor(">");
    (sender, peer)
}

/// A receiver at a terminal, that has been let in by a server that the test plays.
fn receiver(script: &Script, args: &[&str]) -> (Terminal, Peer) {
    let mut command = chatbox(["receiver", "localhost", &script.port, "alice", "cafe"]);
    command.args(args);
    let terminal = Terminal::start(&command);
    let mut peer = script.accept();
    peer.expect("rlogin:alice");
    peer.send("ok:\n");
    peer.expect("join:cafe");
    peer.send("ok:\n");
    (terminal, peer)
}

#[test]
fn a_prompt_names_the_room_and_lines_can_be_edited() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "edit");
    sender.keys(format!("helo{LEFT}l\r"));
    receiver.expect("delivery:cafe:bob:hello");
    sender.keys("gr\u{fc}\u{df}e \u{1f980}\r");
    receiver.expect("delivery:cafe:bob:gr\\xc3\\xbc\\xc3\\x9fe \\xf0\\x9f\\xa6\\x80");
    sender.keys("/leave\r");
    sender.expect_at_cursor(">");
    sender.keys("anybody?\r");
    sender.expect_line("not in a room, join one first");
    sender.expect_line("sender: enter one with /join ROOM");
    sender.keys("/join b/d\r/what\r/join\r");
    sender.expect("bad room name");
    sender.expect("sender: unknown command, /help tells which there are");
    sender.expect("sender: /join takes one room");
    sender.keys("/quit\r");
    assert!(sender.finish().success(), "{sender:?}");
    assert!(sender.is_as_it_was());
}

#[test]
fn a_line_that_is_too_long_says_by_how_much() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "long");
    sender.keys(format!("{}\r", "x".repeat(256)));
    sender.expect("too long to send by 10 bytes");
    sender.keys("short\r");
    receiver.expect("delivery:cafe:bob:short");
}

#[test]
fn lines_are_remembered_in_a_file_of_the_user_alone() {
    let server = Server::with(&[]);
    let home = scratch("history");
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut first = sender(server.port, &["--room", "cafe"], &home);
    first.expect_at_cursor("cafe>");
    first.keys("one\rtwo\r");
    receiver.expect("delivery:cafe:bob:one");
    receiver.expect("delivery:cafe:bob:two");
    first.keys(format!("{UP}{UP}\r"));
    receiver.expect("delivery:cafe:bob:one");
    first.keys(CTRL_D);
    assert!(first.finish().success(), "{first:?}");
    let mode = |path: &str| fs::metadata(home.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("chatbox/history"), 0o600);
    assert_eq!(mode("chatbox"), 0o700);
    let mut second = sender(server.port, &["--room", "cafe"], &home);
    second.expect_at_cursor("cafe>");
    second.keys(format!("{UP}{UP}\r"));
    receiver.expect("delivery:cafe:bob:two");
}

#[test]
fn a_history_with_a_line_that_is_no_text_is_used_all_the_same() {
    let server = Server::with(&[]);
    let home = scratch("badhistory");
    let file = home.join("chatbox/history");
    fs::create_dir(home.join("chatbox")).unwrap();
    fs::write(&file, b"#V2\none\nca\xe9\n\xff\ntwo\n").unwrap();
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    for round in 0..2 {
        let mut sender = sender(server.port, &["--room", "cafe"], &home);
        sender.expect_at_cursor("cafe>");
        let told = String::from_utf8(sender.bytes()).unwrap().matches("not being UTF-8").count();
        assert_eq!(told, usize::from(round == 0), "{sender:?}");
        sender.keys(format!("{UP}{UP}\r"));
        receiver.expect(["delivery:cafe:bob:one", "delivery:cafe:bob:two"][round]);
    }
    wait_until(|| fs::read(&file).unwrap() == b"#V2\none\ntwo\none\ntwo\n", || format!("{file:?}"));
}

/// Somebody else may write the file, too.
#[test]
fn a_history_that_is_broken_while_it_is_used_is_mended() {
    let server = Server::with(&[]);
    let home = scratch("breaks");
    let file = home.join("chatbox/history");
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = sender(server.port, &[], &home);
    sender.expect_at_cursor(">");
    sender.keys("/join cafe\r");
    sender.expect_at_cursor("cafe>");
    let mut broken = fs::read(&file).unwrap();
    broken.extend_from_slice(b"\xff\n");
    fs::write(&file, broken).unwrap();
    sender.keys("hi\r");
    receiver.expect("delivery:cafe:bob:hi");
    sender.expect_start_of_line("sender: 1 line of the history in ");
    sender.expect_at_cursor("cafe>");
    assert_eq!(fs::read(&file).unwrap(), b"#V2\n/join cafe\nhi\n");
}

#[test]
fn a_history_that_cannot_be_used_is_said_once() {
    let server = Server::with(&[]);
    let home = scratch("nohistory");
    fs::create_dir_all(home.join("chatbox/history")).unwrap();
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut sender = sender(server.port, &["--room", "cafe"], &home);
    sender.expect("sender: cannot read the history in ");
    sender.keys("one\rtwo\r");
    receiver.expect("delivery:cafe:bob:one");
    receiver.expect("delivery:cafe:bob:two");
    sender.keys(CTRL_D);
    assert!(sender.finish().success(), "{sender:?}");
    let told = String::from_utf8(sender.bytes()).unwrap().matches("the history").count();
    assert_eq!(told, 1, "{sender:?}");
}

#[test]
fn the_tab_key_completes_commands_and_rooms_that_were_visited() {
    let server = Server::with(&[]);
    let (mut sender, _receiver) = in_a_room(&server, "tab");
    sender.keys("/jo\tbar\r");
    sender.expect_at_cursor("bar>");
    sender.keys("/l\t");
    sender.expect_at_cursor("bar> /leave");
    sender.keys("\r");
    sender.expect_at_cursor(">");
    sender.keys("/join c\t");
    sender.expect_at_cursor("> /join cafe");
    sender.keys("\r");
    sender.expect_at_cursor("cafe>");
}

#[test]
fn help_lists_every_command() {
    let server = Server::with(&[]);
    let (mut sender, _receiver) = in_a_room(&server, "help");
    sender.keys("/help\r");
    for command in ["/join ROOM", "/leave", "/quit", "/help", "//"] {
        sender.expect_start_of_line(command);
    }
    sender.expect_at_cursor("cafe>");
}

#[test]
fn two_slashes_send_a_text_that_starts_with_one_at_the_prompt_too() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "slashes");
    sender.keys("/etc\r//etc/passwd is gone\r");
    receiver.expect("delivery:cafe:bob:/etc/passwd is gone");
}

#[test]
fn ctrl_c_clears_the_line_and_quits_on_an_empty_one() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "interrupt");
    sender.keys("never sent");
    sender.expect_at_cursor("cafe> never sent");
    sender.keys(CTRL_C);
    sender.expect_at_cursor("cafe>");
    sender.keys("sent\r");
    receiver.expect("delivery:cafe:bob:sent");
    // While it waits for an answer, Ctrl-C interrupts it.
    sender.expect_line("cafe> sent");
    sender.expect_at_cursor("cafe>");
    sender.keys(CTRL_C);
    assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
    assert!(sender.is_as_it_was());
}

#[test]
fn what_is_typed_ahead_of_an_answer_is_neither_lost_nor_shown_twice() {
    let script = Script::new();
    let (mut sender, mut peer) = let_in(&script, "ahead");
    sender.keys("/join cafe\r");
    peer.expect("join:cafe");
    sender.keys(format!("hi\r{CTRL_D}"));
    peer.send("ok:\n");
    peer.expect("sendall:hi");
    peer.send("ok:\n");
    peer.expect_end();
    assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
    sender.expect_at_cursor("");
    assert_eq!(sender.lines()[..4], ["> /join cafe", "cafe> hi", "cafe>", ""], "{sender:?}");
}

#[test]
fn ctrl_c_interrupts_a_sender_whose_server_does_not_answer() {
    let script = Script::new();
    let (mut sender, mut peer) = let_in(&script, "waits");
    sender.keys("hi\r");
    peer.expect("sendall:hi");
    sender.keys(CTRL_C);
    assert_eq!(sender.finish().signal(), Some(Signal::INT.as_raw()), "{sender:?}");
    assert!(sender.is_as_it_was());
}

#[test]
fn the_end_of_input_quits() {
    let server = Server::with(&[]);
    let (mut sender, _receiver) = in_a_room(&server, "end");
    sender.keys(CTRL_D);
    assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
    // The shell's prompt comes on a line of its own.
    sender.expect_at_cursor("");
    assert!(sender.is_as_it_was());
}

/// The server closes as soon as it has answered, which is no news for whoever has quit.
#[test]
fn to_quit_is_a_success_whatever_the_answer() {
    let home = scratch("quit");
    let answers = [("ok:\n", None), ("err:stay\n", Some("stay")), ("", None)];
    for (answer, said) in answers.into_iter().cycle().take(30) {
        let script = Script::new();
        let mut sender = sender(&script.port, &[], &home);
        let mut peer = script.accept();
        peer.expect("slogin:bob");
        peer.send("ok:\n");
        sender.expect_at_cursor(">");
        sender.keys("/quit\r");
        peer.expect("quit:");
        peer.send(answer);
        drop(peer);
        assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
        let shown: Vec<_> = sender.lines().into_iter().filter(|line| !line.is_empty()).collect();
        assert!(
            shown.iter().map(String::as_str).eq(["> /quit"].into_iter().chain(said)),
            "{shown:?}"
        );
    }
}

#[test]
fn a_server_that_goes_away_is_noticed_while_the_prompt_waits() {
    let server = Server::with(&[]);
    let args = ["--room", "cafe", "--reconnect", "--no-reconnect"];
    let mut sender = sender(server.port, &args, &scratch("gone"));
    sender.expect_at_cursor("cafe>");
    sender.keys("half a li");
    sender.expect_at_cursor("cafe> half a li");
    drop(server);
    sender.expect_line("sender: the server closed the connection");
    assert_eq!(sender.finish().code(), Some(1), "{sender:?}");
    assert!(sender.is_as_it_was());
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::ALARM] {
        let server = Server::with(&[]);
        let (mut sender, _receiver) = in_a_room(&server, "signal");
        assert!(!sender.is_as_it_was(), "it edits lines itself");
        sender.signal(signal);
        assert_eq!(sender.finish().signal(), Some(signal.as_raw()), "{sender:?}");
        assert!(sender.is_as_it_was());
        assert!(!sender.look(vt100::Screen::bracketed_paste), "pastes are still marked");
    }
}

#[test]
fn a_prompt_waits_for_the_server_and_keeps_what_was_typed() {
    let server = Server::start();
    let port = server.port;
    let mut sender = sender(port, &["--room", "cafe"], &scratch("again"));
    sender.expect_at_cursor("cafe>");
    sender.keys("half ");
    sender.expect_at_cursor("cafe> half");
    drop(server);
    sender.expect_line("sender: the server closed the connection; trying again");
    let server = Server::run(chatbox(["server", &port.to_string(), "-v"]));
    sender.expect_start_of_line("sender: connected again after ");
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    sender.expect_at_cursor("cafe> half");
    sender.keys("a line\r");
    receiver.expect("delivery:cafe:bob:half a line");
}

#[test]
fn one_can_quit_while_the_server_is_away() {
    for ending in ["/quit\r", CTRL_D, CTRL_C] {
        let server = Server::with(&[]);
        let port = server.port;
        let mut sender = sender(port, &["--room", "cafe"], &scratch("away"));
        sender.expect_at_cursor("cafe>");
        drop(server);
        sender.expect("trying again");
        sender.keys("hello?\r/help\r");
        sender.expect_line("sender: the server is away: that was not sent");
        sender.expect("/leave       leave the room");
        sender.expect_at_cursor("cafe>");
        sender.keys(ending);
        assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
        assert!(sender.is_as_it_was());
    }
}

/// Whatever it was that found out that the server has gone.
#[test]
fn the_prompt_goes_on_when_the_server_goes_instead_of_answering() {
    for (line, said) in [
        ("/join bar\r", "sender: the server is away: that was not sent"),
        ("hi\r", "sender: the answer got lost: unsure whether it was sent"),
    ] {
        let script = Script::new();
        let mut sender = sender(&script.port, &[], &scratch("instead"));
        let mut peer = script.accept();
        peer.expect("slogin:bob");
        peer.send("ok:\n");
        sender.expect_at_cursor(">");
        sender.keys(line);
        peer.line();
        drop((peer, script));
        sender.expect_line(said);
        sender.keys("hello?\r");
        sender.expect_line("sender: the server is away: that was not sent");
        sender.expect_at_cursor(">");
        sender.keys(CTRL_D);
        assert_eq!(sender.finish().code(), Some(0), "{sender:?}");
    }
}

#[test]
fn ctrl_z_stops_it_and_leaves_the_terminal_as_it_was() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "stop");
    sender.keys("half ");
    sender.expect_at_cursor("cafe> half");
    sender.keys("\x1a");
    wait_until(|| sender.is_stopped(), || format!("{sender:?}"));
    assert!(sender.is_as_it_was());
    sender.signal(Signal::CONT);
    sender.keys("a line\r");
    receiver.expect("delivery:cafe:bob:half a line");
}

/// As after Ctrl-Z, also if it could not prepare for that.
#[test]
fn the_prompt_is_back_when_it_continues_whatever_stopped_it() {
    for signal in [Signal::TSTP, Signal::STOP] {
        let server = Server::with(&[]);
        let (mut sender, mut receiver) = in_a_room(&server, "continue");
        sender.keys("half ");
        sender.expect_at_cursor("cafe> half");
        sender.signal(signal);
        wait_until(|| sender.is_stopped(), || format!("{sender:?}"));
        // A shell sets the terminal as it wants it.
        sender.set_as_it_was();
        let before = sender.bytes().len();
        sender.signal(Signal::CONT);
        let shown = || sender.bytes()[before..].escape_ascii().to_string();
        wait_until(|| shown().contains("cafe> half "), shown);
        assert!(!sender.is_as_it_was(), "it edits lines itself");
        assert!(sender.look(vt100::Screen::bracketed_paste), "pastes are not marked");
        sender.keys("a line\r");
        receiver.expect("delivery:cafe:bob:half a line");
    }
}

#[test]
fn what_the_server_says_before_it_goes_is_shown() {
    let script = Script::new();
    let mut sender = sender(&script.port, &["--no-reconnect"], &scratch("words"));
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    sender.expect_at_cursor(">");
    peer.send("err:going \x1b[2Jdown\n");
    drop(peer);
    sender.expect_line("sender: the server closed the connection: going \\x1b[2Jdown");
    assert_eq!(sender.finish().code(), Some(1), "{sender:?}");
}

#[test]
fn reconnection_is_told_of_on_standard_error() {
    let script = Script::new();
    let log = scratch("log").join("log");
    let mut command = bash("exec \"$chatbox\" sender localhost $port bob --reconnect 2>\"$log\"");
    command.env("port", &script.port).env("log", &log).env("XDG_STATE_HOME", scratch("stderr"));
    let mut sender = Terminal::start(&command);
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    sender.expect_at_cursor(">");
    drop(peer);
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\n");
    let told = || fs::read_to_string(&log).unwrap();
    wait_until(|| told().contains("connected again"), told);
    sender.keys(CTRL_D);
    assert!(sender.finish().success(), "{sender:?}");
}

#[test]
fn a_terminal_that_can_do_nothing_will_do() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    for term in [Some("dumb"), Some(""), None] {
        let mut command = chatbox(["sender", "localhost", &server.port.to_string(), "bob"]);
        command.args(["--room", "cafe"]).env("XDG_STATE_HOME", scratch("dumb")).env_remove("TERM");
        term.map(|term| command.env("TERM", term));
        let mut sender = Terminal::start(&command);
        sender.expect("cafe>");
        sender.keys("hi\r");
        receiver.expect("delivery:cafe:bob:hi");
        sender.expect_line("cafe> hi");
        sender.keys("/quit\r");
        assert!(sender.finish().success(), "{sender:?}");
        assert!(!sender.bytes().contains(&0x1b), "{term:?}: {:?}", sender.bytes().escape_ascii());
    }
}

#[test]
fn keys_that_are_no_utf8_do_not_end_it() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "latin");
    sender.keys(b"caf\xe9\r");
    sender.expect("that was not UTF-8");
    sender.keys("\x15\r");
    sender.keys("cafe\r");
    receiver.expect("delivery:cafe:bob:cafe");
}

#[test]
fn the_history_is_in_the_home_folder_by_default() {
    let server = Server::with(&[]);
    let home = scratch("home");
    let mut command = chatbox(["sender", "localhost", &server.port.to_string(), "bob"]);
    command.env("HOME", &home).env("XDG_STATE_HOME", "not/absolute");
    let mut sender = Terminal::start(&command);
    sender.expect_at_cursor(">");
    sender.keys("/join cafe\r");
    sender.expect_at_cursor("cafe>");
    let history = fs::read_to_string(home.join(".local/state/chatbox/history")).unwrap();
    assert!(history.contains("/join cafe"), "{history:?}");
}

#[test]
fn what_a_server_says_does_no_harm_to_a_senders_terminal() {
    let script = Script::new();
    let mut sender = sender(&script.port, &[], &scratch("harm"));
    let mut peer = script.accept();
    peer.expect("slogin:bob");
    peer.send("ok:\x1b[2J\n");
    sender.expect_at_cursor(">");
    sender.keys("hi\r");
    peer.expect("sendall:hi");
    peer.send("err:\x1b]0;owned\x07\n");
    sender.expect_line("\\x1b]0;owned\\x07");
}

/// What a terminal sends when that is pasted, if it was asked to mark it.
fn pasted(text: &str) -> String {
    format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r"))
}

#[test]
fn what_is_pasted_is_shown_and_sent_on_enter() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "paste");
    assert!(sender.look(vt100::Screen::bracketed_paste), "pastes are not marked");
    sender.keys(pasted("one\tone\n\n  two\n//three"));
    sender.expect_line("cafe> one       one");
    sender.expect_line("  two");
    sender.expect_at_cursor("//three");
    // Nothing has been sent so far.
    Peer::sender(server.port, "carol", "cafe").ok("sendall:sentinel");
    receiver.expect("delivery:cafe:carol:sentinel");
    sender.keys(" and more\r");
    receiver.expect("delivery:cafe:bob:one\\tone");
    receiver.expect("delivery:cafe:bob:two");
    receiver.expect("delivery:cafe:bob:/three and more");
    sender.expect_at_cursor("cafe>");
    // A pasted line can be edited as if it were typed, and a command can be pasted alone.
    sender.keys(pasted("/join ba") + "r\r");
    sender.expect_at_cursor("bar>");
    sender.keys("/quit\r");
    assert!(sender.finish().success(), "{sender:?}");
    assert!(!sender.look(vt100::Screen::bracketed_paste), "pastes are still marked");
}

#[test]
fn many_pasted_lines_and_commands_among_them_are_sent_after_one_question() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "question");
    for (text, question, answer) in [
        ("never\n/quit\n", "2 lines, 1 command among them: send? [y/N]", "\r"),
        ("never\n/quit\n", "2 lines, 1 command among them: send? [y/N]", CTRL_C),
        ("1\n2\n3\n4\n5\n6", "6 lines: send? [y/N]", "n\r"),
        ("1\n2\n3\n4\n5\n6", "6 lines: send? [y/N]", "y\r"),
    ] {
        sender.keys(pasted(text) + "\r");
        sender.expect_at_cursor(question);
        sender.keys(answer);
        sender.expect_at_cursor("cafe>");
    }
    for line in 1..=6 {
        receiver.expect(&format!("delivery:cafe:bob:{line}"));
    }
    sender.keys(pasted("last\n/quit\nnever") + "\r");
    sender.expect_at_cursor("3 lines, 1 command among them: send? [y/N]");
    sender.keys("y\r");
    receiver.expect("delivery:cafe:bob:last");
    assert!(sender.finish().success(), "{sender:?}");
    assert!(sender.is_as_it_was());
}

/// Each waits for the answer to the one before; the first Ctrl-C stops the rest, and ends nothing.
#[test]
fn pasted_lines_are_sent_at_the_pace_of_the_answers_and_ctrl_c_stops_the_rest() {
    let script = Script::new();
    let (mut sender, mut peer) = let_in(&script, "pace");
    sender.keys(pasted("1\n2\n3\n4") + "\r");
    peer.expect("sendall:1");
    peer.send("ok:\n");
    peer.expect("sendall:2");
    sender.keys(CTRL_C);
    sender.expect_line("sender: interrupted; once more, and it ends at once");
    peer.send("ok:\n");
    sender.expect_line("sender: 2 lines not sent");
    sender.keys("5\r");
    peer.expect("sendall:5");
    // One line alone is interrupted as ever.
    sender.keys(CTRL_C);
    assert_eq!(sender.finish().signal(), Some(Signal::INT.as_raw()), "{sender:?}");
}

/// The system would, where the terminal is slow, if it were not told otherwise: while a line is carried
/// out, as Ctrl-C is a signal then.
#[test]
fn ctrl_c_throws_nothing_away_that_is_on_its_way_to_the_screen() {
    let script = Script::new();
    let (mut sender, mut peer) = let_in(&script, "flush");
    sender.keys("hi\r");
    peer.expect("sendall:hi");
    wait_until(|| sender.keeps_output(), || format!("it would be thrown away: {sender:?}"));
}

#[test]
fn pasted_lines_are_not_sent_past_a_server_that_goes_away() {
    let script = Script::new();
    let (mut sender, mut peer) = let_in(&script, "past");
    sender.keys(pasted("1\n2\n3\n4") + "\r");
    peer.expect("sendall:1");
    drop((peer, script));
    sender.expect_line("sender: the answer got lost: unsure whether it was sent");
    sender.expect_line("sender: 3 more lines not sent");
}

#[test]
fn a_paste_has_an_end() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "large");
    // As much as there may be, less what is there already.
    sender.keys("x");
    sender.keys(pasted(&"y".repeat(64 * 1024)));
    sender.expect_line("sender: more than 64 KiB: that is not pasted");
    sender.expect_at_cursor("cafe> x");
    // Nor does a paste do what keys do.
    sender.keys(pasted("\x03\x04\x1a\x0c\x1b[A"));
    sender.keys(pasted("\ny") + "\r");
    receiver.expect("delivery:cafe:bob:x");
    receiver.expect("delivery:cafe:bob:y");
    let lines: String = (0..9000).map(|number| format!("{number}\n")).collect();
    sender.keys(pasted(&lines) + "\r");
    sender.expect_at_cursor("9000 lines: send? [y/N]");
    sender.keys("y\r");
    for number in 0..9000 {
        receiver.expect(&format!("delivery:cafe:bob:{number}"));
    }
}

/// The rest of it is not taken for what is typed.
#[test]
fn a_paste_that_is_no_utf8_is_forgotten() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "pastelatin");
    let rest = b"\r/quit\r".repeat(1000);
    sender.keys([&b"\x1b[200~caf\xe9"[..], &rest, b"\x1b[201~"].concat());
    sender.expect_line("sender: that was not UTF-8, and is forgotten");
    sender.expect_at_cursor("cafe>");
    sender.keys("still here\r");
    receiver.expect("delivery:cafe:bob:still here");
}

/// What is typed after that is not the paste's for ever.
#[test]
fn a_paste_whose_end_is_lost_ends_by_ctrl_c() {
    let server = Server::with(&[]);
    let (mut sender, mut receiver) = in_a_room(&server, "lost");
    sender.keys("\x1b[200~lost\x1b[\x1b[201~\r/quit\r");
    Peer::sender(server.port, "carol", "cafe").ok("sendall:sentinel");
    receiver.expect("delivery:cafe:carol:sentinel");
    // One of them ends the paste, and the next one the sender, whose line is empty.
    wait_until(
        || {
            sender.keys(CTRL_C);
            sender.has_ended()
        },
        || "still running".into(),
    );
    assert!(sender.is_as_it_was());
}

/// Names and texts that try to do something to the terminal of whoever reads them.
const ATTACKS: &[&[u8]] = &[
    b"\x1b]0;owned\x07",
    b"\x1b]2;owned\x1b\\",
    b"\x1b[2J\x1b[H",
    b"\x1b[1A\x1b[2K",
    b"\x1b]52;c;cm0gLXJmIH4=\x07",
    b"\x1b[6n\x1b[c\x05",
    b"\x1bP+q544e\x1b\\",
    b"\x1b(0\x0e\x1bc",
    b"\x08\x08\x08\x7f\x00\x0b\x0c\t",
    b"over\rwritten",
    b"\x9b2J\x9d0;owned\x9c",
    b"\xc2\x9b2J\xc2\x9d0;owned\xc2\x9c",
    b"\xff\xfe\xc0\xae\xe2\x82",
    b"\xe2\x80\xaeredrum\xe2\x80\xac",
    b"\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9",
];

#[test]
fn attacks_become_visible_on_a_terminal() {
    for flags in [&["--color", "never"][..], &["--color", "always"], &["--json"]] {
        let script = Script::new();
        let (terminal, mut peer) = receiver(&script, flags);
        for attack in ATTACKS {
            let lines =
                [&b"delivery:cafe:"[..], attack, b"bob:hi\ndelivery:cafe:eve:", attack, b"\n"];
            peer.send(lines.concat());
        }
        peer.send("delivery:cafe:bob:the end\n");
        terminal.expect("the end");
        let text = String::from_utf8(terminal.bytes()).expect("valid UTF-8");
        let rest = without_colors(&text);
        let harmful = |char: &char| {
            char.is_control() && !matches!(char, '\n' | '\r' | '\t')
                || "\u{202e}\u{202c}\u{2066}".contains(*char)
        };
        let harm: Vec<_> = rest.chars().filter(harmful).collect();
        assert!(harm.is_empty(), "{text:?}");
        // Each line end is one that the receiver meant.
        assert_eq!(rest.matches('\n').count(), 2 * ATTACKS.len() + 1, "{text:?}");
        assert_eq!(rest.matches('\r').count(), 2 * ATTACKS.len() + 1, "{text:?}");
        assert_eq!(rest.len() < text.len(), flags.contains(&"always"), "colours: {text:?}");
    }
}

/// Removes the colours that a receiver sets: `ESC [ digits and semicolons m`.
fn without_colors(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut rest = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let is_number = |char: char| char.is_ascii_digit() || char == ';';
        match piece.trim_start_matches(is_number).strip_prefix('m') {
            Some(after) => rest += after,
            None => rest += &format!("\x1b[{piece}"),
        }
    }
    rest
}

#[test]
fn honest_text_survives_on_a_terminal() {
    let script = Script::new();
    let (terminal, mut peer) = receiver(&script, &[]);
    let honest = [
        "na\u{ef}ve caf\u{e9}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f44d}\u{1f3fd} \u{1f1e9}\u{1f1ea}",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627}\u{200f}",
        "\u{65e5}\u{672c}\u{8a9e} e\u{301}",
    ];
    for text in honest {
        peer.send(format!("delivery:cafe:bob:{text}\n"));
    }
    peer.send("delivery:cafe:bob:the end\n");
    terminal.expect("the end");
    let shown = String::from_utf8(terminal.bytes()).unwrap();
    for text in honest {
        assert!(shown.contains(text), "no {text} in {shown:?}");
    }
}

#[test]
fn a_tab_is_shown_as_a_tab() {
    let script = Script::new();
    let (terminal, mut peer) = receiver(&script, &[]);
    peer.send("delivery:cafe:bob:a\tb\n");
    terminal.expect_line("bob: a  b");
    assert_eq!(terminal.bytes(), b"bob: a\tb\r\n");
}

#[test]
fn raw_turns_the_protection_off() {
    let script = Script::new();
    let (terminal, mut peer) = receiver(&script, &["--raw"]);
    peer.send("delivery:cafe:bob:\x1b[31mred\x1b[0m\n");
    terminal.expect("red");
    let bytes = terminal.bytes();
    assert!(bytes.windows(8).any(|window| window == b"\x1b[31mred"), "{}", bytes.escape_ascii());
}

/// The colour of the first character of a line that holds `text`.
fn color_before(terminal: &Terminal, text: &str) -> vt100::Color {
    let row = terminal.lines().iter().position(|line| line.contains(text)).unwrap();
    let row = row.try_into().unwrap();
    terminal.look(|screen| screen.cell(row, 0).unwrap().fgcolor())
}

#[test]
fn each_sender_has_a_colour_and_mentions_stand_out() {
    let script = Script::new();
    let (terminal, mut peer) = receiver(&script, &["--color", "auto"]);
    peer.send("delivery:cafe:bob:first\ndelivery:cafe:carol:second\ndelivery:cafe:bob:third\n");
    peer.send("delivery:cafe:bob:hi Alice!\ndelivery:cafe:bob:malice\n");
    terminal.expect("malice");
    let [first, second, third] =
        ["first", "second", "third"].map(|text| color_before(&terminal, text));
    assert_eq!(first, third);
    assert_ne!(first, second);
    assert_ne!(first, vt100::Color::Default);
    let inverse = |text: &str, word: &str| {
        let lines = terminal.lines();
        let (row, line) = lines.iter().enumerate().find(|(_, line)| line.contains(text)).unwrap();
        let (row, column) = (row.try_into().unwrap(), line.find(word).unwrap().try_into().unwrap());
        terminal.look(|screen| screen.cell(row, column).unwrap().inverse())
    };
    assert!(inverse("hi Alice", "Alice"), "{terminal:?}");
    assert!(!inverse("hi Alice", "hi"), "{terminal:?}");
    assert!(!inverse("malice", "alice"), "{terminal:?}");
}

/// Bold and reverse are no colours.
#[test]
fn colours_and_marks_are_for_those_who_ask() {
    let shown = |args: &[&str], environment: &[(&str, Option<&str>)]| {
        let script = Script::new();
        let mut command = chatbox(["receiver", "localhost", &script.port, "alice", "cafe"]);
        command.args(args);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let terminal = Terminal::start(&command);
        let mut peer = script.accept();
        peer.send("ok:\nok:\ndelivery:cafe:bob:hi alice\n");
        terminal.expect_line("bob: hi alice");
        String::from_utf8(terminal.bytes()).unwrap()
    };
    let plain = "bob: hi alice\r\n";
    let marked = "bob: hi \x1b[1;7malice\x1b[0m\r\n";
    let (auto, always) = (["--color", "auto"], ["--color", "always"]);
    assert_eq!(shown(&[], &[]), plain);
    assert_eq!(shown(&["--color", "never"], &[]), plain);
    assert_eq!(shown(&auto, &[("TERM", Some("dumb"))]), plain);
    assert_eq!(shown(&auto, &[("TERM", Some(""))]), plain);
    assert_eq!(shown(&auto, &[("TERM", None)]), plain);
    assert_eq!(shown(&auto, &[("NO_COLOR", Some("1"))]), marked);
    let colored = shown(&auto, &[("NO_COLOR", Some(""))]);
    assert!(colored.starts_with("\x1b[") && colored.ends_with(&marked[5..]), "{colored:?}");
    assert_eq!(shown(&auto, &[]), colored);
    assert_eq!(shown(&always, &[("NO_COLOR", Some("1")), ("TERM", None)]), colored);
}

#[test]
fn ctrl_c_ends_a_receiver_by_the_signal() {
    let script = Script::new();
    let (mut terminal, mut peer) = receiver(&script, &[]);
    peer.send("delivery:cafe:bob:hi\n");
    terminal.expect_line("bob: hi");
    terminal.keys(CTRL_C);
    assert_eq!(terminal.finish().signal(), Some(Signal::INT.as_raw()), "{terminal:?}");
    assert!(terminal.is_as_it_was());
}

/// What is typed is neither shown nor left to the shell, however it ends.
#[test]
fn what_is_typed_at_a_receiver_is_ignored() {
    for (args, status) in [("-n 2", 0), ("--timeout 3", 124), ("", 1)] {
        let script = Script::new();
        let mut command = bash(&format!(
            "\"$chatbox\" receiver {args} localhost $port alice cafe; echo \"ended with $?\"; \
             read -r line; echo \"read: $line\""
        ));
        command.env("port", &script.port);
        let mut terminal = Terminal::start(&command);
        let mut peer = script.accept();
        peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
        terminal.expect_line("bob: hi");
        terminal.keys("rm -rf\rls\r");
        peer.send("delivery:cafe:bob:ho\n");
        terminal.expect_line("bob: ho");
        if args.is_empty() {
            drop(peer);
        }
        terminal.expect_line(&format!("ended with {status}"));
        assert!(terminal.is_as_it_was());
        terminal.keys("sentinel\r");
        terminal.expect_line("read: sentinel");
        let shown = String::from_utf8(terminal.bytes()).unwrap();
        assert!(!shown.contains("rm -rf") && !shown.contains("ls"), "{shown:?}");
    }
}

#[test]
fn a_receiver_leaves_a_terminal_alone_that_is_not_its_own() {
    for pipeline in ["| cat", "& cat"] {
        let script = Script::new();
        let receiver = "\"$chatbox\" receiver localhost $port alice cafe";
        let mut command = bash(&format!("set -m; {receiver} {pipeline}"));
        command.env("port", &script.port);
        let mut terminal = Terminal::start(&command);
        let mut peer = script.accept();
        peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
        terminal.expect_line("bob: hi");
        assert!(terminal.is_as_it_was(), "{pipeline}");
        terminal.keys("typed\r");
        terminal.expect_line("typed");
        terminal.keys(CTRL_C);
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_while_a_receiver_is_stopped() {
    let script = Script::new();
    let (mut terminal, mut peer) = receiver(&script, &[]);
    peer.send("delivery:cafe:bob:hi\n");
    terminal.expect_line("bob: hi");
    assert!(!terminal.is_as_it_was());
    terminal.keys("\x1a");
    wait_until(|| terminal.is_stopped(), || format!("{terminal:?}"));
    assert!(terminal.is_as_it_was());
    terminal.signal(Signal::CONT);
    wait_until(|| !terminal.is_as_it_was(), || format!("{terminal:?}"));
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.finish().signal(), Some(Signal::TERM.as_raw()), "{terminal:?}");
    assert!(terminal.is_as_it_was());
}

/// No signal tells it that it is taken back.
#[test]
fn a_receiver_back_from_the_background_shows_no_keys_again() {
    let script = Script::new();
    let receiver = "\"$chatbox\" receiver localhost $port alice cafe";
    let mut command = bash(&format!("set -m; {receiver}; bg; read -r line; fg"));
    command.env("port", &script.port);
    let mut terminal = Terminal::start(&command);
    let mut peer = script.accept();
    peer.send("ok:\nok:\ndelivery:cafe:bob:hi\n");
    terminal.expect_line("bob: hi");
    assert!(!terminal.is_as_it_was());
    terminal.keys("\x1a");
    wait_until(|| terminal.is_as_it_was(), || format!("{terminal:?}"));
    peer.send("delivery:cafe:bob:ho\n");
    terminal.expect_line("bob: ho");
    assert!(terminal.is_as_it_was());
    terminal.keys("back\r");
    let next_text_tells = || {
        peer.send("delivery:cafe:bob:he\n");
        !terminal.is_as_it_was()
    };
    wait_until(next_text_tells, || format!("{terminal:?}"));
    terminal.keys(CTRL_C);
}

/// Nobody is at the other end of a pipe to be asked.
#[test]
fn there_is_no_prompt_in_a_pipe() {
    let server = Server::with(&[]);
    let mut receiver = Peer::receiver(server.port, "eve", "cafe");
    let mut command = bash("\"$chatbox\" sender localhost $port bob | cat");
    command.env("port", server.port.to_string());
    let mut terminal = Terminal::start(&command);
    terminal.keys("/join cafe\rhi\r");
    receiver.expect("delivery:cafe:bob:hi");
    terminal.keys(CTRL_D);
    assert!(terminal.finish().success());
    let shown: Vec<_> = terminal.lines().into_iter().filter(|line| !line.is_empty()).collect();
    // What the terminal itself shows of what is typed.
    assert_eq!(shown, ["/join cafe", "hi"]);
    let mut piped = Program::start(server.client("sender", &["bob"]));
    piped.end_of_input();
    piped.finish().assert(0, b"", "");
}
