//! Lines that a server should not send: one line on standard error, and no crash.

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::Stage;
use crate::check::program::ended;
use crate::check::story::shown;
use crate::check::verdict::Step;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let tells = "is one line on stderr: it goes on, or fails.";
    topic(
        "receiver/strange",
        [
            case(
                "unknown-tag",
                format!("A line with an unknown tag {tells}"),
                |stage: &mut Stage| tell(stage, "hello:ROOM:bob:hi\n"),
            ),
            case("no-colon", format!("A line without a colon {tells}"), |stage: &mut Stage| {
                tell(stage, "delivery\n")
            }),
            case("empty-line", format!("An empty line {tells}"), |stage| tell(stage, "\n")),
            case(
                "cut-delivery",
                format!("A delivery without a text {tells}"),
                |stage: &mut Stage| {
                    tell(stage, "delivery:ROOM:bob\n")?;
                    tell(stage, "delivery:\n")
                },
            ),
            case("late-ok", format!("An ok that answers nothing {tells}"), |stage: &mut Stage| {
                tell(stage, "ok:again\n")
            }),
            case(
                "late-err",
                format!("An err that answers nothing {tells}"),
                |stage: &mut Stage| tell(stage, "err:the server stops\n"),
            ),
            case("too-long", format!("A line of many kilobytes {tells}"), |stage: &mut Stage| {
                tell(stage, &format!("delivery:ROOM:bob:{}\n", "x".repeat(100_000)))
            }),
            case("bytes", format!("A line of odd bytes {tells}"), |stage: &mut Stage| {
                tell(stage, "\0\u{ff}\x1b[2J\n")
            }),
        ]
        .map(Case::full),
    )
}

/// After such a line, in which ROOM is the room, there is one line on standard error, and the program goes on or ends by itself.
fn tell(stage: &mut Stage, line: &str) -> Step {
    let mut scene = stage.in_room()?;
    let line = line.replace("ROOM", &scene.room);
    scene.server.send([line.as_bytes(), &scene.delivery("bob", "after")].concat())?;
    scene.program.stderr(|bytes| bytes.ends_with(b"\n"));
    scene.program.rest();
    let stderr = scene.program.stderr(|_| true);
    let status = scene.program.status();
    if let Some(status) = status.filter(|status| status.code().is_none_or(|code| code == 0)) {
        return Err(scene.program.fail("that it goes on, or fails with a status", ended(status)));
    }
    let lines = stderr.iter().filter(|byte| **byte == b'\n').count();
    if lines != 1 {
        let came = if stderr.is_empty() { "nothing".into() } else { shown(&stderr) };
        return Err(scene.program.fail("one line on stderr", came));
    }
    if status.is_some() { Ok(()) } else { scene.expect_stdout("bob: after\n") }
}
