//! How a receiver ends: by a signal, or because the server is gone.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::{Stage, assert_fails};
use crate::check::program::ended;
use crate::check::verdict::Step;

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "receiver/ending",
        [
            case("sigint", "It runs until SIGINT.", |stage| ends(stage, Signal::INT)),
            case("sigterm", "It runs until SIGTERM.", |stage| ends(stage, Signal::TERM)),
            case(
                "server-gone",
                "If the server closes, that is one line, and it fails.",
                |stage: &mut Stage| closes(stage, "\n"),
            )
            .full(),
            case(
                "server-reset",
                "If the connection is reset, that is one line, and it fails.",
                |stage: &mut Stage| {
                    let mut scene = stage.in_room()?;
                    scene.program.rest();
                    assert_fails(&mut scene.lose_server(), "the connection was reset")
                },
            )
            .full(),
            case(
                "no-end",
                "A last line that the server closes without its end is a line.",
                |stage| closes(stage, ""),
            )
            .full(),
            case(
                "not-before",
                "It does not end while the server is there.",
                |stage: &mut Stage| {
                    let mut scene = stage.in_room()?;
                    // Its input is none of its business.
                    scene.program.end_input();
                    scene.program.rest();
                    scene.deliver("bob", "hi")?;
                    scene.expect_stdout("bob: hi\n")
                },
            ),
        ],
    )
}

fn ends(stage: &mut Stage, signal: Signal) -> Step {
    let mut scene = stage.in_room()?;
    scene.deliver("bob", "hi")?;
    scene.program.rest();
    scene.program.signal(signal);
    let status = scene.program.finish("its end after the signal")?;
    // A crash is another signal.
    match status.signal() {
        Some(other) if other != signal.as_raw() => {
            Err(scene.program.fail("its end by the signal", ended(status)))
        }
        // The course does not ask what it says then.
        _ if stage.is_full() => scene.expect_no_more_than("bob: hi\n"),
        _ => Ok(()),
    }
}

/// The server closes after a delivery that ends so.
fn closes(stage: &mut Stage, end: &str) -> Step {
    let mut scene = stage.in_room()?;
    let line = scene.delivery("bob", "hi");
    scene.server.send([line.trim_ascii_end(), end.as_bytes()].concat())?;
    scene.server.half_close();
    scene.expect_failure("the server has closed the connection")?;
    scene.expect_stdout_now("bob: hi\n")?;
    scene.expect_one_line("the server has closed the connection")
}
