//! One client of a load, and how far all of them have come.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use super::plan::{End, Plan};
use super::report::Report;
use super::text::{Answers, Arrival, Stamp, Tracker};
use crate::client::transport::Stream;
use crate::wire::lines::{Line, LineSplitter};
use crate::wire::protocol::{MAX_DELIVERY, Reply, Request};

/// How long nothing may come from the server before the load gives up.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that a client may have to write before it makes more.
pub(super) const BACKLOG: usize = 64 * 1024;

/// How far the load has come.
pub(super) struct Progress {
    /// Clients that are not in their rooms yet.
    pub joining: usize,
    /// Clients that the server refused.
    pub refused: usize,
    /// The reason that the first of them got, if any.
    pub refusal: Option<Vec<u8>>,
    /// What was said in place of an answer to a login or a join, if anything was.
    pub stranger: Option<Vec<u8>>,
    pub begun: Instant,
    pub running: bool,
    /// When something last came from the server.
    pub last_received: Instant,
    /// When a text was last sent.
    pub last_sent: Instant,
    /// The answers to each sender's texts.
    pub answers: Vec<Answers>,
    /// Texts without an answer, of senders that are connected.
    pub unanswered: usize,
    /// Deliveries that have to come, of texts that were answered `ok`.
    pub expected: u64,
    /// Receivers that are connected.
    pub listening: usize,
}

/// One client.
pub(super) struct Client {
    pub stream: Stream,
    lines: LineSplitter,
    /// Answers to its login and its join that have not come.
    pub joining: u8,
    pub role: Role,
    /// Bytes to write, and how many of them are written.
    pub output: Vec<u8>,
    written: usize,
    pub closed: bool,
}

/// What a client does.
pub(super) enum Role {
    Sender(Sender),
    Receiver(Receiver),
}

/// A client that sends.
pub(super) struct Sender {
    pub number: u16,
    text: Vec<u8>,
    /// When the next text is to be sent; 0, without a rate, for as soon as possible.
    pub due: u64,
    /// It is on the list of those that have a text due later.
    pub scheduled: bool,
    /// When each text that has no answer was to be sent.
    pub unanswered: VecDeque<u64>,
    /// Receivers in its room.
    room_size: usize,
}

/// A client that receives.
pub(super) struct Receiver {
    room: usize,
    /// One for each sender in the room.
    trackers: Vec<Tracker>,
}

impl Progress {
    /// Nothing has come yet.
    pub(super) fn new(senders: usize) -> Self {
        let now = Instant::now();
        Progress {
            joining: 0,
            refused: 0,
            refusal: None,
            stranger: None,
            begun: now,
            running: false,
            last_received: now,
            last_sent: now,
            answers: (0..senders).map(|_| Answers::default()).collect(),
            unanswered: 0,
            expected: 0,
            listening: 0,
        }
    }

    /// Nanoseconds since the load began.
    pub(super) fn now(&self) -> u64 {
        nanoseconds(self.begun.elapsed())
    }

    /// Nothing has come from the server for too long.
    pub(super) fn is_stuck(&self) -> bool {
        self.last_received.max(self.last_sent).elapsed() >= RESPONSE_TIMEOUT
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

impl Client {
    /// Client `number` of the plan, with its login to be written.
    pub(super) fn new(stream: Stream, plan: &Plan, number: usize) -> Self {
        let user = plan.user.as_bytes();
        let (room, login, role) = match number.checked_sub(plan.receivers) {
            None => {
                let room = number % plan.rooms;
                let role = Role::Receiver(Receiver::new(plan, room));
                (room, Request::LogInReceiver(user), role)
            }
            Some(number) => {
                let room = number % plan.rooms;
                let sender = Sender {
                    // There are not more, see `Plan`.
                    number: number as u16,
                    text: vec![b'x'; plan.size],
                    due: plan.rate.map_or(0, |rate| (number as f64 * 1e9 / rate) as u64),
                    scheduled: false,
                    unanswered: VecDeque::new(),
                    room_size: plan.in_room(plan.receivers, room),
                };
                (room, Request::LogInSender(user), Role::Sender(sender))
            }
        };
        let room = plan.room(room);
        let mut output = Vec::new();
        for request in [login, Request::Join(room.as_bytes())] {
            // They are short, and without line breaks.
            let _ = request.encode(&mut output);
        }
        let lines = LineSplitter::new(MAX_DELIVERY);
        Client { stream, lines, joining: 2, role, output, written: 0, closed: false }
    }

    /// Records what came from the server.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        plan: &Plan,
        progress: &mut Progress,
        report: &mut Report,
    ) {
        let now = progress.now();
        let mut bytes = bytes;
        while let Some(line) = self.lines.next(&mut bytes) {
            let reply = match line {
                Line::Whole(line) => Reply::parse(line).ok(),
                Line::TooLong(_) => None,
            };
            match (reply, &mut self.role) {
                (None, _) if self.joining > 0 => {
                    progress.stranger.get_or_insert_with(|| line.bytes().to_vec());
                }
                (Some(Reply::Ok(_)), _) if self.joining > 0 => {
                    self.joining -= 1;
                    progress.joining -= usize::from(self.joining == 0);
                }
                (Some(Reply::Err(reason)), _) if self.joining > 0 => {
                    self.joining = 0;
                    progress.joining -= 1;
                    progress.refused += 1;
                    progress.refusal.get_or_insert_with(|| reason.to_vec());
                }
                (Some(Reply::Delivery(delivery)), Role::Receiver(receiver)) => {
                    receiver.take(delivery.text, now, plan, &progress.answers, report);
                }
                (Some(Reply::Ok(_)), Role::Sender(sender)) => {
                    sender.record_answer(false, now, progress, report);
                }
                (Some(Reply::Err(_)), Role::Sender(sender)) => {
                    sender.record_answer(true, now, progress, report);
                }
                _ => report.strays += 1,
            }
        }
    }

    /// Records that nothing more comes from the server. Its last line need not have an end.
    pub(super) fn end(&mut self, plan: &Plan, progress: &mut Progress, report: &mut Report) {
        if self.lines.partial().is_some() {
            self.take(b"\n", plan, progress, report);
        }
    }

    /// Writes what there is to write, as far as the socket takes it.
    pub(super) fn write(&mut self) {
        while !self.closed && self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.output.drain(..std::mem::take(&mut self.written));
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Reading will tell, after what there is left to read.
                Err(_) => break,
            }
        }
        self.output.clear();
        self.written = 0;
        // What it has taken may have to wait for its next event.
        let _ = self.stream.flush();
    }
}

