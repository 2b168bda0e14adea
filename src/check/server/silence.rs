//! Connections that are silent for a while. It takes its time, so it comes last.

use std::thread;
use std::time::Duration;

use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::verdict::{Given, Step};

/// Longer than a thread sleeps that looks from time to time whether there is something to do. A machine
/// that makes it longer changes nothing.
const PAUSE: Duration = Duration::from_secs(6);

pub(super) fn cases() -> Vec<Case<Stage>> {
    topic(
        "server/silence",
        [case(
            "served-after",
            "Who has been silent for some seconds is served as before.",
            served_after,
        )],
    )
}

fn served_after(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = stage.receiver_in("eve", &room)?;
    let mut bob = stage.sender_in("bob", &room)?;
    let mut fay = stage.receiver("fay")?;
    let mut amy = stage.sender("amy")?;
    bob.ok("sendall:before").given()?;
    eve.expect(bob.delivery(&room, "before")).given()?;
    thread::sleep(PAUSE);
    for text in ["after", "and after"] {
        bob.ok(format!("sendall:{text}"))?;
        eve.expect(bob.delivery(&room, text))?;
    }
    fay.ok(format!("join:{room}"))?;
    amy.ok(format!("join:{room}"))?;
    amy.ok("sendall:all here?")?;
    let line = amy.delivery(&room, "all here?");
    [eve, fay].iter_mut().try_for_each(|guest| guest.expect(&line))
}
