//! A server as a program: its arguments, its port, its output, and its end.

use std::net::{Ipv6Addr, TcpListener};

use rustix::process::Signal;

use super::stage::{Stage, nobody};
use crate::check::case::{Case, case, topic};
use crate::check::peer::Place;
use crate::check::program::{Program, ended};
use crate::check::story::shown;
use crate::check::subject::loopback;
use crate::check::verdict::{Finding, Given, Step, Stop};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/running",
        [
            case("port-taken", "If its port is taken, it says so on stderr and fails.", port_taken),
            case("no-arguments", "Without a port, it says how it is used and fails.", no_arguments)
                .full(),
            case("silent-stdout", "It never writes to stdout.", silent),
            case("ipv4", "It listens on IPv4.", |stage| listens(stage, "127.0.0.1", 0)),
            case("ipv6", "It listens on IPv6, too.", ipv6).full(),
            case(
                "sigterm",
                "On SIGTERM, what was sent arrives, and it ends with 0.",
                |stage: &mut Stage| stops(stage, Signal::TERM),
            )
            .full(),
            case(
                "sigint",
                "On SIGINT, what was sent arrives, and it ends with 0.",
                |stage: &mut Stage| stops(stage, Signal::INT),
            )
            .full(),
        ],
    )
}

/// The program fails, with a line on standard error, and nothing on standard output. The course does
/// not say how many lines.
fn assert_fails(stage: &Stage, program: &mut Program, why: &str) -> Step {
    let status = program.finish(&format!("it to end: {why}"))?;
    if status.code().is_none_or(|code| code == 0) {
        return Err(program.fail(format!("a status that is not 0: {why}"), ended(status)));
    }
    let stderr = program.stderr(|_| true);
    let lines = stderr.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    if lines == 0 || stage.is_full() && lines > 1 {
        return Err(program.fail("one line on stderr", shown(&stderr)));
    }
    Ok(())
}

fn port_taken(stage: &mut Stage) -> Step {
    let started = stage.started()?;
    let port = started.taken_port().ok_or_else(nobody)?;
    let program = started.start_at(&[port.to_string()], stage.story());
    let mut program = program.map_err(|why| Stop::Error(Finding::new("a second server", why)))?;
    assert_fails(stage, &mut program, "the port is taken")
}

fn no_arguments(stage: &mut Stage) -> Step {
    let program = stage.started()?.start_at(&[], stage.story());
    let mut program = program.map_err(|why| Stop::Error(Finding::new("a server", why)))?;
    assert_fails(stage, &mut program, "there is no port")
}

fn silent(stage: &mut Stage) -> Step {
    let mut server = stage.take_server()?;
    let mut bob = stage.sender_in("bob", "cafe")?;
    bob.err("nonsense:").given()?;
    bob.ok("sendall:hello").given()?;
    bob.ok("quit:").given()?;
    server.end();
    let stdout = server.stdout(|_| false);
    if stdout.is_empty() { Ok(()) } else { Err(server.fail("nothing on stdout", shown(&stdout))) }
}

fn ipv6(stage: &mut Stage) -> Step {
    stage.started()?;
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return Err(Stop::Skip("this machine has no IPv6".into()));
    }
    listens(stage, "::1", 1)
}

/// There is a server on one of the addresses of this machine.
fn listens(stage: &mut Stage, name: &str, number: usize) -> Step {
    let port = stage.started()?.taken_port().ok_or_else(nobody)?;
    let place = Place::Inet(vec![loopback(port)[number]]);
    let guest = stage.connect_to(&place, "bob");
    let mut bob = guest.map_err(|stop| match stop {
        Stop::Error(finding) => {
            Stop::Fail(Finding { expected: format!("a connection to {name}"), ..finding })
        }
        other => other,
    })?;
    bob.log_in("slogin").map(drop)
}

fn stops(stage: &mut Stage, signal: Signal) -> Step {
    const TEXTS: usize = 100;
    let mut server = stage.take_server()?;
    let mut eve = stage.receiver_in("eve", "cafe")?;
    let mut bob = stage.sender_in("bob", "cafe")?;
    let texts: Vec<_> = (0..TEXTS).map(|number| format!("text {number}")).collect();
    bob.send(texts.iter().map(|text| format!("sendall:{text}\n")).collect::<String>())?;
    (0..TEXTS).try_for_each(|_| bob.expect_ok().map(drop)).given()?;
    server.signal(signal);
    texts.iter().try_for_each(|text| eve.expect(bob.delivery("cafe", text)))?;
    eve.expect_end()?;
    let status = server.finish("an end after the signal")?;
    if status.code() == Some(0) {
        return Ok(());
    }
    Err(server.fail("exit status 0 after the signal", ended(status)))
}