impl Sender {
    /// There is a text to send after so many that were sent, now or later.
    pub(super) fn wants_more(&self, sent: u32, plan: &Plan, now: u64) -> bool {
        match plan.end {
            End::Texts(count) => sent < count,
            End::After(duration) => now.max(self.due) < nanoseconds(duration),
        }
    }

    /// Appends text `number` to `output`. If there is a rate, the text counts as sent when it was
    /// due, however late that is: a server that stalls must not look better for it.
    pub(super) fn send(&mut self, number: u32, plan: &Plan, now: u64, output: &mut Vec<u8>) {
        let sent = if plan.rate.is_some() { self.due } else { now };
        Stamp { sender: self.number, number, sent }.write(&mut self.text);
        // It is not too long, see `Plan`.
        let _ = Request::SendAll(&self.text).encode(output);
        self.unanswered.push_back(sent);
        if let Some(rate) = plan.rate {
            let turn = (f64::from(number) + 1.0) * plan.senders as f64 + f64::from(self.number);
            self.due = (turn * 1e9 / rate) as u64;
        }
    }

    fn record_answer(
        &mut self,
        refused: bool,
        now: u64,
        progress: &mut Progress,
        report: &mut Report,
    ) {
        let Some(sent) = self.unanswered.pop_front() else {
            report.strays += 1;
            return;
        };
        progress.answers[usize::from(self.number)].record(refused);
        progress.unanswered -= 1;
        report.record_answer(now.saturating_sub(sent));
        if refused {
            report.refused += 1;
        } else {
            progress.expected += self.room_size as u64;
        }
    }
}

impl Receiver {
    /// One in that room, which has got nothing yet.
    pub(super) fn new(plan: &Plan, room: usize) -> Self {
        let trackers = (0..plan.in_room(plan.senders, room)).map(|_| Tracker::default());
        Receiver { room, trackers: trackers.collect() }
    }

    fn take(
        &mut self,
        text: &[u8],
        now: u64,
        plan: &Plan,
        answers: &[Answers],
        report: &mut Report,
    ) {
        match self.record(text, plan, answers) {
            Some((stamp, arrival)) => {
                report.record_delivery(arrival, now.saturating_sub(stamp.sent));
            }
            None => report.strays += 1,
        }
    }

    /// Records that a text has come; `None` if it is none that was sent to the room.
    pub(super) fn record(
        &mut self,
        text: &[u8],
        plan: &Plan,
        answers: &[Answers],
    ) -> Option<(Stamp, Arrival)> {
        let stamp = Stamp::read(text).filter(|_| text.len() == plan.size)?;
        let sender = usize::from(stamp.sender);
        let was_sent = stamp.number < answers.get(sender)?.sent && sender % plan.rooms == self.room;
        let tracker = self.trackers.get_mut(sender / plan.rooms).filter(|_| was_sent)?;
        Some((stamp, tracker.record(stamp.number)))
    }

    /// How many texts have not come that were answered `ok`.
    pub(super) fn lost(&self, plan: &Plan, answers: &[Answers]) -> u64 {
        let in_room = answers.iter().skip(self.room).step_by(plan.rooms);
        self.trackers.iter().zip(in_room).map(|(tracker, answers)| tracker.lost(answers)).sum()
    }
}
