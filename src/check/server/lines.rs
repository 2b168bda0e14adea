//! Long lines, and lines that never end.

use super::stage::Stage;
use super::states::err_in_each;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step};

/// The longest line of a client, its end included.
const LONGEST: usize = 255;

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/lines",
        [
            case(
                "long",
                "A text arrives whose delivery is a line of 255 bytes, its end included.",
                long,
            ),
            case(
                "longest",
                "A line of 255 bytes, its end included, is carried out.",
                |stage: &mut Stage| longest(stage, "\n"),
            )
            .full(),
            case(
                "longest-crlf",
                "A line of 255 bytes, \\r\\n included, is carried out.",
                |stage| longest(stage, "\r\n"),
            )
            .full(),
            case("too-long", "A line of 256 bytes, its end included, gets one err.", too_long)
                .full(),
            case(
                "much-too-long",
                "A line of many kilobytes, in pieces too, gets one err.",
                much_too_long,
            )
            .full()
            .heavy(),
            case("survives-long", "A server survives a line of a megabyte.", survives),
            case("cut", "A line that its client leaves without an end is not carried out.", cut)
                .full(),
        ],
    )
}

/// A `sendall` of so many bytes, its end included; and its text.
fn line_of(length: usize, end: &str) -> (String, String) {
    let text: String = ('a'..='z').cycle().take(length - "sendall:".len() - end.len()).collect();
    (format!("sendall:{text}{end}"), text)
}

fn long(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    let text = "x".repeat(LONGEST - "\n".len() - bob.delivery(&room, "").len());
    bob.ok(format!("sendall:{text}"))?;
    eve.expect(bob.delivery(&room, text))
}

fn longest(stage: &mut Stage, end: &str) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    for length in [LONGEST - 1, LONGEST] {
        let (line, text) = line_of(length, end);
        bob.send(line)?;
        bob.expect_ok()?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}

/// Each of these is answered with one `err`, and nothing of it is delivered.
fn refused(stage: &mut Stage, lines: &[String]) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    for (number, line) in lines.iter().enumerate() {
        bob.send(line)?;
        bob.expect_err()?;
        let text = format!("after line {number}");
        bob.ok(format!("sendall:{text}"))?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}

fn too_long(stage: &mut Stage) -> Step {
    let texts = ["\n", "\r\n"].map(|end| line_of(LONGEST + 1, end).0);
    let others = ["join", "leave", "quit", "slogin", "nonsense"];
    let others = others.map(|tag| format!("{tag}:{}\n", "x".repeat(LONGEST - 1 - tag.len())));
    refused(stage, &[&texts[..], &others].concat())?;
    err_in_each(stage, &texts.each_ref().map(String::as_str))
}

fn much_too_long(stage: &mut Stage) -> Step {
    let lengths = [2 * LONGEST, 1023, 1024, 1025, 4097, 70_000, 1_000_000];
    refused(stage, &lengths.map(|length| line_of(length, "\n").0))?;
    let mut bob = stage.connect("bob")?;
    for piece in ["sendall:", &"x".repeat(240), "y", &"z".repeat(300), "slogin:no", "\nslogi"] {
        bob.send(piece)?;
        // So that the pieces come one by one.
        stage.sender("ann")?;
    }
    let rest = format!("n:{}\n", bob.user);
    bob.send(rest)?;
    bob.expect_err()?;
    bob.expect_ok().map(drop)
}

/// Nothing is asked about how it is answered, if only others are.
fn survives(stage: &mut Stage) -> Step {
    let mut bob = stage.sender("bob")?;
    bob.send(line_of(1_000_000, "\n").0).given()?;
    let mut ann = stage.sender("ann")?;
    ann.ok(format!("join:{}", stage.name("cafe"))).map(drop)
}

fn cut(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut amy = stage.sender_in("amy", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    bob.send("sendall:whole\nsendall:half")?;
    bob.half_close();
    bob.expect_ok().given()?;
    if let Some(line) = bob.rest().given()?.first() {
        return Err(bob.fail("no answer to a line that has no end", shown(line)));
    }
    eve.expect(bob.delivery(&room, "whole")).given()?;
    amy.ok("sendall:sentinel").given()?;
    eve.expect(amy.delivery(&room, "sentinel"))
}
