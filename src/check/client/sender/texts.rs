//! Texts: every other line is one.

use super::typing::sends;
use crate::check::case::{Case, case, topic};
use crate::check::client::stage::Stage;
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "sender/texts",
        [
            case("line", "Every other line is sent as sendall:LINE.", |stage: &mut Stage| {
                sends(stage, "Hello World!\n", &[b"sendall:Hello World!"]).map(drop)
            }),
            case("waits", "It waits for the answer to each.", waits),
            case(
                "odd",
                "A text may hold colons, spaces and what looks like a line, or be said twice.",
                |stage: &mut Stage| {
                    let lines = [
                        "at 12:30: lunch",
                        "two  spaces",
                        "two  spaces",
                        "ok:",
                        "quit",
                        "exit",
                        "#1 of \"us\"",
                        "sendall:again",
                        ":",
                        "a/b",
                        "100% of %s%n",
                        "a\\nb \\ c",
                    ];
                    same(stage, &lines.map(str::as_bytes))
                },
            ),
            case("utf-8", "A text may be UTF-8.", |stage: &mut Stage| {
                same(stage, &["na\u{ef}ve \u{1f980}".as_bytes()])
            }),
            case("bytes", "A text may be bytes of any kind.", |stage: &mut Stage| {
                same(stage, &[b"\xff\xfe caf\xe9", b"a\x1b[31mb\x01c", b"a\0b", b"a\rb"])
            })
            .full(),
            case("trimmed", "White space around a text is not sent.", |stage: &mut Stage| {
                let longest = "x".repeat(246);
                let requests = ["hello", "world", &longest].map(|it| format!("sendall:{it}"));
                let requests: Vec<_> = requests.iter().map(String::as_bytes).collect();
                // It is what is sent that may not be too long.
                let typed = format!("  hello \t\n\tworld\r\n  {longest}  \n");
                sends(stage, typed, &requests).map(drop)
            })
            .full(),
            case("empty", "An empty line sends nothing.", |stage: &mut Stage| {
                let mut scene = sends(stage, "\n   \n\t\r\n\nhello\n", &[b"sendall:hello"])?;
                scene.quits()?;
                scene.expect_silence()
            })
            .full(),
            case("longest", "A text of 246 bytes is sent whole.", |stage: &mut Stage| {
                same(stage, &[&[b'x'; 245], &[b'y'; 246]])
            }),
            case("too-long", "A longer one is one line on stderr, and sends nothing.", too_long)
                .full(),
            case("no-end", "A last line without an end is sent, too.", |stage: &mut Stage| {
                let mut scene = sends(stage, "hello\nand good bye", &[b"sendall:hello"])?;
                scene.program.end_input();
                scene.server.expect("sendall:and good bye")
            })
            .full(),
            case("many", "Many lines are sent in order, each once.", many),
        ],
    )
}

/// These lines are sent as they are.
fn same(stage: &mut Stage, lines: &[&[u8]]) -> Step {
    let typed: Vec<u8> = lines.iter().flat_map(|line| [*line, b"\n"].concat()).collect();
    let requests: Vec<_> = lines.iter().map(|line| [b"sendall:", *line].concat()).collect();
    let requests: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
    sends(stage, typed, &requests).map(drop)
}

fn waits(stage: &mut Stage) -> Step {
    let mut scene = stage.logged_in()?;
    scene.program.type_in("/join cafe\none\ntwo\n/leave\n");
    for request in ["join:cafe", "sendall:one", "sendall:two"] {
        scene.server.expect(request).given()?;
        scene.expect_patience("nothing before the last request is answered")?;
        scene.server.send("ok:done\n").given()?;
    }
    Ok(())
}

fn too_long(stage: &mut Stage) -> Step {
    let slashes = format!("//{}", "x".repeat(246));
    for text in ["x".repeat(247), "x".repeat(5000), slashes] {
        let mut scene = sends(stage, format!("{text}\nafter\n"), &[b"sendall:after"])?;
        scene.quits()?;
        scene.expect_one_line("the text is too long")?;
    }
    Ok(())
}

fn many(stage: &mut Stage) -> Step {
    let lines: Vec<_> = (0..500).map(|number| format!("line {number}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_bytes).collect();
    same(stage, &lines)
}
