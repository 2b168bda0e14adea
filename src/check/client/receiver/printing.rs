//! Deliveries: each is printed as `SENDER: TEXT`, at once, and nothing else is.

use crate::check::case::{Case, case, topic};
use crate::check::client::stage::{Scene, Stage};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "receiver/printing",
        [
            case(
                "form",
                "A delivery is printed as SENDER: TEXT, and a newline.",
                |stage: &mut Stage| prints(stage, &[(b"bob", b"hi alice")]),
            ),
            case(
                "quiet",
                "As long as all is well, there is nothing on stderr.",
                |stage: &mut Stage| {
                    let mut scene = stage.in_room()?;
                    (0..20).try_for_each(|_| scene.deliver("bob", "hi alice"))?;
                    scene.program.rest();
                    scene.expect_silence()
                },
            ),
            case(
                "percent",
                "A text may hold percent signs and backslashes.",
                |stage: &mut Stage| {
                    prints(stage, &[(b"bob", b"100% of %s %n"), (b"bob", b"a\\nb \\ c")])
                },
            ),
            case("at-once", "Each is printed when it comes, not when more have come.", at_once)
                .full(),
            case(
                "several",
                "Several that come together are printed in order.",
                |stage: &mut Stage| {
                    let texts: [(&[u8], &[u8]); 4] =
                        [(b"bob", b"one"), (b"amy", b"two"), (b"bob", b"two"), (b"bob", b"two")];
                    prints(stage, &texts)
                },
            ),
            case(
                "senders-name",
                "It does not check names: robert_de_bobert may speak.",
                |stage: &mut Stage| {
                    prints(stage, &[(b"robert_de_bobert", b"I have the cookies."), (b"a b", b"x")])
                },
            ),
            case("own-name", "What one says oneself is printed, too.", |stage: &mut Stage| {
                let scene = stage.in_room()?;
                let user = scene.user.clone().into_bytes();
                prints_in(scene, &[(&user, b"hi all"), (b"bob", b"hi")])
            }),
            case("colons", "A text may hold colons.", |stage: &mut Stage| {
                prints(stage, &[(b"bob", b"at 12:30: lunch"), (b"bob", b":"), (b"bob", b"ok:b:c:")])
            })
            .full(),
            case(
                "like-a-line",
                "A text may look like a line or a command.",
                |stage: &mut Stage| {
                    let texts: [&[u8]; 4] = [b"/quit", b"quit", b"err", b"\"#1\" & /more/"];
                    prints(stage, &texts.map(|text| (&b"bob"[..], text)))
                },
            )
            .full(),
            case("spaces", "A text may begin and end with spaces.", |stage: &mut Stage| {
                prints(stage, &[(b"bob", b"  before"), (b"bob", b"after  "), (b"bob", b" \t ")])
            })
            .full(),
            case("empty", "A text may be empty.", |stage: &mut Stage| {
                prints(stage, &[(b"bob", b""), (b"bob", b"next")])
            })
            .full(),
            case("utf-8", "A text may be UTF-8.", |stage: &mut Stage| {
                prints(stage, &[(b"bob", "na\u{ef}ve \u{1f980}".as_bytes())])
            }),
            case(
                "bytes",
                "A text may be bytes of any kind: they come out as they are.",
                |stage: &mut Stage| {
                    prints(stage, &[(b"bob", b"\xff\xfe caf\xe9"), (b"bob", b"\x1b[31m\x01")])
                },
            )
            .full(),
            case(
                "carriage-returns",
                "A \\r is part of the text, but for the one before the newline.",
                carriage_returns,
            )
            .full(),
            case("terminal", "It is plain at a terminal, too.", at_terminal).full(),
            case("nul", "A NUL in a text is printed as it is.", |stage| {
                prints(stage, &[(b"bob", b"a\0b")])
            })
            .full(),
            case(
                "long",
                "A delivery may be longer than 255 bytes, up to 754.",
                |stage: &mut Stage| {
                    let long = [b'x'; 246];
                    for (room, sender) in [(4, 3), (100, 3), (249, 247)] {
                        let scene = stage.in_room_of("r".repeat(room))?;
                        prints_in(scene, &[(&"s".repeat(sender).into_bytes(), &long)])?;
                    }
                    Ok(())
                },
            )
            .full(),
            case("crlf", "A delivery may end in \\r\\n.", |stage: &mut Stage| {
                let mut scene = stage.in_room()?;
                let one = scene.delivery("bob", "one\r");
                scene.server.send([one, scene.delivery("bob", "two")].concat())?;
                scene.expect_stdout("bob: one\nbob: two\n")
            }),
            case("in-pieces", "A delivery may come in pieces.", |stage: &mut Stage| {
                let mut scene = stage.in_room()?;
                for byte in scene.delivery("bob", "bit by bit").trim_ascii_end() {
                    scene.server.send([*byte])?;
                }
                scene.program.rest();
                scene.expect_stdout_now("")?;
                let next = scene.delivery("bob", "next");
                scene.server.send([b"\n", &next[..]].concat())?;
                scene.expect_stdout("bob: bit by bit\nbob: next\n")
            }),
            case("early", "All may be there before it has said anything.", early),
            case("many", "Many are printed in order, each once.", |stage: &mut Stage| {
                const TEXTS: usize = 5000;
                let mut scene = stage.in_room()?;
                let lines = (0..TEXTS).flat_map(|number| scene.delivery("bob", number.to_string()));
                let lines: Vec<_> = lines.collect();
                scene.server.send(lines)?;
                scene.expect_stdout((0..TEXTS).map(|it| format!("bob: {it}\n")).collect::<String>())
            }),
        ],
    )
}

