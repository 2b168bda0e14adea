//! The one rule: every line gets exactly one answer, in order.

use super::stage::Stage;
use super::states::err_in_each;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/answers",
        [
            case("empty-line", "An empty line gets one answer, err.", |stage: &mut Stage| {
                err_in_each(stage, &["\n", "\r\n"])
            }),
            case(
                "no-colon",
                "A line without a colon gets one answer, err.",
                |stage: &mut Stage| {
                    err_in_each(stage, &["quit\n", "leave\n", "hello world\n", "slogin ann\n"])
                },
            ),
            case(
                "no-tag",
                "A line that begins with its colon gets one answer, err.",
                |stage: &mut Stage| err_in_each(stage, &[":\n", ":hello\n", "::\n"]),
            )
            .full(),
            case(
                "reserved-tags",
                "senduser and empty are unknown tags, err.",
                |stage: &mut Stage| one_err(stage, &["senduser:bob:hello", "empty:"]),
            )
            .full(),
            case(
                "case-matters",
                "Tags are in small letters: SENDALL: is unknown, err.",
                |stage: &mut Stage| one_err(stage, &["SENDALL:hello", "Sendall:hello"]),
            )
            .full(),
            case(
                "space-before-tag",
                "A space before a tag makes it unknown, err.",
                |stage: &mut Stage| {
                    one_err(stage, &[" sendall:hello", "sendall :hello", "\tleave:"])
                },
            )
            .full(),
            case(
                "whole-tag",
                "A tag with more or fewer letters is unknown, err.",
                |stage: &mut Stage| {
                    one_err(stage, &["sendalls:hello", "send:hello", "s:hello", "quitter:", "le:"])
                },
            )
            .full(),
            case(
                "control-bytes",
                "A line of control bytes gets one answer, err.",
                |stage: &mut Stage| {
                    one_err(
                        stage,
                        &["\u{1b}[2J:\u{1}\u{7f}", "\0sendall:hello", "sendall\0:hello", "\u{ff}:"],
                    )
                },
            )
            .full(),
            case("many-bad", "However many lines of one client get err, it is served.", many_bad),
            case("plain", "An answer is at most 512 bytes, and has no control characters.", plain)
                .full(),
            case("in-order", "Lines that come together are answered in order.", in_order),
            case("in-pieces", "A line may come byte by byte.", in_pieces),
            case("two-and-a-half", "The rest of a line may come with the next.", two_and_a_half),
            case("crlf", "A line may end in \\r\\n, which is no part of its payload.", crlf),
            case("one-line", "An answer is one line, ok or err, a colon and a text.", one_line),
            case(
                "half-close",
                "Who shuts down its writing side still gets all answers.",
                half_close,
            ),
            case(
                "half-close-err",
                "Who shuts down its writing side still gets each err, too.",
                half_close_err,
            )
            .full(),
            case(
                "half-close-ends",
                "A sender that has shut down its writing side is closed once it is answered.",
                ends,
            )
            .full(),
            case("unread", "Answers that are not read yet are not lost.", unread).full().heavy(),
            case("colon-in-payload", "The first colon splits; a payload may hold more.", colons),
        ],
    )
}

/// Each of these lines gets one `err` of a sender in a room, which stays there.
fn one_err(stage: &mut Stage, lines: &[&str]) -> Step {
    let room = stage.name("cafe");
    for line in lines {
        let mut bob = stage.sender_in("bob", &room)?;
        bob.ok("sendall:before").given()?;
        bob.err(line)?;
        // The reference answers malformed lines twice.
        if stage.is_full() {
            bob.ok("sendall:after")?;
        } else {
            bob.ok_in_the_end("sendall:after")?;
        }
    }
    Ok(())
}

fn many_bad(stage: &mut Stage) -> Step {
    const TIMES: usize = 50;
    let mut bob = stage.sender_in("bob", &stage.name("cafe"))?;
    let mut lines = vec!["", "hello world", "nonsense:", "join:no room"];
    if stage.is_full() {
        lines.extend(["senduser:bob:hello", "slogin:again"]);
    }
    for line in lines {
        bob.send(format!("{line}\n").repeat(TIMES))?;
        if stage.is_full() {
            (0..TIMES).try_for_each(|_| bob.expect_err().map(drop))?;
            bob.ok("sendall:still here")?;
        } else {
            bob.ok_in_the_end("sendall:still here")?;
        }
    }
    Ok(())
}

