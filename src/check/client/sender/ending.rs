//! How a sender ends: by /quit, at the end of its input, or because the server is gone.

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::{Scene, Stage, assert_fails};
use crate::check::program::ended;
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "sender/ending",
        [
            case(
                "quit-waits",
                "After /quit, it waits for the answer, and ends with 0.",
                quit_waits,
            ),
            case(
                "quit-err",
                "After /quit, an err is printed like any other, and it ends with 0.",
                |stage: &mut Stage| {
                    let mut scene = quit(stage)?;
                    scene.server.send("err:you stay\n")?;
                    scene.expect_success()?;
                    scene.expect_stderr("you stay")
                },
            )
            .full(),
            case(
                "quit-closed",
                "After /quit, it ends, too, if the server closes and does not answer.",
                |stage: &mut Stage| {
                    let mut scene = quit(stage)?;
                    scene.server.half_close();
                    scene.program.finish("its end: the server has closed").map(drop)
                },
            )
            .full(),
            case("after-quit", "What is typed after /quit is not sent.", |stage: &mut Stage| {
                let mut scene = quit(stage)?;
                scene.program.type_in("too late\n");
                scene.server.send("ok:bye\n")?;
                scene.expect_success()?;
                scene.server.expect_end()
            }),
            case(
                "end-of-input",
                "At the end of its input it closes, without quit:, and ends with 0.",
                |stage: &mut Stage| {
                    let mut scene = stage.logged_in()?;
                    scene.program.type_in("hello\n");
                    scene.program.end_input();
                    scene.server.expect("sendall:hello").given()?;
                    scene.server.send("ok:sent\n")?;
                    scene.server.expect_end()?;
                    scene.expect_success()
                },
            )
            .full(),
            case("last-answer", "It does not end before its last line is answered.", last_answer),
            case(
                "nothing-to-say",
                "Without any input, it logs in, and ends with 0.",
                |stage: &mut Stage| {
                    let mut scene = stage.logged_in()?;
                    scene.program.end_input();
                    scene.server.expect_end()?;
                    scene.expect_success()?;
                    scene.expect_silence()
                },
            )
            .full(),
            case(
                "server-gone",
                "If the server closes instead, that is one line, and it fails.",
                gone,
            )
            .full(),
            case(
                "server-reset",
                "If the connection is reset instead, that is one line, and it fails.",
                |stage: &mut Stage| {
                    let mut scene = stage.logged_in()?;
                    scene.program.type_in("hello\n");
                    scene.server.expect("sendall:hello").given()?;
                    assert_fails(&mut scene.lose_server(), "the connection was reset")
                },
            )
            .full(),
            case(
                "server-gone-before",
                "If the server is gone before something is typed, that is one line, and it fails.",
                |stage: &mut Stage| {
                    let mut scene = stage.logged_in()?;
                    scene.program.rest();
                    let mut program = scene.lose_server();
                    program.type_in("hello\nmore\n");
                    program.end_input();
                    assert_fails(&mut program, "the connection was lost")
                },
            )
            .full(),
            case(
                "no-end",
                "A last line that the server closes without its end is a line.",
                |stage: &mut Stage| {
                    let mut scene = stage.logged_in()?;
                    scene.program.type_in("hello\n");
                    scene.program.end_input();
                    scene.server.expect("sendall:hello").given()?;
                    scene.server.send("err:no end")?;
                    scene.server.half_close();
                    scene.program.finish("its end")?;
                    scene.expect_stderr("no end")
                },
            )
            .full(),
        ],
    )
}

/// A sender that waits for the answer to its `quit`.
fn quit(stage: &Stage) -> Step<Scene> {
    let mut scene = stage.logged_in()?;
    scene.program.type_in("/quit\n");
    scene.server.expect_tag("quit:").given()?;
    Ok(scene)
}

/// It is at rest, and runs.
fn assert_waits(scene: &mut Scene, expected: &str) -> Step {
    scene.program.rest();
    match scene.program.status() {
        None => Ok(()),
        Some(status) => Err(scene.program.fail(expected, ended(status))),
    }
}

fn quit_waits(stage: &mut Stage) -> Step {
    let mut scene = quit(stage)?;
    assert_waits(&mut scene, "that it waits for the answer to quit:")?;
    scene.server.send("ok:bye\n")?;
    scene.expect_success()
}

fn last_answer(stage: &mut Stage) -> Step {
    let mut scene = stage.logged_in()?;
    scene.program.type_in("hello\n");
    scene.program.end_input();
    scene.server.expect("sendall:hello").given()?;
    assert_waits(&mut scene, "that it waits for the answer to sendall:")?;
    // The course does not say what comes at the end of input: it may say quit:, or fail.
    if stage.is_full() {
        scene.server.send("err:no\n")?;
        scene.server.expect_end()?;
        scene.expect_success()?;
    } else {
        scene.server.send("err:no\nok:bye\n")?;
        scene.program.finish("its end")?;
    }
    scene.expect_stderr("no")
}

fn gone(stage: &mut Stage) -> Step {
    let mut scene = stage.logged_in()?;
    scene.program.type_in("hello\nmore\n");
    scene.server.expect("sendall:hello").given()?;
    scene.server.half_close();
    scene.expect_failure("the server has closed the connection")?;
    scene.expect_one_line("the server has closed the connection")
}
