//! Clients of a host that has several addresses, with a server at each.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::engine::Engine;
use crate::harness::terminal::Terminal;
use crate::harness::{Peer, Program, Server, chatbox, left_out};

/// A server at one address.
fn server_at(engine: &Engine, address: &str, port: u16) -> Server {
    let (url, port) = (engine.url(), port.to_string());
    Server::run(chatbox(["server", "--bind", address, "--redis", &url, &port]))
}

/// One who speaks there.
fn sender_at(address: &str, port: u16) -> Peer {
    let mut peer = Peer::over(TcpStream::connect((address, port)).unwrap());
    peer.enter("slogin", "al", "cafe");
    peer
}

/// Runs a command that finds `both`, a host with the addresses of loopback in IPv6 and IPv4; `None` if
/// this user may not have such a host.
fn with_both(engine: &Engine, command: &Command) -> Option<Command> {
    let hosts = engine.folder().join("hosts");
    fs::write(&hosts, "::1 both\n127.0.0.1 both\n").unwrap();
    let mut all = Command::new("unshare");
    all.args(["--map-root-user", "--mount", "sh", "-c"]);
    all.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(hosts);
    all.arg(command.get_program()).args(command.get_args());
    Some(all).filter(|_| {
        let mut try_it = Command::new("unshare");
        let tried = try_it.args(["--map-root-user", "--mount", "true"]).status();
        tried.is_ok_and(|status| status.success()) && TcpListener::bind("[::1]:0").is_ok()
    })
}

#[test]
fn a_client_goes_on_at_the_next_address_of_its_host() {
    let Some(engine) = Engine::start() else { return };
    let command = chatbox(["receiver", "--reconnect", "both"]);
    let Some(mut command) = with_both(&engine, &command) else {
        return left_out("there can be no host with two addresses");
    };
    let mut one = server_at(&engine, "127.0.0.1", 0);
    let mut other = server_at(&engine, "::1", one.port);
    let port = one.port;
    command.args([&port.to_string(), "eve", "cafe"]);
    let receiver = Program::start(command);
    // Whoever has not joined yet has missed it.
    let mut witness = sender_at("127.0.0.1", port);
    let is_heard =
        |text: &str| String::from_utf8_lossy(&receiver.stdout()).contains(&format!("al: {text}"));
    crate::harness::wait_until(
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
    let Some(mut command) = with_both(&engine, &chatbox(["chat", "both"])) else {
        return left_out("there can be no host with two addresses");
    };
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
