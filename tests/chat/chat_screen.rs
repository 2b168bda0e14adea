//! `chatbox chat` and its terminal: what stands there, where, and when; and how it is left.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use crate::chat::{CTRL_C, CTRL_D, chat, in_cafe, let_in, scripted, shown};
use crate::command_line::scratch;
use crate::harness::script::Script;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Program, Server, Signal, bash, chatbox, left_out, wait_until};

const CTRL_G: &str = "\x07";
const CTRL_R: &str = "\x12";
const CTRL_Z: &str = "\x1a";

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
    // Nothing that would hold the screen back after the end.
    assert!(!bytes.contains("\\x1b[?2026h"), "{bytes}");
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

/// Neither Esc nor one that a terminal may take for itself.
#[test]
fn no_key_holds_up_what_is_said() {
    let server = Server::start();
    let mut chat = in_cafe(&server, "chat-keys");
    let mut bob = Peer::sender(server.port, "bob", "cafe");
    let mut typed = String::new();
    for (number, keys) in ["\x1b", "\x13\x11", "\x16", "\x18", "\x1d"].into_iter().enumerate() {
        chat.keys(format!("x{keys}"));
        typed.push('x');
        chat.expect_at_cursor(&format!("cafe> {typed}"));
        bob.ok(&format!("sendall:{number}"));
        chat.expect_line(&format!("bob: {number}"));
        chat.expect_at_cursor(&format!("cafe> {typed}"));
    }
}

#[test]
fn what_waits_for_a_search_when_it_ends_stands_on_lines_of_its_own() {
    let script = Script::new();
    let mut chat = chat(&script.port, &["cafe", "--no-timestamps", "--no-reconnect"], "chat-below");
    let [_sender, mut receiver] = let_in(&script, "cafe");
    chat.expect_at_cursor("cafe>");
    chat.keys("/help\r");
    chat.expect_at_cursor("cafe>");
    chat.keys(CTRL_R);
    chat.expect("reverse-i-search");
    receiver.send("delivery:cafe:bob:hi\n");
    drop(receiver);
    assert_eq!(chat.finish().code(), Some(1), "{chat:?}");
    chat.expect_line("bob: hi");
}

#[test]
fn a_terminal_that_takes_nothing_does_not_hold_up_the_room_either() {
    let server = strict_server();
    let chat = in_cafe(&server, "chat-stopped");
    chat.while_stopped(|_| flood(&server));
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
fn without_its_errors_on_the_screen_the_shells_prompt_is_on_a_line_of_its_own() {
    let server = Server::start();
    let folder = scratch("chat-log");
    let words = format!("chat --no-reconnect localhost {} alice cafe", server.port);
    let script = format!("XDG_STATE_HOME={0} \"$chatbox\" {words} 2>{0}/log", folder.display());
    let chat = Terminal::start(&bash(&format!("{script}; echo ended")));
    chat.expect_at_cursor("cafe>");
    drop(server);
    chat.expect_line("ended");
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

/// A tmux of the test's own, at this socket. It does not outlive the test.
struct Tmux(PathBuf);

impl Tmux {
    /// Has it do something. Returns what it prints.
    fn run(&self, args: &[&str]) -> io::Result<String> {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.0).args(["-f", "/dev/null"]).args(args);
        // It runs in no other locale, and starts a shell for what it runs.
        tmux.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh");
        tmux.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.run(&["kill-server"]);
    }
}

/// Looked at after the next key, as a window that changes is drawn anew by tmux, too.
#[test]
fn a_half_typed_line_survives_a_window_that_gets_narrow_and_wide_again() {
    let folder = scratch("chat-tmux");
    let server = Server::start();
    let tmux = Tmux(folder.join("socket"));
    let tmux = |args: &[&str]| tmux.run(args);
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
}
