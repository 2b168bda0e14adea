//! Rooms: their names, who is in which, and where texts do not go.

use super::guest::Guest;
use super::login::{NO_NAMES, names_of_each_kind, other_names};
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/rooms",
        [
            case("letters-and-digits", "A room name is letters and digits, one or more.", names),
            case("one-letter", "A room name may be one letter.", |stage: &mut Stage| {
                ["a", "Z"]
                    .iter()
                    .try_for_each(|name| stage.sender("bob")?.ok(format!("join:{name}")).map(drop))
            })
            .heavy(),
            case(
                "longest-name",
                "A room name may be as long as a line has room for, 249 bytes.",
                longest,
            )
            .full(),
            case("no-name", "Any other room name is refused with err.", |stage: &mut Stage| {
                NO_NAMES.iter().try_for_each(|name| {
                    stage.sender("bob")?.err(format!("join:{name}"))?;
                    stage.receiver("eve")?.err(format!("join:{name}")).map(drop)
                })
            }),
            case(
                "other-bytes",
                "A room name with any byte but letters and digits is refused with err.",
                |stage: &mut Stage| {
                    let (mut bob, mut eve) = (stage.sender("bob")?, stage.receiver("eve")?);
                    other_names().try_for_each(|name| {
                        let join = [b"join:", &name[..]].concat();
                        bob.err(&join)?;
                        eve.err(&join).map(drop)
                    })
                },
            )
            .full(),
            case(
                "space-after-name",
                "A room name with a space at its end is refused with err.",
                |stage: &mut Stage| {
                    stage.sender("bob")?.err("join:ab ")?;
                    stage.receiver("eve")?.err("join:ab ").map(drop)
                },
            )
            .full(),
            case("empty-name", "An empty room name is refused with err.", |stage: &mut Stage| {
                stage.sender("bob")?.err("join:")?;
                stage.receiver("eve")?.err("join:").map(drop)
            })
            .full(),
            case("again-after-no-name", "After a join that failed, another may succeed.", again)
                .full(),
            case("sender-stays", "A sender whose join fails stays where it was.", sender_stays),
            case(
                "receiver-stays",
                "A receiver whose join fails stays where it was.",
                receiver_stays,
            )
            .full(),
            case(
                "sender-moves",
                "A sender that joins another room has left the first.",
                sender_moves,
            ),
            case(
                "receiver-moves",
                "A receiver that joins another room has left the first.",
                receiver_moves,
            )
            .full(),
            case("same-again", "To join the room that one is in changes nothing.", same).full(),
            case(
                "sender-leaves",
                "After leave, whatever its payload, a sender can join again.",
                leaves,
            ),
            case("apart", "A text goes to its room alone, however alike the names.", apart),
            case("nobody-there", "A text to an empty room is ok.", nobody),
            case(
                "goes-on-empty",
                "A sender in a room that all receivers have left is heard by the next.",
                goes_on_empty,
            ),
            case(
                "err-is-not-said",
                "A text that is answered with err is heard by nobody.",
                err_is_not_said,
            ),
            case("came-later", "Who joins does not hear what was said before.", came_later),
        ],
    )
}

fn names(stage: &mut Stage) -> Step {
    for name in names_of_each_kind(stage) {
        let mut bob = stage.sender("bob")?;
        bob.ok(format!("join:{name}"))?;
        // An empty room is left alone.
        bob.ok("leave:").given()?;
        stage.receiver("eve")?.ok(format!("join:{name}"))?;
    }
    Ok(())
}

/// Two that differ in their last letters are two.
fn longest(stage: &mut Stage) -> Step {
    let longest = |last: &str| {
        let (mark, length) = (stage.name("r"), 255 - "join:\n".len() - last.len());
        mark.chars().cycle().take(length).chain(last.chars()).collect::<String>()
    };
    let (home, away, next) = (longest("h"), longest("a"), stage.name("next"));
    let mut eve = stage.receiver("eve")?;
    eve.ok(format!("join:{home}"))?;
    let mut bob = stage.sender("bob")?;
    bob.ok(format!("join:{away}"))?;
    bob.ok("sendall:not to her").given()?;
    eve.ok(format!("join:{next}"))?;
    let mut amy = stage.sender_in("amy", &next)?;
    amy.ok("sendall:to her").given()?;
    eve.expect(amy.delivery(&next, "to her"))
}

fn again(stage: &mut Stage) -> Step {
    let (mut bob, mut eve) = (stage.sender("bob")?, stage.receiver("eve")?);
    bob.err("sendall:nowhere").given()?;
    for guest in [&mut bob, &mut eve] {
        guest.err("join:no room").given()?;
    }
    // He is nowhere yet.
    bob.err("sendall:nowhere")?;
    let room = stage.name("cafe");
    [bob, eve].iter_mut().try_for_each(|guest| guest.ok(format!("join:{room}")).map(drop))
}

