//! Those who do not speak the protocol: browsers, and clients that want TLS.

use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/strangers",
        [
            case("http", "A web page cannot speak: after its first line, it is closed.", http)
                .full(),
            case(
                "http-too-long",
                "A web page cannot speak whose first line is over-long.",
                http_too_long,
            )
            .full(),
            case("http-one-err", "A web page gets one err, and is closed.", |stage: &mut Stage| {
                let mut page = stage.connect("page")?;
                page.err("GET / HTTP/1.1\r")?;
                page.expect_end()
            })
            .full(),
            case(
                "http-known-tag",
                "A line that ends like a web page's, but has a known tag, is answered like any.",
                |stage: &mut Stage| {
                    let mut bob = stage.connect("bob")?;
                    for line in ["sendall:GET / HTTP/1.1", "join:x HTTP/1.0", "leave: HTTP/1.1"] {
                        bob.err(line)?;
                    }
                    bob.log_in("slogin").map(drop)
                },
            )
            .full(),
            case("http-logged-in", "Who has logged in is no web page.", logged_in).full(),
            case("tls", "A connection that begins as TLS does is closed at once.", tls).full(),
            case("not-tls", "A connection that begins only a little like TLS is served.", not_tls)
                .full(),
        ],
    )
}

/// A request gets nothing but `err`, is closed, and nothing of it is delivered.
fn request(stage: &mut Stage, request: &str) -> Step {
    let room = stage.new_name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    let mut page = stage.connect("page")?;
    let body = format!("slogin:{}\njoin:{room}\nsendall:buy\n", page.user);
    page.send(format!("{request}{body}"))?;
    for line in page.rest()? {
        if !line.starts_with(b"err:") {
            return Err(page.fail("err, and the end of the connection", shown(&line)));
        }
    }
    bob.ok("sendall:sentinel").given()?;
    eve.expect(bob.delivery(&room, "sentinel"))
}

fn http(stage: &mut Stage) -> Step {
    request(stage, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    request(stage, "GET /slogin:page HTTP/1.0\n")?;
    request(stage, "\r\nPOST http://localhost/ HTTP/1.1\r\n")
}

fn http_too_long(stage: &mut Stage) -> Step {
    request(stage, &format!("POST /{} HTTP/1.1\r\n", "x:".repeat(1000)))
}

fn logged_in(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    bob.err("GET / HTTP/1.1")?;
    bob.ok("sendall:GET / HTTP/1.1")?;
    eve.expect(bob.delivery(&room, "GET / HTTP/1.1"))
}

fn tls(stage: &mut Stage) -> Step {
    let mut client = stage.connect("tls")?;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")?;
    client.expect_end()?;
    let mut client = stage.connect("tls")?;
    client.send(b"\x16")?;
    // So that they come one by one.
    stage.sender("ann")?;
    client.send(b"\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")?;
    client.expect_end()
}

fn not_tls(stage: &mut Stage) -> Step {
    for line in ["\x16:", "\x03\x16:", "\x16\x16\x03:"] {
        let mut client = stage.connect("ann")?;
        client.err(line)?;
        client.log_in("slogin")?;
    }
    Ok(())
}
