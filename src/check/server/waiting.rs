//! Clients that keep others waiting: they do not read, or do not finish a line. Nobody else waits.

use std::thread;
use std::time::Duration;

use super::stage::{Guest, Stage};
use crate::check::case::{Case, case, topic};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/waiting",
        [
            case(
                "half-a-line",
                "While a client has sent only half a line, others go on.",
                half_a_line,
            ),
            case(
                "unread-answers",
                "While a client does not read its answers, others go on.",
                unread_answers,
            )
            .full()
            .heavy(),
            case(
                "unread-deliveries",
                "While a receiver does not read, other rooms go on.",
                unread_deliveries,
            )
            .full()
            .heavy(),
        ],
    )
}

/// Two who talk in a room of their own.
struct Others {
    room: String,
    eve: Guest,
    bob: Guest,
    said: usize,
}

impl Others {
    fn new(stage: &Stage) -> Step<Self> {
        let room = stage.name("others");
        let eve = stage.receiver_in("eve", &room)?;
        let bob = stage.sender_in("bob", &room)?;
        let mut others = Others { room, eve, bob, said: 0 };
        others.go_on().given()?;
        Ok(others)
    }

    fn go_on(&mut self) -> Step {
        self.said += 1;
        let text = format!("number {}", self.said);
        self.bob.ok(format!("sendall:{text}"))?;
        self.eve.expect(self.bob.delivery(&self.room, text))
    }

    /// They go on while somebody sends these lines, so many times, or until no more are carried out.
    /// The lines end with a text that the witness hears.
    fn go_on_beside(
        &mut self,
        (guest, witness): (&mut Guest, &mut Guest),
        lines: &str,
        (times, reads): (usize, bool),
    ) -> Step {
        /// So often in vain, and no more are.
        const IN_VAIN: usize = 1000;
        for _ in 0..times {
            let (mut rest, mut in_vain) = (lines.as_bytes(), 0);
            while !witness.skip() {
                if in_vain == IN_VAIN {
                    return Ok(());
                }
                let taken = guest.push(rest);
                rest = &rest[taken..];
                if reads {
                    guest.skip();
                }
                if taken == 0 {
                    in_vain += 1;
                    // No verdict comes of that, but the server may need a while.
                    thread::sleep(Duration::from_millis(1));
                }
                self.go_on()?;
            }
        }
        Ok(())
    }
}

fn half_a_line(stage: &mut Stage) -> Step {
    let mut others = Others::new(stage)?;
    let room = stage.name("cafe");
    for half in ["s", "slogin:ann", "join:", "sendall:hel"] {
        let mut ann = match half {
            "join:" => stage.sender("ann")?,
            "sendall:hel" => stage.sender_in("ann", &room)?,
            _ => stage.connect("ann")?,
        };
        ann.send(half)?;
        for _ in 0..3 {
            others.go_on()?;
        }
        // Newcomers are served, too.
        stage.sender("amy")?;
    }
    Ok(())
}

// In both of these it is some megabytes that nobody reads: more than a system keeps for a connection.

fn unread_answers(stage: &mut Stage) -> Step {
    let mut others = Others::new(stage)?;
    let last = stage.name("last");
    let mut gus = stage.receiver_in("gus", &last)?;
    let mut ann = stage.sender("ann")?;
    ann.read_little();
    let lines = "leave:\n".repeat(10_000) + &format!("join:{last}\nsendall:well?\nleave:\n");
    others.go_on_beside((&mut ann, &mut gus), &lines, (50, false))?;
    ann.reset();
    others.go_on()
}

fn unread_deliveries(stage: &mut Stage) -> Step {
    let mut others = Others::new(stage)?;
    let (room, last) = (stage.name("cafe"), stage.name("last"));
    let mut gus = stage.receiver_in("gus", &last)?;
    let fay = stage.receiver_in("fay", &room)?;
    fay.read_little();
    let mut ann = stage.sender_in("ann", &room)?;
    let texts = format!("sendall:{}\n", "x".repeat(246)).repeat(500);
    let lines = texts + &format!("join:{last}\nsendall:well?\njoin:{room}\n");
    others.go_on_beside((&mut ann, &mut gus), &lines, (60, true))?;
    ann.reset();
    fay.reset();
    others.go_on()
}
