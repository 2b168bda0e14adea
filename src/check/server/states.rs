//! The state table: what each line comes to in each state of a connection.

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::verdict::{Given, Step};

/// The states of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    Sender,
    SenderInRoom,
    Receiver,
    ReceiverInRoom,
}

use State::{New, Receiver, ReceiverInRoom, Sender, SenderInRoom};

/// The states, by their names in ids and in words.
const STATES: [(State, &str, &str); 5] = [
    (New, "new", "Before a login"),
    (Sender, "sender", "To a sender that is in no room"),
    (SenderInRoom, "sender-in-room", "To a sender in a room"),
    (Receiver, "receiver", "To a receiver that is in no room"),
    (ReceiverInRoom, "receiver-in-room", "To a receiver in a room"),
];

/// What a line comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// `err`, and nothing changes.
    Err,
    /// `err`, and the connection is closed.
    ErrAndEnd,
    /// `ok`, and this is the state after it.
    Ok(State),
    /// `ok`, and the connection is closed.
    OkAndEnd,
}

/// A column: its name, its lines, and what they come to in each of [`STATES`]. `ROOM` stands for another
/// room than the one that one is in, `USER` for one's name.
type Column = (&'static str, &'static [&'static str], [To; 5]);

const TABLE: &[Column] = &[
    ("slogin", &["slogin:USER"], [To::Ok(Sender), To::Err, To::Err, To::Err, To::Err]),
    ("rlogin", &["rlogin:USER"], [To::Ok(Receiver), To::Err, To::Err, To::Err, To::Err]),
    (
        "join",
        &["join:ROOM"],
        [
            To::Err,
            To::Ok(SenderInRoom),
            To::Ok(SenderInRoom),
            To::Ok(ReceiverInRoom),
            To::Ok(ReceiverInRoom),
        ],
    ),
    ("sendall", &["sendall:hello"], [To::Err, To::Err, To::Ok(SenderInRoom), To::Err, To::Err]),
    ("leave", &["leave:"], [To::Err, To::Err, To::Ok(Sender), To::Err, To::Err]),
    ("quit", &["quit:"], [To::ErrAndEnd, To::OkAndEnd, To::OkAndEnd, To::Err, To::Err]),
    ("anything-else", &["nonsense:USER", "ok:", "err:hello", "delivery:a:b:c"], [To::Err; 5]),
];

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = Vec::new();
    for (column, lines, row) in TABLE {
        for ((state, id, words), to) in STATES.into_iter().zip(*row) {
            let answer = match to {
                To::Err => "is answered with err, and changes nothing",
                To::ErrAndEnd => "is answered with err, and the connection is closed",
                To::Ok(_) => "is answered with ok",
                To::OkAndEnd => "is answered with ok, and the connection is closed",
            };
            let what = if *column == "anything-else" { "an unknown tag" } else { column };
            let asks = format!("{words}, {what} {answer}.");
            let cell = move |stage: &mut Stage| {
                lines.iter().try_for_each(|line| try_cell(stage, state, line, to))
            };
            let cell = case(format!("{id}-{column}"), asks, cell);
            // The reference does not read from a receiver in a room.
            cases.push(if state == ReceiverInRoom { cell.full() } else { cell });
        }
    }
    topic("server/states", cases)
}

/// A cell of the table: a client in that state says a line.
fn try_cell(stage: &mut Stage, state: State, line: &str, to: To) -> Step {
    let (home, other) = (stage.new_name("home"), stage.new_name("other"));
    // What is to be seen afterwards is to be seen of one who says no such line, too.
    if to == To::Err {
        let elsewhere = stage.new_name("elsewhere");
        let mut pattern = guest_in(stage, state, &elsewhere)?;
        assert_state(stage, &mut pattern, state, &elsewhere).given()?;
    }
    let mut guest = guest_in(stage, state, &home)?;
    let line = line.replace("USER", &guest.user).replace("ROOM", &other);
    match to {
        To::Err => {
            guest.err(&line)?;
            // The reference answers some lines twice, and closes after others.
            if stage.is_full() { assert_state(stage, &mut guest, state, &home) } else { Ok(()) }
        }
        To::ErrAndEnd => {
            guest.err(&line)?;
            if stage.is_full() { guest.expect_end() } else { Ok(()) }
        }
        To::Ok(after) => {
            guest.receives |= after == Receiver;
            guest.ok(&line)?;
            match after {
                Sender if state == SenderInRoom => guest.err("sendall:nowhere").map(drop),
                ReceiverInRoom if !stage.is_full() => Ok(()),
                ReceiverInRoom => guest.ok(format!("join:{home}")).map(drop),
                _ => assert_state(stage, &mut guest, after, &other),
            }
        }
        To::OkAndEnd => {
            guest.ok(&line)?;
            guest.expect_end()
        }
    }
}

/// In each of these states, each of these lines, which end as they are to, gets one `err`.
pub(super) fn err_in_each(stage: &mut Stage, lines: &[&str]) -> Step {
    for (state, _, _) in STATES {
        for line in lines {
            if state != ReceiverInRoom || stage.is_full() {
                one_err(stage, state, line)?;
            }
        }
    }
    Ok(())
}

/// A line gets one `err`, and changes nothing.
fn one_err(stage: &Stage, state: State, line: &str) -> Step {
    let home = stage.new_name("home");
    let mut guest = guest_in(stage, state, &home)?;
    guest.send(line)?;
    guest.expect_err()?;
    match state {
        _ if stage.is_full() => assert_state(stage, &mut guest, state, &home),
        // The reference answers malformed lines twice.
        SenderInRoom => guest.ok_in_the_end("sendall:after"),
        Sender => guest.ok_in_the_end(format!("join:{home}")),
        // It may close others.
        New | Receiver | ReceiverInRoom => Ok(()),
    }
}

fn guest_in(stage: &Stage, state: State, room: &str) -> Step<Guest> {
    match state {
        New => stage.connect("ann"),
        Sender => stage.sender("ann"),
        SenderInRoom => stage.sender_in("ann", room),
        Receiver => stage.receiver("ann"),
        ReceiverInRoom => stage.receiver_in("ann", room),
    }
}

/// What is answered next shows that this is the state, and that nothing else was left to come.
fn assert_state(stage: &Stage, guest: &mut Guest, state: State, room: &str) -> Step {
    match state {
        New => guest.log_in("slogin").map(drop),
        Sender | Receiver => guest.ok(format!("join:{room}")).map(drop),
        SenderInRoom => guest.ok("sendall:here").map(drop),
        ReceiverInRoom => {
            let mut bob = stage.sender_in("bob", room)?;
            bob.ok("sendall:here").given()?;
            guest.expect(bob.delivery(room, "here"))
        }
    }
}
