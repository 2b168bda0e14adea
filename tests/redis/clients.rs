//! Clients of a host that has several addresses, with a server at each.

use std::fs;
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};

use crate::engine::Engine;
use crate::harness::ports::free_port;
use crate::harness::terminal::Terminal;
use crate::harness::{PATIENCE, Peer, Program, Server, chatbox, left_out, wait_until};

/// A server at one address.
fn server_at(engine: &Engine, address: &str, port: u16) -> Server {
    server_with(engine, address, port, &[])
}

/// The same with flags.
fn server_with(engine: &Engine, address: &str, port: u16, flags: &[&str]) -> Server {
    let (url, port) = (engine.url(), port.to_string());
    let words = ["server", "-v", "--bind", address, "--redis", &url, &port];
    Server::run(chatbox(words.iter().chain(flags).copied()))
}

/// One who speaks there.
fn sender_at(address: &str, port: u16) -> Peer {
    let mut peer = Peer::over(TcpStream::connect((address, port)).unwrap());
    peer.enter("slogin", "al", "cafe");
    peer
}

/// Runs a command that finds `both`, a host with the addresses of loopback in IPv6 and IPv4; `None` if
/// this user may not have such a host, which it says.
fn with_both(engine: &Engine, command: &Command) -> Option<Command> {
    let hosts = engine.folder().join("hosts");
    fs::write(&hosts, "::1 both\n127.0.0.1 both\n").unwrap();
    let mut all = Command::new("unshare");
    all.args(["--map-root-user", "--mount", "sh", "-c"]);
    all.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(hosts);
    all.arg(command.get_program()).args(command.get_args());
    let mut try_it = Command::new("unshare");
    let tried = try_it.args(["--map-root-user", "--mount", "true"]).status();
    let may = tried.is_ok_and(|status| status.success()) && TcpListener::bind("[::1]:0").is_ok();
    if !may {
        left_out("there can be no host with two addresses");
    }
    may.then_some(all)
}

#[test]
fn a_client_goes_on_at_the_next_address_of_its_host() {
    let Some(engine) = Engine::start() else { return };
    let command = chatbox(["receiver", "--reconnect", "both"]);
    let Some(mut command) = with_both(&engine, &command) else { return };
    let mut one = server_at(&engine, "127.0.0.1", 0);
    let mut other = server_at(&engine, "::1", one.port);
    let port = one.port;
    command.args([&port.to_string(), "eve", "cafe"]);
    let receiver = Program::start(command);
    // Whoever has not joined yet has missed it.
    let mut witness = sender_at("127.0.0.1", port);
    let is_heard =
        |text: &str| String::from_utf8_lossy(&receiver.stdout()).contains(&format!("al: {text}"));
    wait_until(
        || {
            witness.ok("sendall:are you there?");
            is_heard("are you there?")
        },
        || format!("{receiver:?}"),
    );
    for round in 0..4 {
        let (dies, address, lives) = match round % 2 {
            0 => (&mut one, "127.0.0.1", "::1"),
            _ => (&mut other, "::1", "127.0.0.1"),
        };
        dies.program.kill();
        // What is said meanwhile on the other one is not missed.
        sender_at(lives, port).ok(&format!("sendall:round {round}"));
        receiver.expect_stdout(&format!("al: round {round}\n"));
        *dies = server_at(&engine, address, port);
    }
    let heard = String::from_utf8(receiver.stdout()).unwrap();
    for round in 0..4 {
        assert_eq!(heard.matches(&format!("al: round {round}\n")).count(), 1, "{heard}");
    }
}

#[test]
fn a_chat_goes_on_at_the_next_address_of_its_host() {
    let Some(engine) = Engine::start() else { return };
    let Some(mut command) = with_both(&engine, &chatbox(["chat", "both"])) else { return };
    let mut one = server_at(&engine, "127.0.0.1", 0);
    let port = one.port;
    let mut other = server_at(&engine, "::1", port);
    command.args([&port.to_string(), "eve", "cafe"]).env("XDG_STATE_HOME", engine.folder());
    let mut chat = Terminal::start(&command);
    chat.keys("hello\r");
    chat.expect("eve: hello");
    for round in 0..2 {
        let (dies, address, lives) = match round {
            0 => (&mut one, "127.0.0.1", "::1"),
            _ => (&mut other, "::1", "127.0.0.1"),
        };
        dies.program.kill();
        sender_at(lives, port).ok(&format!("sendall:round {round}"));
        chat.expect(&format!("al: round {round}"));
        chat.keys(format!("I am there, {round}\r"));
        chat.expect(&format!("eve: I am there, {round}"));
        *dies = server_at(&engine, address, port);
    }
}

