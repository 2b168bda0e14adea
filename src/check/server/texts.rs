//! Texts: bytes of any kind arrive as they were sent.

use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/texts",
        [
            case("plain", "A text arrives as it was sent.", |stage: &mut Stage| {
                arrive(
                    stage,
                    &[
                        b"hello",
                        b"x",
                        b"100% of it, isn't it? {}[]()<>\\%s%n",
                        b"\"#1\" & /more/ *~`$@!",
                    ],
                )
            }),
            case(
                "like-a-line",
                "A text may look like a line or a command.",
                |stage: &mut Stage| {
                    let lines = ["quit:", "sendall:hello", "leave:", "join:bar", "ok:", "err:no"];
                    let others = ["quit", "leave", "/quit", "delivery:bar:ann:hello", "slogin:ann"];
                    let all: Vec<_> = lines.iter().chain(&others).map(|it| it.as_bytes()).collect();
                    arrive(stage, &all)
                },
            ),
            case("empty", "A text may be empty.", |stage: &mut Stage| {
                arrive(stage, &[b""])?;
                arrive_as(stage, b"\r", b"")
            })
            .full(),
            case("spaces", "White space around a text is part of it.", |stage: &mut Stage| {
                arrive(stage, &[b" before", b"after ", b"   ", b"\ttabs\t", b"two  spaces"])
            })
            .full(),
            case("utf-8", "A text in UTF-8 arrives as it was sent.", |stage: &mut Stage| {
                arrive(stage, &["na\u{ef}ve \u{65e5}\u{672c}\u{8a9e} \u{1f980}".as_bytes()])
            }),
            case(
                "high-bytes",
                "A text in an encoding that is not UTF-8 arrives as it was sent.",
                |stage: &mut Stage| {
                    let all: Vec<u8> = (0x80..=0xff).collect();
                    arrive(stage, &[&all, b"\xff\xfe", b"caf\xe9", b"\xf0\x9f"])
                },
            )
            .full(),
            case(
                "control-bytes",
                "Control bytes in a text arrive as they were sent.",
                |stage: &mut Stage| {
                    let all: Vec<u8> =
                        (1..0x20).chain([0x7f]).filter(|byte| !b"\n\r".contains(byte)).collect();
                    arrive(stage, &[&all, b"\x1b[2J"])
                },
            )
            .full(),
            case("nul", "A NUL in a text arrives as it was sent.", |stage| {
                arrive(stage, &[b"a\0b", b"\0", b"end\0"])
            })
            .full(),
            case(
                "carriage-return",
                "A \\r that is not before the \\n is part of it.",
                |stage: &mut Stage| {
                    arrive(stage, &[b"\rfirst", b"in\rside", b"\r\rx"])?;
                    arrive_as(stage, b"two\r\r", b"two\r")
                },
            )
            .full(),
            case("longest-delivery", "A delivery may be 754 bytes long.", longest).full(),
        ],
    )
}

fn arrive(stage: &mut Stage, texts: &[&[u8]]) -> Step {
    texts.iter().try_for_each(|text| arrive_as(stage, text, text))
}

fn arrive_as(stage: &mut Stage, sent: &[u8], text: &[u8]) -> Step {
    let room = stage.new_name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    bob.ok([b"sendall:", sent].concat())?;
    eve.expect(bob.delivery(&room, text))?;
    // That was all of it.
    bob.ok("sendall:sentinel").given()?;
    eve.expect(bob.delivery(&room, "sentinel"))
}

fn longest(stage: &mut Stage) -> Step {
    let most = |tag: &str| 255 - tag.len() - ":\n".len();
    let mark = stage.name("");
    let filled =
        |length: usize| mark.chars().chain("x".repeat(length).chars()).take(length).collect();
    let (user, room): (String, String) = (filled(most("slogin")), filled(most("join")));
    let text = "t".repeat(most("sendall"));
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.connect("bob")?;
    bob.ok(format!("slogin:{user}")).given()?;
    bob.ok(format!("join:{room}")).given()?;
    bob.ok(format!("sendall:{text}"))?;
    eve.expect(format!("delivery:{room}:{user}:{text}"))
}
