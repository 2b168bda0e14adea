//! Answers: late, early, in pieces, and errors.

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::{Scene, Stage};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "sender/answers",
        [
            case(
                "err",
                "An err is its payload, exactly, as one line on stderr; it goes on.",
                |stage| errs(stage, &[b"not in a room", b"no: really: not"]),
            ),
            case(
                "err-of-bytes",
                "The payload of an err may be bytes of any kind, or none.",
                |stage: &mut Stage| {
                    errs(
                        stage,
                        &[b"na\xc3\xafve", b"\xff\xfe", b"a\tb", b" spaces around ", b"", b"%s%n"],
                    )
                },
            )
            .full(),
            case("long-err", "An err of 255 bytes is printed whole.", |stage| {
                errs(stage, &[&[b'e'; 250]])
            }),
            case("very-long-err", "An err of 512 bytes is printed whole.", |stage| {
                errs(stage, &[&[b'e'; 507]])
            })
            .full(),
            case("err-crlf", "An answer may end in \\r\\n.", |stage: &mut Stage| {
                let mut scene = said(stage)?;
                scene.server.send("err:no\r\n")?;
                ends(scene, b"no")
            }),
            case("many-errs", "However many requests get err, it goes on.", |stage: &mut Stage| {
                let mut scene = stage.logged_in()?;
                for number in 0..20 {
                    scene.program.type_in(format!("{number}\n"));
                    scene.server.expect(format!("sendall:{number}"))?;
                    scene.server.send("err:no\n")?;
                }
                ends(scene, &b"no\n".repeat(20)[..59])
            }),
            case("ok-is-silent", "An ok prints nothing on stderr.", |stage: &mut Stage| {
                let mut scene = said(stage)?;
                scene.server.send("ok:sent, and everything is fine\n")?;
                scene.quits()?;
                scene.expect_silence()
            }),
            case(
                "silent-stdout",
                "In a pipe, nothing is printed on stdout: no prompt.",
                |stage: &mut Stage| {
                    let mut scene = said(stage)?;
                    scene.server.send("err:no\n")?;
                    scene.program.type_in("more\n");
                    scene.server.expect("sendall:more").given()?;
                    scene.server.send("ok:yes\n")?;
                    scene.quits()?;
                    scene.expect_stdout_now("")
                },
            )
            .full(),
            case(
                "silent-terminal",
                "At a terminal, too, there is no prompt if the input is a pipe.",
                |stage: &mut Stage| {
                    let mut scene = stage.start_at_terminal().given()?;
                    scene.log_in("welcome").given()?;
                    scene.program.type_in("hello\n");
                    scene.server.expect("sendall:hello").given()?;
                    scene.server.send("ok:sent\n")?;
                    scene.quits()?;
                    scene.expect_stdout_now("")
                },
            )
            .full(),
            case("in-pieces", "An answer may come in pieces.", |stage: &mut Stage| {
                let mut scene = said(stage)?;
                for byte in b"err:piece by piece" {
                    scene.server.send([*byte])?;
                }
                scene.expect_patience("nothing before the whole answer is there")?;
                scene.server.send("\n")?;
                ends(scene, b"piece by piece")
            }),
            case(
                "strange",
                "An answer that is neither ok nor err is one line on stderr: it goes on, or fails.",
                strange,
            )
            .full(),
            case("early", "Answers may be there before what they answer.", early),
        ],
    )
}

/// A sender that has said something and waits.
fn said(stage: &Stage) -> Step<Scene> {
    let mut scene = stage.logged_in()?;
    scene.program.type_in("hello\n");
    scene.server.expect("sendall:hello").given()?;
    Ok(scene)
}

/// It goes on, ends with 0, and has printed this line.
fn ends(mut scene: Scene, line: &[u8]) -> Step {
    scene.program.type_in("more\n");
    scene.server.expect("sendall:more")?;
    scene.server.send("ok:yes\n")?;
    scene.quits()?;
    scene.expect_stderr(line)
}

fn errs(stage: &mut Stage, reasons: &[&[u8]]) -> Step {
    for reason in reasons {
        let mut scene = said(stage)?;
        scene.server.send([b"err:", *reason, b"\n"].concat())?;
        ends(scene, reason)?;
    }
    Ok(())
}

fn strange(stage: &mut Stage) -> Step {
    for answer in ["hello\n", "delivery:cafe:bob:hi\n", "\n", "okay:sent\n", "ok\n"] {
        let mut scene = said(stage)?;
        scene.server.send(answer)?;
        scene.program.type_in("more\n");
        scene.expect_complaint()?;
    }
    Ok(())
}

/// As in the course's test: all is there at once.
fn early(stage: &mut Stage) -> Step {
    let mut scene = stage.start().given()?;
    scene.server.send("ok:logged on\nok:joined\nok:sent\nerr:no\nok:joined\nok:bye\n").given()?;
    scene.program.type_in("/join partytime\nHello World!\none more\n/join cafe\n/quit\n");
    scene.expect_login().given()?;
    for line in ["join:partytime", "sendall:Hello World!", "sendall:one more", "join:cafe"] {
        scene.server.expect(line)?;
    }
    scene.server.expect_tag("quit:")?;
    scene.expect_success()?;
    scene.expect_stderr("no")
}