/// A receiver and a sender in a room, of which the receiver hears.
fn pair(stage: &Stage, names: [&str; 2], room: &str) -> Step<(Guest, Guest)> {
    let mut eve = stage.receiver_in(names[0], room)?;
    let mut bob = stage.sender_in(names[1], room)?;
    let line = bob.delivery(room, "can you hear me?");
    bob.ok("sendall:can you hear me?").given()?;
    eve.expect(line).given()?;
    Ok((eve, bob))
}

fn sender_stays(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    bob.err("join:no room").given()?;
    bob.ok("sendall:still here")?;
    eve.expect(bob.delivery(&room, "still here"))
}

fn receiver_stays(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    eve.err("join:no room").given()?;
    bob.ok("sendall:still there?").given()?;
    eve.expect(bob.delivery(&room, "still there?"))
}

fn sender_moves(stage: &mut Stage) -> Step {
    let (home, away) = (stage.name("home"), stage.name("away"));
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &home)?;
    let (mut fay, mut dan) = pair(stage, ["fay", "dan"], &away)?;
    let mut amy = stage.sender_in("amy", &home)?;
    bob.ok(format!("join:{away}")).given()?;
    bob.ok("sendall:moved")?;
    fay.expect(bob.delivery(&away, "moved"))?;
    amy.ok("sendall:sentinel").given()?;
    eve.expect(amy.delivery(&home, "sentinel"))?;
    bob.ok(format!("join:{home}")).given()?;
    bob.ok("sendall:home again")?;
    eve.expect(bob.delivery(&home, "home again"))?;
    dan.ok("sendall:sentinel").given()?;
    fay.expect(dan.delivery(&away, "sentinel"))
}

fn receiver_moves(stage: &mut Stage) -> Step {
    let (home, away) = (stage.name("home"), stage.name("away"));
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &home)?;
    let (_fay, mut dan) = pair(stage, ["fay", "dan"], &away)?;
    bob.ok("sendall:owed").given()?;
    eve.say(format!("join:{away}"))?;
    // What was queued in the first room is not lost; it may come before the ok, or after it.
    eve.expect_both(bob.delivery(&home, "owed"), "ok:")?;
    bob.ok("sendall:to others").given()?;
    dan.ok("sendall:welcome").given()?;
    eve.expect(dan.delivery(&away, "welcome"))?;
    eve.ok(format!("join:{home}"))?;
    // Neither is lost, and none comes twice.
    for text in ["back again", "and again"] {
        bob.ok(format!("sendall:{text}")).given()?;
        eve.expect(bob.delivery(&home, text))?;
    }
    Ok(())
}

fn same(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    for guest in [&mut eve, &mut bob] {
        guest.ok(format!("join:{room}"))?;
    }
    for text in ["once", "and once"] {
        bob.ok(format!("sendall:{text}"))?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}

fn leaves(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    for (number, payload) in ["", "now", ":"].iter().enumerate() {
        bob.ok(format!("leave:{payload}"))?;
        bob.ok(format!("join:{room}"))?;
        let text = format!("back {number}");
        bob.ok(format!("sendall:{text}")).given()?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}

fn apart(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    let longer = format!("{room}a");
    for other in [room.to_uppercase(), longer, room[..room.len() - 1].into(), stage.name("bar")] {
        let mut fay = stage.receiver_in("fay", &other)?;
        let mut amy = stage.sender_in("amy", &other)?;
        let text = format!("not to {other}");
        bob.ok(format!("sendall:{text}")).given()?;
        amy.ok("sendall:to the other").given()?;
        eve.expect(bob.delivery(&room, text))?;
        fay.expect(amy.delivery(&other, "to the other"))?;
    }
    Ok(())
}

fn nobody(stage: &mut Stage) -> Step {
    let mut bob = stage.sender_in("bob", &stage.name("empty"))?;
    (0..3).try_for_each(|_| bob.ok("sendall:is there anybody?").map(drop))
}

fn goes_on_empty(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    eve.close();
    // A server may notice only when it writes to her, and hears that nobody is there.
    for _ in 0..5 {
        bob.ok("sendall:is there anybody?").given()?;
    }
    let mut fay = stage.receiver_in("fay", &room)?;
    bob.ok("sendall:can you hear me?").given()?;
    fay.skip_to_line(&bob.delivery(&room, "can you hear me?"))
}

fn err_is_not_said(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, mut bob) = pair(stage, ["eve", "bob"], &room)?;
    for line in ["nonsense:hello", "hello:"] {
        bob.err(line)?;
        if !stage.is_full() {
            // The reference answers some lines twice.
            bob.ok_in_the_end(format!("join:{room}"))?;
        }
    }
    bob.ok("leave:").given()?;
    bob.err("sendall:from outside").given()?;
    bob.ok(format!("join:{room}")).given()?;
    bob.ok("sendall:from inside").given()?;
    eve.expect(bob.delivery(&room, "from inside"))
}

fn came_later(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (_first, mut bob) = pair(stage, ["first", "bob"], &room)?;
    bob.ok("sendall:before").given()?;
    let mut eve = stage.receiver_in("eve", &room)?;
    bob.ok("sendall:after").given()?;
    eve.expect(bob.delivery(&room, "after"))
}
