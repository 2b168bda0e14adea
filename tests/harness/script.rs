//! A server that a test plays itself, line by line.

use std::net::TcpListener;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};

use super::{PATIENCE, Peer, Program};

/// A server that a test plays itself.
pub struct Script {
    pub listener: TcpListener,
    pub port: String,
}

impl Script {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        Script { listener, port }
    }

    pub fn start(&self, applet: &str, args: &[&str]) -> Program {
        // A shell that runs the tests in the background makes them ignore SIGINT.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(env!("CARGO_BIN_EXE_chatbox"));
        command.args([applet, "localhost", &self.port]).args(args);
        Program::start(command)
    }

    pub fn accept(&self) -> Peer {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let patience = PATIENCE.try_into().unwrap();
        assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "nobody connects");
        Peer::over(self.listener.accept().unwrap().0)
    }

    /// A receiver that has been let into the room.
    pub fn receiver(&self) -> (Program, Peer) {
        let program = self.start("receiver", &["eve", "cafe"]);
        let mut peer = self.accept();
        peer.expect("rlogin:eve");
        peer.send("ok:hello\n");
        peer.expect("join:cafe");
        peer.send("ok:come in\n");
        (program, peer)
    }

    /// A sender that has logged in.
    pub fn sender(&self) -> (Program, Peer) {
        let program = self.start("sender", &["bob"]);
        let mut peer = self.accept();
        peer.expect("slogin:bob");
        peer.send("ok:hello\n");
        (program, peer)
    }
}