fn plain(stage: &mut Stage) -> Step {
    let mut bob = stage.connect("bob")?;
    let mut answers = Vec::new();
    answers.push(bob.log_in("slogin")?);
    for line in ["\u{1b}[2J:", "\u{7}:\u{7}"] {
        answers.push(bob.err(line)?);
    }
    for line in ["no\u{1b}colon", &"x".repeat(2000)] {
        answers.push(stage.connect("ann")?.err(line).given()?);
    }
    answers.push(bob.err("join:\u{1b}[2J")?);
    answers.push(bob.ok(format!("join:{}", stage.name("cafe")))?);
    answers.push(bob.ok("sendall:\u{1b}[2J")?);
    answers.push(bob.ok("leave:\u{1b}[2J")?);
    answers.push(bob.ok("quit:\u{1b}[2J")?);
    let is_bad = |answer: &&Vec<u8>| {
        answer.len() > 512 - "err:\n".len() || answer.iter().any(u8::is_ascii_control)
    };
    match answers.iter().find(is_bad) {
        Some(answer) => Err(bob.fail("an answer in plain words", shown(answer))),
        None => Ok(()),
    }
}

fn in_order(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut bob = stage.connect("bob")?;
    let lines = format!(
        "slogin:{}\nsendall:1\njoin:{room}\nsendall:2\nnonsense:\nleave:\nleave:\njoin:{room}\n",
        bob.user
    );
    bob.send(lines)?;
    for tag in ["ok:", "err:", "ok:", "ok:", "err:", "ok:", "err:", "ok:"] {
        bob.expect_tag(tag)?;
    }
    // There is no ninth.
    bob.ok("sendall:3").map(drop)
}

fn in_pieces(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut bob = stage.connect("bob")?;
    let lines = format!("slogin:{}\r\njoin:{room}\nsendall:bit by bit\n", bob.user);
    for byte in lines.bytes() {
        bob.send([byte])?;
    }
    (0..3).try_for_each(|_| bob.expect_ok().map(drop))
}

fn two_and_a_half(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    for (piece, text) in [("sendall:1\nsenda", "1"), ("ll:2\nsend", "2"), ("all:3\n", "3")] {
        bob.send(piece)?;
        bob.expect_ok()?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}

fn crlf(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.connect("eve")?;
    eve.receives = true;
    let login = format!("rlogin:{}\r", eve.user);
    eve.ok(login)?;
    eve.ok(format!("join:{room}\r"))?;
    let mut bob = stage.connect("bob")?;
    let login = format!("slogin:{}\r", bob.user);
    bob.ok(login)?;
    bob.ok(format!("join:{room}\r"))?;
    bob.ok("sendall:with\r")?;
    bob.ok("sendall:without")?;
    // A server may write \r\n, too, but then everywhere.
    let with = eve.expect_either(bob.delivery(&room, "with"))?;
    let without = eve.expect_either(bob.delivery(&room, "without"))?;
    if with != without {
        return Err(eve.fail("no \\r in the text", "one in the first text, and none in the second"));
    }
    bob.ok("leave:\r")?;
    bob.ok("quit:\r").map(drop)
}

fn one_line(stage: &mut Stage) -> Step {
    let mut bob = stage.sender("bob")?;
    for _ in 0..3 {
        // Were an answer two lines, or none had an end, this would be out of step.
        bob.say(format!("join:{}", stage.name("cafe")))?;
        bob.expect_ok()?;
        bob.say("nonsense:")?;
        bob.expect_err()?;
    }
    Ok(())
}

fn half_close(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut bob = stage.connect("bob")?;
    let lines = format!("slogin:{}\njoin:{room}\nsendall:1\nsendall:2\nleave:\n", bob.user);
    bob.send(lines)?;
    bob.half_close();
    (0..5).try_for_each(|_| bob.expect_ok().map(drop))
}

fn half_close_err(stage: &mut Stage) -> Step {
    let mut bob = stage.connect("bob")?;
    bob.send("join:cafe\nsendall:hello\nleave:\njoin:bar\nsendall:hi\n")?;
    bob.half_close();
    for _ in 0..5 {
        bob.expect_err()?;
    }
    bob.expect_end()
}

fn ends(stage: &mut Stage) -> Step {
    let mut bob = stage.sender("bob")?;
    bob.half_close();
    bob.expect_end()
}

fn unread(stage: &mut Stage) -> Step {
    /// So many that their answers fill what the system keeps for a socket.
    const LINES: usize = 30_000;
    let mut bob = stage.sender("bob")?;
    bob.send("leave:\n".repeat(LINES))?;
    for _ in 0..LINES {
        bob.expect_err()?;
    }
    bob.ok(format!("join:{}", stage.name("cafe"))).map(drop)
}

fn colons(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    for text in ["at 12:30: lunch", ":", "::", ":first", "last:"] {
        bob.ok(format!("sendall:{text}")).given()?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}
