//! The login of a client: what it says, that it waits, and what it makes of an answer.

use super::stage::{Scene, Stage};
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step};

pub(super) fn cases(client: &str) -> Vec<Case<Stage>> {
    topic(
        &format!("{client}/login"),
        [
            case("first", "The first line that it sends is its login.", |stage: &mut Stage| {
                stage.start()?.expect_login()
            }),
            case("waits", "It sends nothing more before that is answered.", |stage: &mut Stage| {
                let mut scene = stage.start().given()?;
                scene.program.type_in("/join early\nhello\n");
                scene.expect_login().given()?;
                scene.expect_patience("nothing before the login is answered")
            }),
            case(
                "refused",
                "If it is refused, it prints the reason, exactly, and fails.",
                |stage: &mut Stage| {
                    let mut scene = refused(stage, b"this name is taken")?;
                    if stage.is_full() { scene.expect_stdout_now("") } else { Ok(()) }
                },
            ),
            case(
                "reason-with-colons",
                "A reason may hold colons and spaces.",
                |stage: &mut Stage| refused(stage, b"no: not  you:, sorry").map(drop),
            ),
            case(
                "reason-of-bytes",
                "A reason is bytes of any kind, or none.",
                |stage: &mut Stage| {
                    refused(stage, b"na\xc3\xafve \xff\xfe")?;
                    refused(stage, b" spaces around ")?;
                    refused(stage, b"").map(drop)
                },
            )
            .full(),
            case("reason-crlf", "An answer may end in \\r\\n.", |stage: &mut Stage| {
                let mut scene = asked(stage)?;
                scene.server.send("err:go away\r\n")?;
                scene.expect_failure("its login was refused")?;
                scene.expect_stderr("go away")
            }),
            case(
                "no-end",
                "A reason that the server closes without its end is one, too.",
                |stage: &mut Stage| {
                    let mut scene = asked(stage)?;
                    scene.server.send("err:no end")?;
                    scene.server.half_close();
                    scene.expect_failure("its login was refused")?;
                    scene.expect_stderr("no end")
                },
            )
            .full(),
            case("empty-ok", "An ok, to this and all else, may have no text.", empty_ok).full(),
            case(
                "strange-answer",
                "An answer that is none is one line, and it fails.",
                |stage: &mut Stage| {
                    for answer in ["hello\n", "delivery:a:b:c\n", "okay:welcome\n", "\n"] {
                        ends(stage, answer)?;
                    }
                    Ok(())
                },
            )
            .full(),
            case(
                "closed",
                "If it is not answered but closed, that is one line, and it fails.",
                |stage| ends(stage, ""),
            )
            .full(),
        ],
    )
}

/// A client that waits for the answer to its login.
fn asked(stage: &Stage) -> Step<Scene> {
    let mut scene = stage.start().given()?;
    scene.expect_login().given()?;
    Ok(scene)
}

fn refused(stage: &mut Stage, reason: &[u8]) -> Step<Scene> {
    let mut scene = asked(stage)?;
    scene.server.send([b"err:", reason, b"\n"].concat())?;
    scene.expect_failure("its login was refused")?;
    scene.expect_stderr(reason)?;
    Ok(scene)
}

/// No answer has a text, and it goes on.
fn empty_ok(stage: &mut Stage) -> Step {
    let mut scene = stage.start().given()?;
    scene.log_in("").given()?;
    if scene.receives {
        scene.come_in("")?;
        scene.deliver("bob", "hi")?;
        return scene.expect_stdout("bob: hi\n");
    }
    for text in ["hello", "more"] {
        scene.program.type_in(format!("{text}\n"));
        scene.server.expect(format!("sendall:{text}"))?;
        scene.server.send("ok:\n")?;
    }
    scene.quits()
}

/// After this, and the end of the connection, it fails with one line.
fn ends(stage: &Stage, answer: &str) -> Step {
    let mut scene = asked(stage)?;
    let why = format!("its login was answered with {}", shown(answer.as_bytes()));
    let why = if answer.is_empty() { "the server has closed the connection" } else { &why };
    if answer.is_empty() {
        scene.server.half_close();
    } else {
        // The connection stays: it would wait for ever.
        scene.server.send(answer)?;
    }
    scene.expect_failure(why)?;
    scene.expect_one_line(why)
}