/// These deliveries, sent together, are printed, and nothing else is.
fn prints(stage: &mut Stage, texts: &[(&[u8], &[u8])]) -> Step {
    prints_in(stage.in_room()?, texts)
}

fn prints_in(mut scene: Scene, texts: &[(&[u8], &[u8])]) -> Step {
    let line = |(sender, text): &(&[u8], &[u8])| scene.delivery(sender, text);
    let printed = |(sender, text): &(&[u8], &[u8])| [*sender, b": ", *text, b"\n"].concat();
    let lines = texts.iter().flat_map(line).chain(scene.delivery("end", "sentinel"));
    let lines: Vec<_> = lines.collect();
    scene.server.send(lines)?;
    let all = texts.iter().flat_map(printed).chain(*b"end: sentinel\n");
    scene.expect_stdout(all.collect::<Vec<_>>())
}

fn at_once(stage: &mut Stage) -> Step {
    let mut scene = stage.in_room()?;
    let mut printed = String::new();
    for number in 0..5 {
        scene.deliver("bob", number.to_string())?;
        printed += &format!("bob: {number}\n");
        scene.expect_stdout_now(&printed)?;
    }
    Ok(())
}

fn carriage_returns(stage: &mut Stage) -> Step {
    let mut scene = stage.in_room()?;
    let texts = ["a\rb", "c\r\r", "d"].map(|text| scene.delivery("bob", text));
    scene.server.send(texts.concat())?;
    scene.expect_stdout("bob: a\rb\nbob: c\r\nbob: d\n")
}

fn at_terminal(stage: &mut Stage) -> Step {
    let mut scene = stage.start_at_terminal().given()?;
    scene.log_in("welcome").given()?;
    scene.come_in("come in").given()?;
    scene.deliver("bob", "hi alice")?;
    // The terminal makes this of a newline.
    scene.expect_stdout("bob: hi alice\r\n")
}

/// As in the course's test: all is there at once.
fn early(stage: &mut Stage) -> Step {
    let mut scene = stage.start().given()?;
    let answers = b"ok:logged in\nok:joined\n".to_vec();
    let (bob, amy) = (scene.delivery("bob", "hi alice"), scene.delivery("amy", "cookies?"));
    scene.server.send([answers, bob, amy].concat()).given()?;
    scene.expect_login().given()?;
    scene.expect_join()?;
    scene.expect_stdout("bob: hi alice\namy: cookies?\n")
}
