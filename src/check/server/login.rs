//! Logins: names, and what comes after one that failed.

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::trial::random;
use crate::check::verdict::{Given, Step};

/// What is no name of a user or a room.
pub(super) const NO_NAMES: [&str; 8] =
    ["a b", "a-b", "a_b", "a.b", "a:b", " ab", "a/b", "caf\u{e9}"];

/// Names with every other byte that is no letter and no digit, but for the ends of a line.
pub(super) fn other_names() -> impl Iterator<Item = Vec<u8>> {
    let known = b"\r\n -_.:/";
    let others = (0..=0xff).filter(|byte: &u8| !byte.is_ascii_alphanumeric());
    let others = others.filter(move |byte| !known.contains(byte));
    others.map(|byte| vec![b'a', byte, b'b'])
}

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/login",
        [
            case("letters-and-digits", "A user name is letters and digits, one or more.", names),
            case("one-letter", "A user name may be one letter.", |stage: &mut Stage| {
                ["a", "Z"].iter().try_for_each(|name| {
                    stage.connect("bob")?.ok(format!("slogin:{name}")).map(drop)
                })
            })
            .heavy(),
            case(
                "longest-name",
                "A user name may be as long as a line has room for, 247 bytes.",
                longest,
            )
            .full(),
            case("no-name", "Any other user name is refused with err.", no_names),
            case(
                "other-bytes",
                "A user name with any byte but letters and digits is refused with err.",
                |stage: &mut Stage| {
                    let mut bob = stage.connect("bob")?;
                    other_names().try_for_each(|name| {
                        bob.err([b"slogin:", &name[..]].concat())?;
                        bob.err([b"rlogin:", &name[..]].concat()).map(drop)
                    })
                },
            )
            .full(),
            case(
                "space-after-name",
                "A user name with a space at its end is refused with err.",
                |stage: &mut Stage| refused(stage, &["ab "]),
            )
            .full(),
            case("empty-name", "An empty user name is refused with err.", |stage: &mut Stage| {
                refused(stage, &[""])
            }),
            case("again", "A login that failed can be tried again on the connection.", again)
                .full(),
            case("as-given", "A name is told as it was given: BOB is not bob.", as_given),
            case("name-stays", "Who logs in again, which is refused, keeps the name.", name_stays)
                .full(),
            case("same-name", "A name may be logged in any number of times.", same_name),
        ],
    )
}

/// Names of letters, of digits, and of both.
pub(super) fn names_of_each_kind(stage: &Stage) -> [String; 6] {
    let [small, first, all] = ["a", "7", "AZaz09"].map(|word| stage.name(word));
    let (large, last) = (small.to_uppercase(), format!("{small}0"));
    [small, large, first, last, all, format!("{}09", random() % 10_000_000)]
}

fn names(stage: &mut Stage) -> Step {
    for name in names_of_each_kind(stage) {
        stage.connect("bob")?.ok(format!("slogin:{name}"))?;
        let mut eve = stage.connect("eve")?;
        eve.receives = true;
        eve.ok(format!("rlogin:{name}"))?;
    }
    Ok(())
}

fn longest(stage: &mut Stage) -> Step {
    let mark = stage.name("u");
    let name = mark.repeat(255).chars().take(255 - "slogin:\n".len()).collect::<String>();
    stage.connect("bob")?.ok(format!("slogin:{name}"))?;
    let mut bob = stage.connect("bob")?;
    bob.err(format!("slogin:{name}u"))?;
    bob.log_in("slogin").map(drop)
}

fn no_names(stage: &mut Stage) -> Step {
    refused(stage, &NO_NAMES)
}

/// None of these is let in, each on a connection of its own.
fn refused(stage: &mut Stage, names: &[&str]) -> Step {
    for name in names {
        for tag in ["slogin", "rlogin"] {
            stage.connect("bob")?.err(format!("{tag}:{name}"))?;
        }
    }
    Ok(())
}

fn again(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let log_in = |word, first: &str, then| {
        let mut guest = stage.connect(word)?;
        guest.receives = then == "rlogin";
        guest.err(format!("{first}:no name")).given()?;
        guest.log_in(then)?;
        guest.ok(format!("join:{room}"))?;
        Ok(guest)
    };
    // Nothing is left of the attempts.
    let (mut eve, mut bob) =
        (log_in("eve", "slogin", "rlogin")?, log_in("bob", "rlogin", "slogin")?);
    bob.ok("sendall:it is me")?;
    eve.expect(bob.delivery(&room, "it is me"))
}

fn as_given(stage: &mut Stage) -> Step {
    let room = stage.name("Cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.connect("bob")?;
    bob.user = stage.name("BoB");
    bob.log_in("slogin")?;
    bob.ok(format!("join:{room}")).given()?;
    bob.ok("sendall:it is me").given()?;
    eve.expect(bob.delivery(&room, "it is me"))
}

fn name_stays(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender("bob")?;
    let other = stage.name("other");
    for tag in ["slogin", "rlogin"] {
        bob.err(format!("{tag}:{other}")).given()?;
    }
    bob.ok(format!("join:{room}")).given()?;
    bob.err(format!("slogin:{other}")).given()?;
    bob.ok("sendall:it is me").given()?;
    eve.expect(bob.delivery(&room, "it is me"))
}

fn same_name(stage: &mut Stage) -> Step {
    let (room, name) = (stage.name("cafe"), stage.name("ann"));
    let enter = |tag: &str| {
        let mut guest = stage.connect("ann")?;
        guest.user.clone_from(&name);
        guest.log_in(tag)?;
        guest.ok(format!("join:{room}"))?;
        Ok(guest)
    };
    let receivers: Step<Vec<_>> = (0..3).map(|_| enter("rlogin")).collect();
    let senders: Step<Vec<_>> = (0..3).map(|_| enter("slogin")).collect();
    let (mut receivers, mut senders) = (receivers?, senders?);
    let mut number = 0;
    let mut said = |senders: &mut [Guest], receivers: &mut [Guest]| {
        number += 1;
        for bob in &mut *senders {
            bob.ok(format!("sendall:it is me {number}"))?;
        }
        for eve in receivers {
            let line = |bob: &Guest| bob.delivery(&room, format!("it is me {number}"));
            senders.iter().try_for_each(|bob| eve.expect(line(bob)))?;
        }
        Ok(())
    };
    said(&mut senders, &mut receivers)?;
    // It is not the others who go with one of them.
    senders[0].ok("leave:").given()?;
    said(&mut senders[1..], &mut receivers)?;
    receivers.remove(0).close();
    // A server may notice that only when it writes.
    (0..3).try_for_each(|_| said(&mut senders[1..], &mut receivers))
}
