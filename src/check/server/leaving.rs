//! Clients that go, in the middle of everything: nobody else notices.

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::verdict::{Given, Step};

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/leaving",
        [
            case("after-quit", "After the ok for quit, nothing is carried out.", after_quit),
            case(
                "quit-before-login",
                "After a quit before a login, nothing is carried out.",
                quit_before_login,
            )
            .full(),
            case("quit-payload", "quit has any payload.", |stage: &mut Stage| {
                let mut bob = stage.sender("bob")?;
                bob.ok("quit:bye, bye: see you")?;
                bob.expect_end()
            }),
            case(
                "before-login",
                "Clients may go before they say anything.",
                |stage: &mut Stage| go(stage, &[""]),
            ),
            case("in-a-line", "Clients may go in the middle of a line.", |stage: &mut Stage| {
                go(
                    stage,
                    &[
                        "s",
                        "slogin:bob",
                        "slogin:ann\nsend",
                        "slogin:ann\njoin:nowhere\nsendall:ha",
                    ],
                )
            }),
            case(
                "with-answers",
                "Clients may go before they have read their answers.",
                |stage: &mut Stage| {
                    let lines = "leave:\n".repeat(2000);
                    go(stage, &["slogin:ann\n", &format!("slogin:ann\n{lines}")])
                },
            ),
            case("receivers", "Receivers may go while their room talks.", receivers),
            case(
                "receiver-unread",
                "Receivers may go with deliveries that they have not read.",
                unread,
            ),
            case("senders", "Senders may go while they are in a room.", senders),
        ],
    )
}

/// How somebody goes.
const GOODBYES: [fn(Guest); 2] = [Guest::close, Guest::reset];

/// Those who talk and listen, and do not notice anything.
struct Witnesses {
    room: String,
    eves: Vec<Guest>,
    bob: Guest,
}

impl Witnesses {
    fn new(stage: &Stage) -> Step<Self> {
        let room = stage.name("cafe");
        let eves = vec![stage.receiver_in("eve", &room)?];
        let bob = stage.sender_in("bob", &room)?;
        let mut witnesses = Witnesses { room, eves, bob };
        witnesses.talk("before").given()?;
        Ok(witnesses)
    }

    /// One more, who has come after those who go.
    fn add(&mut self, stage: &Stage) -> Step {
        let mut eve = stage.receiver_in("eve", &self.room)?;
        self.bob.ok("sendall:one more").given()?;
        let line = self.bob.delivery(&self.room, "one more");
        self.eves.iter_mut().try_for_each(|eve| eve.expect(&line)).given()?;
        eve.skip_to_line(&line).given()?;
        self.eves.push(eve);
        Ok(())
    }

    /// Says a few texts, so that a server that writes to somebody who is gone notices.
    fn talk(&mut self, word: &str) -> Step {
        for number in 0..5 {
            let text = format!("{word} {number}");
            self.bob.ok(format!("sendall:{text}"))?;
            let line = self.bob.delivery(&self.room, text);
            self.eves.iter_mut().try_for_each(|eve| eve.expect(&line))?;
        }
        Ok(())
    }
}

fn after_quit(stage: &mut Stage) -> Step {
    let mut witnesses = Witnesses::new(stage)?;
    let mut ann = stage.sender_in("ann", &witnesses.room)?;
    ann.send("sendall:the last\nquit:\nsendall:too late\n")?;
    ann.expect_ok()?;
    ann.expect_ok()?;
    // A server that has not read all of it may end with a reset.
    ann.expect_end()?;
    let last = ann.delivery(&witnesses.room, "the last");
    witnesses.eves[0].expect(last)?;
    witnesses.talk("after")
}

fn quit_before_login(stage: &mut Stage) -> Step {
    let mut witnesses = Witnesses::new(stage)?;
    let mut ann = stage.connect("ann")?;
    let lines = format!("quit:\nslogin:{}\njoin:{}\nsendall:too late\n", ann.user, witnesses.room);
    ann.send(lines)?;
    ann.expect_err()?;
    ann.expect_end()?;
    witnesses.talk("after")
}

/// For each of these, somebody comes, sends it, and goes.
fn go(stage: &mut Stage, lines: &[&str]) -> Step {
    let mut witnesses = Witnesses::new(stage)?;
    for lines in lines {
        for goodbye in GOODBYES {
            let mut ann = stage.connect("ann")?;
            ann.send(lines)?;
            goodbye(ann);
            witnesses.talk("after")?;
            // Nothing of theirs is left for the next one.
            stage.connect("amy")?.log_in("slogin")?;
        }
    }
    Ok(())
}

fn receivers(stage: &mut Stage) -> Step {
    let mut witnesses = Witnesses::new(stage)?;
    for goodbye in GOODBYES {
        for number in 0..5 {
            let mut fay = stage.receiver_in("fay", &witnesses.room)?;
            witnesses.add(stage)?;
            witnesses.talk("with her")?;
            let line = witnesses.bob.delivery(&witnesses.room, "with her 0");
            fay.skip_to_line(&line).given()?;
            goodbye(fay);
            witnesses.talk(&format!("without her {number}"))?;
        }
    }
    Ok(())
}

fn unread(stage: &mut Stage) -> Step {
    let mut witnesses = Witnesses::new(stage)?;
    for goodbye in GOODBYES {
        let fays: Step<Vec<_>> =
            (0..10).map(|_| stage.receiver_in("fay", &witnesses.room)).collect();
        witnesses.add(stage)?;
        witnesses.talk("with them")?;
        fays?.into_iter().for_each(goodbye);
        for _ in 0..5 {
            witnesses.talk("without them")?;
        }
    }
    Ok(())
}

fn senders(stage: &mut Stage) -> Step {
    let mut witnesses = Witnesses::new(stage)?;
    for goodbye in GOODBYES {
        for _ in 0..5 {
            let ann = stage.sender_in("ann", &witnesses.room)?;
            goodbye(ann);
            witnesses.talk("after")?;
        }
    }
    Ok(())
}
