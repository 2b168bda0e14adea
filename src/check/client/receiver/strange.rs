//! Lines that a server should not send: one line on standard error, and no crash.

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::Stage;
use crate::check::verdict::Step;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let tells = "is one line on stderr: it goes on, or fails.";
    topic(
        "receiver/strange",
        [
            case(
                "unknown-tag",
                format!("A line with an unknown tag {tells}"),
                |stage: &mut Stage| {
                    tell(stage, "hello:ROOM:bob:hi\n")?;
                    tell(stage, "deliverys:ROOM:bob:hi\n")
                },
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
            case(
                "too-long",
                "A delivery of many kilobytes is printed, or is one line on stderr.",
                too_long,
            ),
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
    let goes_on = scene.expect_complaint()?;
    if goes_on { scene.expect_stdout("bob: after\n") } else { Ok(()) }
}

/// More than 754 bytes need not be accepted, but may be.
fn too_long(stage: &mut Stage) -> Step {
    let text = "x".repeat(100_000);
    let mut scene = stage.in_room()?;
    scene.server.send([scene.delivery("bob", &text), scene.delivery("bob", "after")].concat())?;
    let stderr = scene.program.stderr(|bytes| bytes.ends_with(b"\n"));
    if stderr.is_empty() && scene.program.status().is_none() {
        return scene.expect_stdout(format!("bob: {text}\nbob: after\n"));
    }
    let goes_on = scene.expect_complaint()?;
    if goes_on { scene.expect_stdout("bob: after\n") } else { Ok(()) }
}
