//! What a delivery promises, with several senders, receivers and rooms at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/delivery",
        [
            case("form", "A text arrives as delivery:ROOM:SENDER:TEXT.", form),
            case("everyone", "Every receiver in the room gets a text.", everyone),
            case("once", "A text arrives exactly once.", once),
            case("sender-hears-nothing", "A sender gets answers, and no deliveries.", sender_hears),
            case("in-order", "A sender's texts arrive in their order, all of them.", in_order),
            case("one-order", "All receivers of a room get its texts in one order.", one_order),
            case("rooms-at-once", "Rooms that talk at once do not hear each other.", rooms_at_once),
            case("ok-first", "A receiver's ok for join comes before any delivery.", ok_first),
            case("after-ok", "Whatever is sent after that ok arrives.", after_ok),
            case(
                "nothing-after-leaving",
                "Nothing arrives that is said in the first room after the ok for another join.",
                left,
            )
            .full(),
            case("answered-in-room", "A receiver in a room is answered, too.", in_room).full(),
            case("reads-late", "A receiver that reads late gets all the same.", reads_late),
            case("sender-gone", "Texts arrive also if their sender is gone by then.", sender_gone),
            case(
                "sender-reset",
                "A text arrives whose sender is cut off right after its ok.",
                |stage: &mut Stage| {
                    let room = stage.name("cafe");
                    let mut eve = stage.receiver_in("eve", &room)?;
                    for _ in 0..5 {
                        let mut bob = stage.sender_in("bob", &room)?;
                        bob.ok("sendall:last words")?;
                        let line = bob.delivery(&room, "last words");
                        bob.reset();
                        eve.expect(line)?;
                    }
                    Ok(())
                },
            )
            .full(),
            case(
                "half-closed",
                "A receiver that has shut down its side gets its deliveries.",
                half_closed,
            )
            .full(),
        ],
    )
}

fn form(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    bob.ok("sendall:hi").given()?;
    eve.expect(bob.delivery(&room, "hi"))
}

/// So many receivers in a room.
fn receivers(stage: &Stage, count: usize, room: &str) -> Step<Vec<Guest>> {
    (1..=count).map(|number| stage.receiver_in(&format!("eve{number}x"), room)).collect()
}

