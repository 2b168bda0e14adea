//! A server as a program: its arguments, its port, its output, and its end.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::process::Signal;

use super::stage::{Stage, nobody};
use super::waiting::flood;
use crate::check::case::{Case, case, topic};
use crate::check::peer::Place;
use crate::check::program::{Program, ended};
use crate::check::story::shown;
use crate::check::verdict::{Finding, Given, Step, Stop};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/running",
        [
            case("port-taken", "If its port is taken, it says so on stderr and fails.", port_taken),
            case("no-arguments", "Without a port, it says how it is used and fails.", |stage| {
                refuses(stage, &[])
            })
            .full(),
            case(
                "bad-port",
                "A port is a number up to 65535: else it says so and fails.",
                |stage| ["x", "65536", "-1"].iter().try_for_each(|port| refuses(stage, &[port])),
            )
            .full(),
            case("silent-stdout", "It never writes to stdout.", silent),
            case("every-interface", "It listens on every interface.", |stage: &mut Stage| {
                let port = stage.started()?.taken_port().ok_or_else(nobody)?;
                listens(stage, (Ipv4Addr::new(127, 0, 0, 2), port).into())
            })
            .full(),
            case("ipv4", "It listens on IPv4.", |stage: &mut Stage| {
                let port = stage.started()?.taken_port().ok_or_else(nobody)?;
                listens(stage, (Ipv4Addr::LOCALHOST, port).into())
            }),
            case("ipv6", "It listens on IPv6, too.", ipv6).full(),
            case(
                "sigterm",
                "On SIGTERM, what was sent arrives, and it ends with 0.",
                |stage: &mut Stage| {
                    ending(stage, |stage, server| stops(stage, server, Signal::TERM))
                },
            )
            .full(),
            case(
                "sigint",
                "On SIGINT, what was sent arrives, and it ends with 0.",
                |stage: &mut Stage| {
                    ending(stage, |stage, server| stops(stage, server, Signal::INT))
                },
            )
            .full(),
            case(
                "stop-meanwhile",
                "What is answered with ok while it stops arrives, too.",
                |stage: &mut Stage| ending(stage, stops_meanwhile),
            )
            .full(),
            case(
                "stop-queued",
                "On SIGTERM, what waits in a queue arrives at a receiver that reads.",
                |stage: &mut Stage| ending(stage, stops_with_queue),
            )
            .full(),
            case(
                "stop-unread",
                "On SIGTERM, it ends although a receiver does not read.",
                |stage: &mut Stage| ending(stage, stops_beside_unread),
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

/// With these arguments, it fails.
fn refuses(stage: &mut Stage, args: &[&str]) -> Step {
    let words: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let program = stage.started()?.start_at(&words, stage.story());
    let mut program = program.map_err(|why| Stop::Error(Finding::new("a server", why)))?;
    assert_fails(stage, &mut program, &format!("its arguments are {args:?}"))
}

fn silent(stage: &mut Stage) -> Step {
    let mut server = stage.restart_on_terminal()?;
    let played = play(stage);
    stage.with_end_of(&mut server, played)?;
    let program = &mut server.program;
    // Nor when it is told to end; how it ends is for other cases.
    program.signal(Signal::TERM);
    let _ = program.finish("its end");
    program.end();
    let stdout = program.stdout(|_| false);
    if stdout.is_empty() { Ok(()) } else { Err(program.fail("nothing on stdout", shown(&stdout))) }
}

/// What people do, and what goes wrong; how it is answered is for other cases.
fn play(stage: &Stage) -> Step {
    let mut eve = stage.receiver_in("eve", "cafe")?;
    let mut bob = stage.sender_in("bob", "cafe")?;
    bob.ok("sendall:hello").given()?;
    eve.expect(bob.delivery("cafe", "hello")).given()?;
    for bad in ["nonsense:", "", "slogin:again", &"x".repeat(1000)] {
        bob.say(bad)?;
        bob.line("an answer").given()?;
    }
    let mut ann = stage.connect("ann")?;
    ann.err("slogin:no name").given()?;
    stage.sender_in("dan", "cafe")?.reset();
    stage.receiver_in("fay", "cafe")?.close();
    for line in ["sendall:to one who is gone", "sendall:again", "leave:", "join:bar", "quit:"] {
        bob.ok_in_the_end(line).given()?;
    }
    Ok(())
}

fn ipv6(stage: &mut Stage) -> Step {
    let port = stage.started()?.taken_port().ok_or_else(nobody)?;
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return Err(Stop::Skip("this machine has no IPv6".into()));
    }
    listens(stage, (Ipv6Addr::LOCALHOST, port).into())
}

/// There is a server on one of the addresses of this machine.
fn listens(stage: &mut Stage, address: SocketAddr) -> Step {
    let guest = stage.connect_to(&Place::Inet(vec![address]), "bob");
    let mut bob = guest.map_err(|stop| match stop {
        Stop::Error(finding) => {
            Stop::Fail(Finding { expected: format!("a connection to {}", address.ip()), ..finding })
        }
        other => other,
    })?;
    bob.log_in("slogin").map(drop)
}

/// Ends the server in some way, which may end before its time.
fn ending(stage: &mut Stage, end: impl FnOnce(&Stage, &mut Program) -> Step) -> Step {
    let mut server = stage.take_server()?;
    let outcome = end(stage, &mut server.program);
    stage.with_end_of(&mut server, outcome)
}

/// It ends with 0.
fn assert_ends(server: &mut Program) -> Step {
    let status = server.finish("an end after the signal")?;
    if status.code() == Some(0) {
        return Ok(());
    }
    Err(server.fail("exit status 0 after the signal", ended(status)))
}

fn stops(stage: &Stage, server: &mut Program, signal: Signal) -> Step {
    const TEXTS: usize = 100;
    let mut eve = stage.receiver_in("eve", "cafe")?;
    let mut bob = stage.sender_in("bob", "cafe")?;
    let ann = stage.connect("ann")?;
    let texts: Vec<_> = (0..TEXTS).map(|number| format!("text {number}")).collect();
    texts.iter().try_for_each(|text| bob.ok(format!("sendall:{text}")).map(drop)).given()?;
    server.signal(signal);
    texts.iter().try_for_each(|text| eve.expect(bob.delivery("cafe", text)))?;
    [eve, bob, ann].iter_mut().try_for_each(|guest| guest.expect_end())?;
    assert_ends(server)
}

/// Of what comes together with the signal, nobody can say how much is carried out; but what was
/// answered with `ok` was.
fn stops_meanwhile(stage: &Stage, server: &mut Program) -> Step {
    const TEXTS: usize = 100;
    let mut eve = stage.receiver_in("eve", "cafe")?;
    let mut bob = stage.sender_in("bob", "cafe")?;
    let lines: Vec<_> = (0..TEXTS).map(|number| bob.delivery("cafe", number.to_string())).collect();
    bob.send((0..TEXTS).map(|number| format!("sendall:{number}\n")).collect::<String>())?;
    server.signal(Signal::TERM);
    let answers = bob.rest()?;
    let oks = answers.iter().filter(|answer| answer.starts_with(b"ok:")).count();
    lines.iter().take(oks).try_for_each(|line| eve.expect(line))?;
    assert_ends(server)
}

/// More than a system keeps for a connection, so that some of it is in the server.
fn stops_with_queue(stage: &Stage, server: &mut Program) -> Step {
    const TEXTS: usize = 22_000;
    let mut eve = stage.receiver_in("eve", "cafe")?;
    let mut bob = stage.sender_in("bob", "cafe")?;
    let text = |number: usize| format!("{number}{}", "x".repeat(230));
    let lines: String = (0..TEXTS).map(|number| format!("sendall:{}\n", text(number))).collect();
    let answered = flood(&mut bob, &lines, TEXTS);
    server.signal(Signal::TERM);
    for number in 0..answered {
        let want = bob.delivery("cafe", text(number));
        // A server that cuts off those who do not read may have done so before.
        let Some(line) = eve.line_or_cut(&shown(&want))? else { return assert_ends(server) };
        if line.strip_suffix(b"\r").unwrap_or(&line) != want {
            return Err(eve.fail(shown(&want), shown(&line)));
        }
    }
    assert_ends(server)
}

fn stops_beside_unread(stage: &Stage, server: &mut Program) -> Step {
    const TEXTS: usize = 22_000;
    /// Nobody says how much time it may take, but that it is bounded.
    const TIME: Duration = Duration::from_secs(30);
    let fay = stage.receiver_in("fay", "cafe")?;
    fay.read_little();
    let mut bob = stage.sender_in("bob", "cafe")?;
    let mut ann = stage.connect("ann")?;
    ann.send("slogin:ha")?;
    flood(&mut bob, &format!("sendall:{}\n", "x".repeat(246)).repeat(TEXTS), TEXTS);
    server.has_time(TIME);
    server.signal(Signal::TERM);
    assert_ends(server)
}
