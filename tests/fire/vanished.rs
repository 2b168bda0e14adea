//! A peer that vanished without a word, as when a cable is pulled. Needs root, for a network of
//! its own, and minutes.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Peer, Program, Server};

/// A network with one other host, which has a cable.
struct Cable {
    name: String,
    here: String,
    there: String,
}

impl Cable {
    fn new(number: u8) -> Self {
        let name = format!("chatbox{}x{number}", std::process::id());
        let subnet = format!("10.{}.{number}", 200 + std::process::id() % 50);
        let cable = Cable { here: format!("{subnet}.1"), there: format!("{subnet}.2"), name };
        let Cable { name, here, there } = &cable;
        let [inner, outer] = ["i", "o"].map(|end| link(end, number));
        ip(&format!("netns add {name}"));
        ip(&format!("link add {outer} type veth peer name {inner}"));
        ip(&format!("link set {inner} netns {name}"));
        ip(&format!("addr add {here}/24 dev {outer}"));
        ip(&format!("link set {outer} up"));
        ip(&format!("-n {name} addr add {there}/24 dev {inner}"));
        ip(&format!("-n {name} link set {inner} up"));
        cable
    }

    /// A receiver on the other host.
    fn receiver(&self, server: &Server, user: &str, room: &str) -> Program {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, env!("CARGO_BIN_EXE_chatbox"), "receiver"]);
        command.args([&self.here, &server.port.to_string(), user, room]);
        let program = Program::start(command);
        server.program.expect_stderr(&format!("receiver {user} ("));
        server.program.expect_stderr(&format!("joined room {room}"));
        program
    }

    fn pull(&self, number: u8) {
        ip(&format!("-n {} link set {} down", self.name, link("i", number)));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// What an end of a cable is called. Another run of the tests may have cables, too.
fn link(end: &str, number: u8) -> String {
    format!("{end}{}x{number}", std::process::id())
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {words}: {output:?}");
}

/// Returns how long it takes until the receiver is gone, looking for so long at the most.
fn notice(server: &Server, most: Duration) -> Duration {
    let begun = Instant::now();
    while server.reports("receivers,") > 0 {
        assert!(begun.elapsed() < most, "not noticed after {most:?}: {}", server.report());
        thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(server.reports("clients lost"), 1, "{}", server.report());
    begun.elapsed()
}

#[test]
#[ignore = "needs root, and takes over a minute"]
fn a_vanished_peer_is_noticed_in_a_quiet_room() {
    let server = Server::start();
    let cable = Cable::new(1);
    let receiver = cable.receiver(&server, "eve", "cafe");
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hi");
    receiver.expect_stdout("bob: hi");
    // Its system confirms that within this time, so that nothing is left to be confirmed.
    thread::sleep(Duration::from_secs(2));
    cable.pull(1);
    let took = notice(&server, Duration::from_secs(120));
    println!("noticed after {took:?}");
}

#[test]
#[ignore = "needs root, and takes half a minute"]
fn a_vanished_peer_is_noticed_soon_when_data_is_waiting() {
    let server = Server::start();
    let cable = Cable::new(2);
    let _receiver = cable.receiver(&server, "eve", "cafe");
    cable.pull(2);
    Peer::sender(server.port, "bob", "cafe").ok("sendall:hello?");
    let took = notice(&server, Duration::from_secs(30));
    println!("noticed after {took:?}");
}
