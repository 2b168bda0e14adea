//! A server as whoever runs it sees it: where it listens, and what it says when asked.

use std::net::{TcpListener, TcpStream};

use crate::harness::ports::free_port;
use crate::harness::{NO_HOST, Program, Server, Signal, chatbox, left_out, wait_until};

/// Whether it is a name that nobody knows, or an address that is somebody else's.
#[test]
fn what_cannot_be_listened_on_is_an_error_at_run_time() {
    for host in [NO_HOST, "127.0.0.1:5000", "", "192.0.2.1"] {
        let finished = Program::start(chatbox(["server", "--bind", host, "0"])).finish();
        finished.assert_one_error(1, "cannot listen on");
    }
    Program::start(chatbox(["server", "0", "--bind"])).finish().assert_one_error(2, "--bind");
}

#[test]
fn an_address_may_stand_in_brackets() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        return left_out(&format!("there is no IPv6: {error}"));
    }
    let server = Server::with(&["--bind", "[::1]"]);
    assert!(TcpStream::connect(("::1", server.port)).is_ok(), "{:?}", server.program);
}

#[test]
fn a_report_is_logged_however_quiet_the_server_is() {
    let port = free_port();
    let (address, port) = (("127.0.0.1", port), port.to_string());
    let server = Program::start(chatbox(["server", "-q", "--bind", "127.0.0.1", &port]));
    wait_until(
        || TcpStream::connect(address).is_ok(),
        || format!("it does not listen: {server:?}"),
    );
    server.signal(Signal::USR1);
    server.expect_stderr("end of report\n");
    server.signal(Signal::TERM);
    let finished = server.finish();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert!(stderr.contains("report: up "), "{finished:?}");
    assert!(!stderr.contains("listening") && !stderr.contains("stopping"), "{finished:?}");
}
