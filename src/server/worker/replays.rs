//! A receiver that is given what a log has, while others talk, its room moves, texts are let go of or
//! lost, and it joins another room: in every order of a few steps, and in many random ones of many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::test_log::TestLog;
use super::test_server::{Client, MINUTE, TestServer, WORKERS};
use crate::server::chat::effects::Effect;
use crate::server::shutdown::Pace;

/// Texts of a page at most, so that a replay takes several.
const PAGE: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A sender says something in one room.
    Say(usize),
    /// The log gives a page that somebody waits for.
    Page,
    /// The log looks such a page up, which is given with the next step of the kind.
    LookUp,
    /// The receiver joins a room, with its last three texts.
    Join(usize),
    /// The receiver goes on with records, or joins where it is.
    Stay,
    /// A room gets another home.
    Move(usize),
    /// The log lets go of one more text, of each room.
    Trim,
    /// The log loses the last text of each room, and begins another epoch.
    Lose,
    /// The log knows about the rooms that receivers wait for.
    Open,
}

const STEPS: [Step; 12] = [
    Step::Open,
    Step::Say(0),
    Step::Say(1),
    Step::Page,
    Step::LookUp,
    Step::Lose,
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
    /// How many texts there have been, so that no two are the same.
    said: usize,
    /// For each epoch, the texts of each room.
    epochs: Vec<[Vec<usize>; 2]>,
    looked_up: Option<Effect>,
    /// For each line that the receiver has sent, the epoch, and how many texts each room had.
    asked: Vec<(usize, [usize; 2])>,
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
        let (epochs, looked_up, heard) = (vec![<[Vec<usize>; 2]>::default()], None, String::new());
        let (said, asked) = (0, Vec::new());
        let mut model =
            Model { log, server, senders, receiver, said, epochs, looked_up, asked, heard };
        (0..3).for_each(|_| model.take(Step::Say(0)));
        (0..3).for_each(|_| model.take(Step::Say(1)));
        model
    }

    /// What there is of each room now.
    fn texts(&mut self) -> &mut [Vec<usize>; 2] {
        self.epochs.last_mut().unwrap()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Say(room) => {
                self.said += 1;
                let text = self.said;
                self.texts()[room].push(text);
                self.senders[room].send(&format!("sendall:{text}\n"));
            }
            Step::Page => match self.looked_up.take() {
                Some(effect) => self.server.shared.carry_out(effect),
                None => drop(self.log.give_page(PAGE, &self.server.shared)),
            },
            Step::LookUp => {
                if self.looked_up.is_none() {
                    self.looked_up = self.log.look_up(PAGE);
                }
            }
            Step::Join(room) => self.ask(&format!("history:last=3\njoin:{}\n", ROOMS[room])),
            Step::Stay => self.ask("history:\n"),
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
            Step::Lose => {
                let mut left = self.texts().clone();
                left.iter_mut().for_each(|texts| {
                    texts.pop();
                });
                self.epochs.push(left);
                self.log.lose(&self.server.shared);
            }
        }
        self.server.step_all();
        self.heard += &self.receiver.heard();
    }

    /// The receiver sends lines.
    fn ask(&mut self, lines: &str) {
        self.receiver.try_send(lines);
        let epoch = self.epochs.len() - 1;
        let texts = self.epochs[epoch].each_ref().map(Vec::len);
        self.asked.extend(lines.lines().map(|_| (epoch, texts)));
    }

    /// How many of these lines are answered.
    fn answered(&self) -> usize {
        self.heard.lines().filter(|line| line.starts_with("ok:")).count()
    }

    /// Gives the receiver all that it waits for; then each room says something more.
    fn finish(&mut self) {
        for step in [Step::Say(0), Step::Say(1)] {
            self.take(step);
            // One thing may lead to the next.
            for round in 0..200 {
                if round > 5 && self.answered() == self.asked.len() {
                    break;
                }
                self.take(Step::Open);
                self.take(Step::Page);
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
        let mut place: Option<Place> = None;
        let mut asked = self.asked.iter();
        for line in self.heard.lines() {
            if line.starts_with("ok:")
                && let Some(lines) = asked.next()
                && let Some(place) = place
                && place.is_owed(*lines, &self.epochs)
            {
                fail(&format!("at {place:?}, it is not given what it is owed before {line}"));
            }
            if let Some(joined) = line.strip_prefix("ok:joined room ") {
                let (name, span) = joined.split_once(" @").unwrap();
                let room = ROOMS.iter().position(|room| *room == name).unwrap();
                let (epoch, seq) = position(span.split_once("..").unwrap().0);
                place = Some(Place { room, epoch, seq });
            } else if let Some(record) = line.strip_prefix("record:") {
                let parts: Vec<_> = record.split(':').collect();
                let Some(place) = &mut place else { return fail("it is in no room") };
                let (epoch, seq) = position(parts[0]);
                if !place.advance(epoch, seq, &self.epochs) {
                    fail(&format!("{line} comes after {place:?}"));
                }
                let text = self.epochs[epoch][place.room][seq - 1].to_string();
                if parts[1..] != ["0", ROOMS[place.room], "bob", &text] {
                    fail(&format!("{line} should say {text}"));
                }
            }
        }
        let tally = &self.server.shared.tally;
        if tally.cut.load(Ordering::Relaxed) > 0 {
            if !steps.iter().any(|step| matches!(step, Step::Trim)) {
                fail("it was cut");
            }
            return;
        }
        let (answered, asked) = (self.answered(), self.asked.len());
        if answered != asked {
            fail(&format!("{answered} of {asked} lines are answered"));
        }
        let records = self.heard.matches("record:").count() as u64;
        let counted = tally.deliveries.load(Ordering::Relaxed);
        if counted != records {
            fail(&format!("{records} records are {counted} deliveries"));
        }
        let last = self.epochs.len() - 1;
        if let Some(Place { room, epoch, seq }) = place
            && (epoch, seq) != (last, self.epochs[last][room].len())
        {
            fail(&format!("text {} of {} is missing", seq + 1, ROOMS[room]));
        }
    }
}

/// Where a receiver is.
#[derive(Clone, Copy, Debug)]
struct Place {
    room: usize,
    /// The first is 0.
    epoch: usize,
    seq: usize,
}

impl Place {
    /// It is before some text that there was when it sent a line, and that has survived.
    fn is_owed(self, (epoch, texts): (usize, [usize; 2]), epochs: &[[Vec<usize>; 2]]) -> bool {
        // Each loss has taken one.
        let left = epochs[epoch..].iter().map(|then| then[self.room].len());
        let left = left.rev().skip(1).map(|count| count.saturating_sub(1));
        self.seq < left.fold(texts[self.room], usize::min)
    }

    /// Goes to the text at that position; `false` if another one is due. After a loss, what has
    /// survived comes once, and what is new comes after that.
    fn advance(&mut self, epoch: usize, seq: usize, epochs: &[[Vec<usize>; 2]]) -> bool {
        for lost in &epochs[self.epoch.min(epoch)..epoch] {
            // What was left of the epoch is what the next one began with.
            self.seq = self.seq.min(lost[self.room].len().saturating_sub(1));
        }
        let is_due = epoch >= self.epoch && seq == self.seq + 1;
        (self.epoch, self.seq) = (epoch, seq);
        is_due
    }
}

/// The number of the epoch, from 0, and the SEQ.
fn position(text: &str) -> (usize, usize) {
    let (epoch, seq) = text.split_once('-').unwrap();
    (epoch.parse::<usize>().unwrap() - 1, seq.parse().unwrap())
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

#[test]
fn one_that_enters_while_an_epoch_begins_goes_on_where_it_was() {
    let mut model = Model::new(true);
    model.ask("history:after=1-1\njoin:here\n");
    model.server.step_all();
    [Step::Lose, Step::Open, Step::Open].into_iter().for_each(|step| model.take(step));
    assert!(model.heard.contains("ok:joined room here @2-1.."), "{}", model.heard);
}

/// A receiver has to be given something before its next line is carried out, and in a stop there is no
/// next line.
#[test]
fn a_stop_gives_one_that_lags_all_that_there_is() {
    let mut model = Model::new(false);
    model.take(Step::Join(0));
    model.ask("join:there\n");
    model.take(Step::Say(0));
    let soon = Instant::now() + Duration::from_millis(50);
    let stopping = model.server.stop(Pace { finish: soon, halt: soon, ..Pace::within(2 * MINUTE) });
    model.server.step_until(&stopping);
    while model.log.give_page(PAGE, &model.server.shared) {
        model.server.step_all();
    }
    model.heard += &model.receiver.heard();
    assert!(model.heard.ends_with(":here:bob:7\n"), "{}", model.heard);
    let left = (0..WORKERS).map(|worker| model.server.shared.placement.sessions(worker));
    assert_eq!(left.sum::<usize>(), 0);
}
