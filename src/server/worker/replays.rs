//! A receiver that is given what a log has, while others talk, its room moves, texts are let go of, and
//! it joins another room: in every order of a few steps, and in many random ones of many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::test_log::TestLog;
use super::test_server::{Client, TestServer};

/// Texts of a page at most, so that a replay takes several.
const PAGE: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A sender says something in one room.
    Say(usize),
    /// The log gives a page that somebody waits for.
    Page,
    /// The receiver joins a room, with its last three texts.
    Join(usize),
    /// The receiver goes on with records, or joins where it is.
    Stay,
    /// A room gets another home.
    Move(usize),
    /// The log lets go of one more text, of each room.
    Trim,
    /// The log knows about the rooms that receivers wait for.
    Open,
}

const STEPS: [Step; 10] = [
    Step::Open,
    Step::Say(0),
    Step::Say(1),
    Step::Page,
    Step::Join(0),
    Step::Join(1),
    Step::Stay,
    Step::Move(0),
    Step::Move(1),
    Step::Trim,
];

const ROOMS: [&str; 2] = ["here", "there"];

/// A server with a log, a sender in each of two rooms, and a receiver.
struct Model {
    log: Arc<TestLog>,
    server: TestServer,
    senders: Vec<Client>,
    receiver: Client,
    said: [usize; 2],
    heard: String,
}

impl Model {
    fn new(opens_late: bool) -> Self {
        let log = TestLog {
            decides_at_once: Some(Ok(())),
            opens_late,
            floor: Some(AtomicU64::new(0)),
            ..TestLog::default()
        };
        let log = Arc::new(log);
        let mut server = TestServer::with_log(Arc::clone(&log) as _);
        let join = |room: &&str| server.client_saying(0, &format!("slogin:bob\njoin:{room}\n"));
        let senders = ROOMS.iter().map(join).collect();
        let receiver = server.client_saying(1, "rlogin:eve\nhistory:\n");
        let mut model =
            Model { log, server, senders, receiver, said: [0; 2], heard: String::new() };
        (0..3).for_each(|_| model.take(Step::Say(0)));
        (0..3).for_each(|_| model.take(Step::Say(1)));
        model
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Say(room) => {
                self.said[room] += 1;
                let text = format!("sendall:{}\n", self.said[room]);
                self.senders[room].send(&text);
            }
            Step::Page => {
                self.log.give_page(PAGE, &self.server.shared);
            }
            Step::Join(room) => {
                self.receiver.try_send(&format!("history:last=3\njoin:{}\n", ROOMS[room]));
            }
            Step::Stay => self.receiver.try_send("history:\n"),
            Step::Move(room) => {
                let room = self.server.room(ROOMS[room]);
                room.move_to(1 - room.home());
            }
            Step::Open => self.log.open_all(Ok(()), &self.server.shared),
            Step::Trim => {
                if let Some(floor) = &self.log.floor {
                    floor.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.server.step_all();
        self.heard += &self.receiver.heard();
    }

    /// Gives the receiver all that it waits for; then each room says something more.
    fn finish(&mut self) {
        for step in [Step::Say(0), Step::Say(1)] {
            self.take(step);
            // One thing may lead to the next.
            for _ in 0..20 {
                self.take(Step::Open);
                while self.log.give_page(PAGE, &self.server.shared) {
                    self.server.step_all();
                }
            }
            self.heard += &self.receiver.heard();
        }
    }

    /// What the receiver has heard is what its rooms have said, from where it was told on.
    fn check(&self, steps: &[Step]) {
        let fail = |why: &str| panic!("{steps:?}: {why}\n{}", self.heard);
        let (mut room, mut next) = ("", 0);
        for line in self.heard.lines() {
            if let Some(joined) = line.strip_prefix("ok:joined room ") {
                let (name, span) = joined.split_once(" @1-").unwrap();
                room = ROOMS.iter().find(|room| **room == name).unwrap();
                next = span.split_once("..").unwrap().0.parse::<usize>().unwrap() + 1;
            } else if let Some(record) = line.strip_prefix("record:1-") {
                let parts: Vec<_> = record.split(':').collect();
                let expected = next.to_string();
                if parts != [&*expected, "0", room, "bob", &*expected] {
                    fail(&format!("text {next} of {room} was due, and not {line}"));
                }
                next += 1;
            }
        }
        let is_cut = self.server.shared.tally.cut.load(Ordering::Relaxed) > 0;
        if is_cut && !steps.iter().any(|step| matches!(step, Step::Trim)) {
            fail("it was cut");
        }
        if let Some(index) = ROOMS.iter().position(|name| *name == room)
            && !is_cut
            && next != self.said[index] + 1
        {
            fail(&format!("text {next} of {room} is missing"));
        }
    }
}

fn try_out(steps: &[Step]) {
    for opens_late in [false, true] {
        let mut model = Model::new(opens_late);
        steps.iter().for_each(|step| model.take(*step));
        model.finish();
        model.check(steps);
    }
}

#[test]
fn a_receiver_that_joins_moves_and_lags_hears_each_text_once_in_any_order_of_steps() {
    for first in STEPS {
        for second in STEPS {
            for third in STEPS {
                try_out(&[Step::Join(0), first, second, third]);
            }
        }
    }
    let mut seed = 7_u64;
    for _ in 0..200 {
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            STEPS[(seed >> 33) as usize % STEPS.len()]
        };
        let steps: Vec<_> = (0..40).map(|_| random()).collect();
        try_out(&steps);
    }
}
