//! How a client is called, and what it says if that makes no sense or there is no server.

use std::process::ExitStatus;

use super::stage::{Stage, assert_fails, assert_one_line, assert_status, closed_port, listen};
use crate::check::case::{Case, case, topic};
use crate::check::program::Program;
use crate::check::verdict::Step;

pub(super) fn cases(client: &str) -> Vec<Case<Stage>> {
    let usage = "prints how it is used on stderr.";
    topic(
        &format!("{client}/calling"),
        [
            case("no-arguments", format!("Without arguments, it {usage}"), |stage: &mut Stage| {
                refuses(stage, &[], "there are no arguments")
            }),
            case("too-few-arguments", format!("With one too few, it {usage}"), |stage| {
                miscounted(stage, |args| drop(args.pop()))
            }),
            case("too-many-arguments", format!("With one too many, it {usage}"), |stage| {
                miscounted(stage, |args| args.push("more".into()))
            }),
            case(
                "bad-port",
                "A port is a number from 1 to 65535: else it says so, and ends with 2.",
                |stage: &mut Stage| {
                    for port in ["x", "0", "65536", "80x", "123456789012345678901234567890"] {
                        let args = stage.arguments("localhost", port);
                        refuses(stage, &args, &format!("{port} is no port"))?;
                    }
                    Ok(())
                },
            )
            .full(),
            case(
                "no-host",
                "A host that nobody knows is told in one line, and it ends with 1.",
                |stage: &mut Stage| {
                    // No host can have this name, so no name server is waited for.
                    let args = stage.arguments("no such host", "5000");
                    fails(stage, &args, "there is no such host")
                },
            )
            .full(),
            case("refused", "If nobody listens, it says so on stderr, and fails.", refused),
        ],
    )
}

/// With these arguments it tries, and fails with 1 and one line.
fn fails(stage: &mut Stage, args: &[String], why: &str) -> Step {
    let mut program = stage.start_with(args)?;
    program.end_input();
    assert_fails(&mut program, why)
}

/// With these arguments it is used wrongly, and says so.
fn refuses(stage: &mut Stage, args: &[String], why: &str) -> Step {
    let mut program = stage.start_with(args)?;
    program.end_input();
    let status = program.finish(&format!("its end: {why}"))?;
    assert_misused(stage, &mut program, status, why)
}

/// It has told so in a line, and the status is 2. The course asks only that it tells.
fn assert_misused(stage: &Stage, program: &mut Program, status: ExitStatus, why: &str) -> Step {
    if stage.is_full() {
        assert_status(program, status, 2, why)?;
    }
    assert_one_line(program, stage.is_full(), why)
}

/// With these arguments, one too many or too few, it fails, and does not connect to the server.
fn miscounted(stage: &mut Stage, change: impl Fn(&mut Vec<String>)) -> Step {
    let (listeners, port) = listen()?;
    let mut args = stage.arguments("localhost", &port.to_string());
    change(&mut args);
    let mut program = stage.start_with(&args)?;
    program.end_input();
    let expected = "its end: the number of arguments is wrong";
    match stage.accept(&listeners, &mut program) {
        Ok(_) => return Err(program.fail(expected, "a connection")),
        Err(stop) if program.status().is_none() => return Err(stop),
        Err(_) => {}
    }
    let status = program.finish(expected)?;
    assert_misused(stage, &mut program, status, expected)
}

fn refused(stage: &mut Stage) -> Step {
    let (_socket, port) = closed_port()?;
    let args = stage.arguments("localhost", &port.to_string());
    let why = "nobody listens there";
    if stage.is_full() {
        return fails(stage, &args, why);
    }
    // The reference's status is 0.
    let mut program = stage.start_with(&args)?;
    program.end_input();
    program.finish(&format!("its end: {why}"))?;
    assert_one_line(&mut program, false, why)
}