/// Starts servers at both addresses, and then a client, eve. Then the first address that she tries gets
/// a server that is full, and the server at the other one goes away until she has been sent away, which
/// `expect` waits for. Somebody at the full server says `there you are`, which she hears only at the other one;
/// they and the servers are returned with her, for she gets in as soon as they are gone.
fn send_away<C>(
    engine: &Engine,
    port: u16,
    start: impl FnOnce() -> C,
    expect: impl Fn(&mut C, &str),
) -> (C, (Peer, [Server; 2])) {
    let (mut address, mut next) = ("127.0.0.1", "::1");
    let (mut first, mut other) = (server_at(engine, address, port), server_at(engine, next, port));
    let mut client = start();
    let has_eve = |server: &Server| server.program.stderr().contains("eve");
    wait_until(|| has_eve(&first) || has_eve(&other), || "where is eve?".into());
    if has_eve(&other) {
        mem::swap(&mut address, &mut next);
        mem::swap(&mut first, &mut other);
    }
    first.program.kill();
    expect(&mut client, "connected again");
    first = server_with(engine, address, port, &["--max-clients", "1"]);
    let mut only = sender_at(address, port);
    other.program.kill();
    expect(&mut client, "the server is full");
    other = server_at(engine, next, port);
    only.ok("sendall:there you are");
    (client, (only, [first, other]))
}

#[test]
fn a_receiver_that_is_refused_goes_on_at_the_next_address() {
    let Some(engine) = Engine::start() else { return };
    let Some(mut command) = with_both(&engine, &chatbox(["receiver", "--reconnect", "both"]))
    else {
        return;
    };
    let port = free_port();
    command.args([&port.to_string(), "eve", "cafe"]);
    let (receiver, _others) = send_away(
        &engine,
        port,
        || Program::start(command),
        |receiver, text| receiver.expect_stderr(text),
    );
    receiver.expect_stdout("al: there you are\n");
}

#[test]
fn a_chat_that_is_refused_goes_on_at_the_next_address() {
    let Some(engine) = Engine::start() else { return };
    let Some(mut command) = with_both(&engine, &chatbox(["chat", "both"])) else { return };
    let port = free_port();
    command.args([&port.to_string(), "eve", "cafe"]).env("XDG_STATE_HOME", engine.folder());
    let start = || {
        let mut chat = Terminal::start(&command);
        chat.keys("hello\r");
        chat.expect("eve: hello");
        chat
    };
    let (mut chat, _others) = send_away(&engine, port, start, |chat, text| chat.expect(text));
    chat.expect("al: there you are");
    chat.keys("here I am\r");
    chat.expect("eve: here I am");
}

/// Who connects next, and to which of the two.
fn accept(listeners: &[TcpListener; 2]) -> (usize, Peer) {
    let mut fds = listeners.each_ref().map(|listener| PollFd::new(listener, PollFlags::IN));
    let patience = PATIENCE.try_into().unwrap();
    assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "not one connects");
    let at = fds.iter().position(|fd| !fd.revents().is_empty()).unwrap();
    (at, Peer::over(listeners[at].accept().unwrap().0))
}

#[test]
fn whatever_goes_wrong_at_an_address_the_next_one_has_its_turn() {
    let Some(engine) = Engine::start() else { return };
    let Some(mut command) = with_both(&engine, &chatbox(["receiver", "--reconnect", "both"]))
    else {
        return;
    };
    let port = free_port();
    let listeners = ["127.0.0.1", "::1"].map(|it| TcpListener::bind((it, port)).unwrap());
    command.args([&port.to_string(), "eve", "cafe"]);
    let receiver = Program::start(command);
    let let_in = |peer: &mut Peer| {
        peer.expect("rlogin:eve");
        peer.send("ok:hello\n");
        peer.expect("join:cafe");
    };
    let (first, mut peer) = accept(&listeners);
    let_in(&mut peer);
    peer.send("ok:come in\n");
    // A connection that was good and is lost has had no turn.
    drop(peer);
    let mut turn = first;
    // The third is what TLS says to somebody who does not speak it.
    for answer in ["err:the server is full\n", "220 mail\n", "\x15\x03\x03\0\x02\x02\x46", ""] {
        let (at, mut peer) = accept(&listeners);
        assert_eq!(at, turn, "before {answer:?}: {receiver:?}");
        peer.expect("rlogin:eve");
        peer.send(answer);
        turn = 1 - turn;
    }
    let (at, mut peer) = accept(&listeners);
    assert_eq!(at, turn, "{receiver:?}");
    let_in(&mut peer);
    peer.send("err:Redis is away\n");
    let (at, mut peer) = accept(&listeners);
    assert_eq!(at, 1 - turn, "{receiver:?}");
    let_in(&mut peer);
    peer.send("ok:come in\ndelivery:cafe:al:there you are\n");
    receiver.expect_stdout("al: there you are\n");
}