fn everyone(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eves = receivers(stage, 40, &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    bob.ok("sendall:to everyone")?;
    eves.iter_mut().try_for_each(|eve| eve.expect(bob.delivery(&room, "to everyone")))
}

fn once(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    let mut amy = stage.sender_in("amy", &room)?;
    for number in 0..20 {
        let text = number.to_string();
        bob.ok(format!("sendall:{text}"))?;
        eve.expect(bob.delivery(&room, &text))?;
    }
    // The same words again are another text.
    for _ in 0..2 {
        bob.ok("sendall:again")?;
    }
    amy.ok("sendall:sentinel")?;
    for _ in 0..2 {
        eve.expect(bob.delivery(&room, "again"))?;
    }
    eve.expect(amy.delivery(&room, "sentinel"))
}

fn sender_hears(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    let mut amy = stage.sender_in("amy", &room)?;
    bob.ok("sendall:does amy hear this?")?;
    amy.ok("sendall:does bob hear this?")?;
    eve.expect(bob.delivery(&room, "does amy hear this?")).given()?;
    eve.expect(amy.delivery(&room, "does bob hear this?")).given()?;
    for guest in [&mut bob, &mut amy] {
        guest.ok("leave:")?;
        guest.ok("quit:")?;
    }
    Ok(())
}

/// Says numbered texts, many at a time, and has them answered.
fn say_many(guest: &mut Guest, word: &str, count: usize) -> Step {
    let lines: String = (0..count).map(|number| format!("sendall:{word}{number}\n")).collect();
    guest.send(lines)?;
    (0..count).try_for_each(|_| guest.expect_ok().map(drop))
}

fn in_order(stage: &mut Stage) -> Step {
    const TEXTS: usize = 1000;
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    say_many(&mut bob, "", TEXTS)?;
    (0..TEXTS).try_for_each(|number| eve.expect(bob.delivery(&room, number.to_string())))
}

/// Runs something for each of these guests at the same time.
fn at_once(guests: &mut [Guest], run: impl Fn(usize, &mut Guest) -> Step + Sync) -> Step {
    let run = &run;
    thread::scope(|scope| {
        let threads: Vec<_> = guests
            .iter_mut()
            .enumerate()
            .map(|(number, guest)| scope.spawn(move || run(number, guest)))
            .collect();
        // A step does not panic.
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })
}

/// Reads so many deliveries of a room, of numbered texts of these senders, and sees that each sender's
/// are in their order and nothing else comes.
fn read_numbered(
    eve: &mut Guest,
    room: &str,
    users: &[String],
    count: usize,
) -> Step<Vec<Vec<u8>>> {
    let mut next: BTreeMap<&str, usize> = users.iter().map(|user| (user.as_str(), 0)).collect();
    let mut lines = Vec::new();
    for _ in 0..count {
        let line = eve.line("a delivery")?;
        let wanted: Vec<_> = next
            .iter()
            .map(|(user, number)| (*user, format!("delivery:{room}:{user}:{number}")))
            .collect();
        let stripped = line.strip_suffix(b"\r").unwrap_or(&line);
        match wanted.iter().find(|(_, wanted)| wanted.as_bytes() == stripped) {
            Some((user, _)) => *next.entry(*user).or_default() += 1,
            None => {
                let wanted: Vec<_> = wanted.into_iter().map(|(_, line)| line).take(4).collect();
                return Err(eve.fail(format!("one of {}", wanted.join(", ")), shown(&line)));
            }
        }
        lines.push(stripped.to_vec());
    }
    Ok(lines)
}

fn one_order(stage: &mut Stage) -> Step {
    const TEXTS: usize = 100;
    let room = stage.name("cafe");
    let mut eves = receivers(stage, 4, &room)?;
    let bobs: Step<Vec<_>> =
        (1..=4).map(|number| stage.sender_in(&format!("bob{number}x"), &room)).collect();
    let mut bobs = bobs?;
    at_once(&mut bobs, |_, bob| say_many(bob, "", TEXTS))?;
    let users: Vec<_> = bobs.iter().map(|bob| bob.user.clone()).collect();
    let mut first: Option<Vec<Vec<u8>>> = None;
    for eve in &mut eves {
        let lines = read_numbered(eve, &room, &users, users.len() * TEXTS)?;
        let first = first.get_or_insert_with(|| lines.clone());
        if let Some(at) = (0..lines.len()).find(|at| lines[*at] != first[*at]) {
            let expected = format!("delivery {at} to be {}, as for another", shown(&first[at]));
            return Err(eve.fail(expected, shown(&lines[at])));
        }
    }
    Ok(())
}

fn rooms_at_once(stage: &mut Stage) -> Step {
    const TEXTS: usize = 60;
    let rooms: Vec<_> = (0..5).map(|_| stage.new_name("room")).collect();
    let (mut eves, mut bobs) = (Vec::new(), Vec::new());
    for room in &rooms {
        eves.push(stage.receiver_in("eve", room)?);
        bobs.push(stage.sender_in("bob", room)?);
    }
    at_once(&mut bobs, |_, bob| say_many(bob, "", TEXTS))?;
    for ((eve, bob), room) in eves.iter_mut().zip(&mut bobs).zip(&rooms) {
        let users = [bob.user.clone()];
        read_numbered(eve, room, &users, TEXTS)?;
        bob.ok("sendall:sentinel")?;
        eve.expect(bob.delivery(room, "sentinel"))?;
    }
    Ok(())
}

/// Does something while somebody talks in a room without a pause.
fn while_talking(stage: &Stage, room: &str, run: impl FnOnce() -> Step) -> Step {
    let mut bob = stage.sender_in("bob", room)?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let talk = scope.spawn(|| {
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                bob.ok(format!("sendall:{number}"))?;
            }
            Ok(())
        });
        let outcome = run();
        done.store(true, Ordering::Relaxed);
        // A step does not panic.
        let talked: Step = talk.join().unwrap_or(Ok(()));
        outcome.and(talked.given())
    })
}

