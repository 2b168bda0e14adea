//! Commands: what each sends, and those that send nothing.

use super::typing::sends;
use crate::check::case::{Case, case, topic};
use crate::check::client::stage::Stage;
use crate::check::story::shown;
use crate::check::verdict::Step;

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "sender/commands",
        [
            case("join", "/join ROOM sends join:ROOM.", |stage: &mut Stage| {
                sends(stage, "/join cafe\n/join Cafe9\n", &[b"join:cafe", b"join:Cafe9"]).map(drop)
            }),
            case("leave", "/leave sends leave: with any payload.", |stage: &mut Stage| {
                let mut scene = sends(stage, "/join cafe\n/leave\n", &[b"join:cafe"])?;
                scene.server.expect_tag("leave:").map(drop)
            }),
            case("quit", "/quit sends quit: with any payload.", |stage: &mut Stage| {
                sends(stage, "/quit\n", &[])?.server.expect_tag("quit:").map(drop)
            }),
            case(
                "unknown",
                "Another line with a / is an error on stderr, and sends nothing.",
                |stage: &mut Stage| {
                    ["/dance", "/", "/JOIN cafe", "/q", "/j cafe"]
                        .iter()
                        .try_for_each(|line| mistake(stage, line))
                },
            )
            .full(),
            case(
                "join-nowhere",
                "/join without a room is an error, and sends nothing.",
                |stage: &mut Stage| mistake(stage, "/join"),
            )
            .full(),
            case(
                "join-two",
                "/join with two words is an error, and sends nothing.",
                |stage: &mut Stage| mistake(stage, "/join one two"),
            )
            .full(),
            case(
                "join-long",
                "/join with a name that is too long to send is an error, and sends nothing.",
                |stage: &mut Stage| {
                    let longest = "r".repeat(249);
                    let request = format!("join:{longest}");
                    sends(stage, format!("/join {longest}\n"), &[request.as_bytes()])?;
                    mistake(stage, &format!("/join {longest}r"))
                },
            )
            .full(),
            case(
                "no-space",
                "/joincafe is no /join, nor /quitter a /quit, but an error.",
                |stage: &mut Stage| {
                    let lines = ["/joincafe", "/joined cafe", "/leaves", "/quitter"];
                    lines.iter().try_for_each(|line| mistake(stage, line))
                },
            )
            .full(),
            case(
                "two-slashes",
                "A line with // says it from its second / on.",
                |stage: &mut Stage| {
                    let long = format!("/{}", "x".repeat(245));
                    let requests =
                        ["/etc/motd", "/", &long, "/quit", "//x"].map(|it| format!("sendall:{it}"));
                    let requests: Vec<_> = requests.iter().map(String::as_bytes).collect();
                    sends(stage, format!("//etc/motd\n//\n/{long}\n//quit\n///x\n"), &requests)
                        .map(drop)
                },
            )
            .full(),
            case(
                "white-space",
                "White space around a command does not matter.",
                |stage: &mut Stage| {
                    let scene = sends(stage, "  /join   cafe \t\r\n /leave \n", &[b"join:cafe"]);
                    scene?.server.expect_tag("leave:").map(drop)
                },
            )
            .full(),
        ],
    )
}

/// A line is one line on standard error, sends nothing, and what is typed after it is sent.
fn mistake(stage: &mut Stage, line: &str) -> Step {
    let mut scene = sends(stage, format!("{line}\nhello\n"), &[b"sendall:hello"])?;
    scene.quits()?;
    scene.expect_one_line(&format!("{} is a mistake", shown(line.as_bytes())))
}
