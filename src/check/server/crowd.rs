//! Very many clients at a time. A burden for a server that others use.

use std::collections::BTreeSet;
use std::thread;

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/crowd",
        [
            case("two-hundred", "Two hundred clients at once are all served.", two_hundred).heavy(),
            case("many-rooms", "Three hundred rooms at once have their senders.", many_rooms)
                .heavy(),
            case(
                "all-at-once",
                "Those who log in and enter a new room at the same time are all in it.",
                all_at_once,
            )
            .heavy(),
            case("come-and-go", "Hundreds may come, say quit, and go.", come_and_go).heavy(),
            case(
                "turmoil",
                "Nothing is lost where many join, talk, leave and go at once.",
                turmoil,
            )
            .heavy(),
        ],
    )
}

fn many_rooms(stage: &mut Stage) -> Step {
    let mut bobs = Vec::new();
    for _ in 0..300 {
        let mut bob = stage.sender("bob")?;
        bob.ok(format!("join:{}", stage.new_name("room")))?;
        bobs.push(bob);
    }
    bobs.iter_mut().try_for_each(|bob| bob.ok("sendall:is there anybody?").map(drop))
}

/// Again and again: it is a matter of luck that two are served at the same time.
fn all_at_once(stage: &mut Stage) -> Step {
    (0..20).try_for_each(|_| {
        let room = stage.new_name("cafe");
        let mut eves: Vec<_> = (0..4).map(|_| stage.connect("eve")).collect::<Step<_>>()?;
        let mut bobs: Vec<_> = (0..2).map(|_| stage.connect("bob")).collect::<Step<_>>()?;
        eves.iter_mut().for_each(|eve| eve.receives = true);
        for (word, payload) in [("login", None), ("join", Some(&room))] {
            let all =
                eves.iter_mut().map(|eve| ('r', eve)).chain(bobs.iter_mut().map(|bob| ('s', bob)));
            let mut all: Vec<_> = all.collect();
            for (role, guest) in &mut all {
                let role = if word == "login" { role.to_string() } else { String::new() };
                let payload = payload.unwrap_or(&guest.user).clone();
                guest.say(format!("{role}{word}:{payload}"))?;
            }
            all.iter_mut().try_for_each(|(_, guest)| guest.expect_ok().map(drop))?;
        }
        for bob in &mut bobs {
            bob.ok("sendall:hello")?;
            let line = bob.delivery(&room, "hello");
            eves.iter_mut().try_for_each(|eve| eve.expect(&line))?;
        }
        Ok(())
    })
}

/// Some of them say something, and the others listen.
fn two_hundred(stage: &mut Stage) -> Step {
    const LISTENERS: usize = 150;
    const SPEAKERS: usize = 50;
    let room = stage.name("cafe");
    let mut eves: Vec<Guest> = Vec::new();
    let mut bobs: Vec<Guest> = Vec::new();
    for (tag, guests, count) in [("rlogin", &mut eves, LISTENERS), ("slogin", &mut bobs, SPEAKERS)]
    {
        for _ in 0..count {
            let mut guest = stage.connect("guest")?;
            guest.log_in(tag)?;
            guest.ok(format!("join:{room}"))?;
            guests.push(guest);
        }
    }
    for bob in &mut bobs {
        bob.say("sendall:hello")?;
    }
    for bob in &mut bobs {
        bob.expect_ok()?;
    }
    for eve in &mut eves {
        let mut missing: BTreeSet<_> =
            bobs.iter().map(|bob| bob.delivery(&room, "hello")).collect();
        for _ in 0..SPEAKERS {
            let line = eve.line("a delivery of each sender")?;
            if !missing.remove(line.strip_suffix(b"\r").unwrap_or(&line)) {
                return Err(eve.fail("one delivery of each sender", shown(&line)));
            }
        }
    }
    Ok(())
}

fn come_and_go(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    for number in 0..300 {
        let mut ann = stage.connect("ann")?;
        let login = format!("slogin:{}", ann.user);
        match number % 3 {
            0 => ann.send("quit:\n")?,
            1 => ann.send(format!("{login}\njoin:{room}\nleave:\nquit:\n"))?,
            _ => {
                ann.send(format!("{login}\njoin:{room}\nquit:\n"))?;
                (0..2).try_for_each(|_| ann.expect_ok().map(drop))?;
            }
        }
        ann.close();
    }
    bob.ok("sendall:all gone?")?;
    eve.expect(bob.delivery(&room, "all gone?"))
}

/// As in the course's test of concurrency.
fn turmoil(stage: &mut Stage) -> Step {
    const ROUNDS: usize = 100;
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let bobs: Step<Vec<_>> = (0..3).map(|number| stage.sender(&format!("bob{number}x"))).collect();
    let mut bobs = bobs?;
    let stage = &*stage;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for bob in &mut bobs {
            threads.push(scope.spawn(|| talk(bob, &room, ROUNDS)));
        }
        // Round the same rooms in both directions: who locks two of them may lock up both.
        for ways in [["", "a", "b"], ["b", "a", ""]] {
            let rooms = ways.map(|way| format!("{room}{way}"));
            threads.push(scope.spawn(move || wander(stage, &rooms, ROUNDS)));
        }
        threads.push(scope.spawn(|| listen_and_go(stage, &room, ROUNDS / 4)));
        // A step does not panic.
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    let mut next = vec![0; bobs.len()];
    while next.iter().any(|number| *number < ROUNDS) {
        let line = eve.line("all texts of all who talk")?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let said =
            |(bob, number): (&Guest, &usize)| bob.delivery(&room, number.to_string()) == line;
        match bobs.iter().zip(&next).position(said) {
            Some(at) => next[at] += 1,
            None => return Err(eve.fail("each sender's next text", shown(line))),
        }
    }
    Ok(())
}

fn talk(bob: &mut Guest, room: &str, rounds: usize) -> Step {
    for number in 0..rounds {
        bob.send(format!("join:{room}\nsendall:{number}\nleave:\n"))?;
        (0..3).try_for_each(|_| bob.expect_ok().map(drop))?;
    }
    Ok(())
}

/// Goes from room to room.
fn wander(stage: &Stage, rooms: &[String], rounds: usize) -> Step {
    let mut ann = stage.sender("ann")?;
    let lines: String = rooms.iter().map(|room| format!("join:{room}\n")).collect();
    for _ in 0..rounds {
        ann.send(&lines)?;
        rooms.iter().try_for_each(|_| ann.expect_ok().map(drop))?;
    }
    Ok(())
}

/// Comes into the room as a receiver, and is gone again.
fn listen_and_go(stage: &Stage, room: &str, rounds: usize) -> Step {
    for round in 0..rounds {
        let mut fay = stage.receiver("fay")?;
        fay.say(format!("join:{room}"))?;
        fay.line("anything").given()?;
        if round % 2 == 0 { fay.reset() } else { fay.close() }
    }
    Ok(())
}