fn ok_first(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    while_talking(stage, &room, || {
        // The room is never empty: who comes to an empty one is another case.
        let mut eves = Vec::new();
        for _ in 0..30 {
            let mut eve = stage.receiver("eve")?;
            eve.ok(format!("join:{room}"))?;
            eve.expect_tag("delivery:")?;
            eves.push(eve);
        }
        Ok(())
    })
}

fn after_ok(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut bob = stage.sender_in("bob", &room)?;
    let mut eves = Vec::new();
    for number in 0..30 {
        let mut eve = stage.receiver_in("eve", &room)?;
        bob.ok(format!("sendall:{number}"))?;
        eve.expect(bob.delivery(&room, number.to_string()))?;
        eves.push(eve);
    }
    Ok(())
}

fn left(stage: &mut Stage) -> Step {
    let (home, away) = (stage.name("home"), stage.name("away"));
    let mut amy = stage.sender_in("amy", &away)?;
    let mut dan = stage.sender_in("dan", &home)?;
    // They stay to the end: whoever is gone is another case.
    let mut eves = Vec::new();
    while_talking(stage, &home, || {
        for number in 0..20 {
            let mut eve = stage.receiver_in("eve", &home)?;
            eve.expect_tag("delivery:").given()?;
            eve.say(format!("join:{away}"))?;
            let ours = format!("delivery:{home}:");
            let is_ours = |line: &[u8]| line.starts_with(ours.as_bytes());
            let expected = "deliveries of the first room, and ok";
            eve.skip_to(expected, |line| line.starts_with(b"ok:"), is_ours)?;
            // What was said before that may come yet. This was not.
            dan.ok("sendall:behind her back").given()?;
            amy.ok(format!("sendall:{number}")).given()?;
            let behind = dan.delivery(&home, "");
            let welcome = amy.delivery(&away, number.to_string());
            let expected = "a text of the other room, and none of those said later in the first";
            let is_welcome = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line) == welcome;
            eve.skip_to(expected, is_welcome, |line| !line.starts_with(&behind))?;
            eves.push(eve);
        }
        Ok(())
    })
}

fn in_room(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    for number in 0..5 {
        bob.ok(format!("sendall:{number}")).given()?;
        eve.say("leave:")?;
        // Answers are in order among themselves; where they are among deliveries is left open.
        eve.expect_both(bob.delivery(&room, number.to_string()), "err:")?;
    }
    Ok(())
}

fn reads_late(stage: &mut Stage) -> Step {
    const TEXTS: usize = 800;
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    let long = "x".repeat(200);
    say_many(&mut bob, &long, TEXTS)?;
    (0..TEXTS).try_for_each(|number| eve.expect(bob.delivery(&room, format!("{long}{number}"))))
}

fn sender_gone(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    for number in 0..20 {
        let end = ["", "quit:\n"][number % 2];
        let mut bob = stage.sender_in("bob", &room)?;
        bob.send(format!("sendall:{number}\n{end}"))?;
        bob.half_close();
        eve.expect(bob.delivery(&room, number.to_string()))?;
    }
    Ok(())
}

fn half_closed(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.connect("eve")?;
    eve.receives = true;
    let lines = format!("rlogin:{}\njoin:{room}\n", eve.user);
    eve.send(lines)?;
    eve.half_close();
    for _ in 0..2 {
        eve.expect_ok()?;
    }
    let mut bob = stage.sender_in("bob", &room)?;
    for text in ["still there?", "and now?", "and then?"] {
        bob.ok(format!("sendall:{text}")).given()?;
        eve.expect(bob.delivery(&room, text))?;
    }
    Ok(())
}
