//! A receiver's join: what it says, that it waits, and what it makes of an answer.

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::{Scene, Stage};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "receiver/joining",
        [
            case("join", "Once its login is answered, it sends join:ROOM.", |stage: &mut Stage| {
                stage.logged_in()?.expect_join()
            }),
            case(
                "refused",
                "If it is refused, it prints the reason, exactly, and fails.",
                |stage: &mut Stage| {
                    for reason in ["the room is full", "no: not  there"] {
                        let mut scene = asked(stage)?;
                        scene.server.send(format!("err:{reason}\n"))?;
                        scene.expect_failure("its join was refused")?;
                        scene.expect_stderr(reason)?;
                        if stage.is_full() {
                            scene.expect_stdout_now("")?;
                        }
                    }
                    Ok(())
                },
            ),
            case(
                "strange-answer",
                "An answer that is none is one line, and it fails.",
                |stage: &mut Stage| {
                    for answer in ["hello\n", "joined:cafe\n", "okay:joined\n"] {
                        let mut scene = asked(stage)?;
                        scene.server.send(answer)?;
                        scene.expect_failure("its join was answered with something else")?;
                        scene.expect_one_line("its join was answered with something else")?;
                    }
                    Ok(())
                },
            )
            .full(),
            case(
                "closed",
                "If it is not answered but closed, that is one line, and it fails.",
                |stage: &mut Stage| {
                    let mut scene = asked(stage)?;
                    scene.server.half_close();
                    scene.expect_failure("the server has closed the connection")?;
                    scene.expect_one_line("the server has closed the connection")
                },
            )
            .full(),
            case("quiet", "In its room, it sends nothing more.", |stage: &mut Stage| {
                let mut scene = stage.in_room()?;
                scene.expect_patience("nothing after the join")?;
                scene.deliver("bob", "hi")?;
                scene.expect_patience("nothing after a delivery")
            }),
        ],
    )
}

/// A receiver that waits for the answer to its join.
fn asked(stage: &Stage) -> Step<Scene> {
    let mut scene = stage.logged_in()?;
    scene.expect_join().given()?;
    Ok(scene)
}
