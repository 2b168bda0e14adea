//! Clients that keep others waiting: they do not read, or do not finish a line. Nobody else waits.

use std::thread;
use std::time::Duration;

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
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
            case(
                "unread-then-moves",
                "A receiver that reads late gets all it is owed, also from another room, or a reset.",
                unread_then_moves,
            )
            .full()
            .heavy(),
        ],
    )
}

/// So often in vain, and no more is carried out.
const IN_VAIN: usize = 1000;

/// The server may need a while. No verdict comes of that.
fn wait_a_little() {
    thread::sleep(Duration::from_millis(1));
}

/// Sends so many lines, until all are answered, or no more are. Returns how many were.
pub(super) fn flood(guest: &mut Guest, lines: &str, count: usize) -> usize {
    let (mut rest, mut answered, mut in_vain) = (lines.as_bytes(), 0, 0);
    while answered < count && in_vain < IN_VAIN {
        let taken = guest.push(rest);
        rest = &rest[taken..];
        let more = guest.skip_lines();
        answered += more;
        in_vain += 1;
        if taken + more > 0 {
            in_vain = 0;
        } else {
            wait_a_little();
        }
    }
    answered
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
                    wait_a_little();
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

// In all of these it is some megabytes that nobody reads: more than a system keeps for a connection.

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

/// The texts of one room that a receiver gets, and the answer to its join of another.
struct Owed {
    room: String,
    bob: Guest,
    long: String,
    texts: usize,
    moved: bool,
}

impl Owed {
    /// Takes a line: the next text, or the answer, wherever that comes.
    fn take(&mut self, eve: &Guest, line: &[u8]) -> Step {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let next = self.bob.delivery(&self.room, format!("{}{}", self.texts, self.long));
        match () {
            () if line == next => self.texts += 1,
            () if line.starts_with(b"ok:") && !self.moved => self.moved = true,
            () => return Err(eve.fail(shown(&next), shown(line))),
        }
        Ok(())
    }
}

fn unread_then_moves(stage: &mut Stage) -> Step {
    const TEXTS: usize = 22_000;
    let (home, away) = (stage.name("home"), stage.name("away"));
    let mut eve = stage.receiver_in("eve", &home)?;
    let mut amy = stage.sender_in("amy", &away)?;
    let bob = stage.sender_in("bob", &home)?;
    let long = "x".repeat(230);
    let lines: String = (0..TEXTS).map(|number| format!("sendall:{number}{long}\n")).collect();
    let mut owed = Owed { room: home, bob, long, texts: 0, moved: false };
    let answered = flood(&mut owed.bob, &lines, TEXTS);
    eve.say(format!("join:{away}"))?;
    while !owed.moved || owed.texts < answered {
        let Some(line) = eve.line_or_cut("all texts that were answered with ok")? else {
            return Ok(());
        };
        owed.take(&eve, &line)?;
    }
    amy.ok("sendall:welcome").given()?;
    let welcome = amy.delivery(&away, "welcome");
    while let Some(line) = eve.line_or_cut(&shown(&welcome))? {
        if line.strip_suffix(b"\r").unwrap_or(&line) == welcome {
            break;
        }
        owed.take(&eve, &line)?;
    }
    Ok(())
}
