//! The load itself: one thread, a loop over all its connections.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::report::Report;
use super::text::{Answers, Stamp, Track};
use super::{BenchError, End, Plan};
use crate::client::transport::Stream;
use crate::wire::lines::{Line, LineSplitter};
use crate::wire::protocol::{MAX_DELIVERY, Reply, Request};

/// Clients that log in at the same time.
const LOGINS: usize = 64;

/// How long the server may say nothing at all before the load gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to listen for what should not come when all has come that should.
const LINGER: Duration = Duration::from_millis(250);

/// Bytes that one read takes at most.
const READ: usize = 128 * 1024;

/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(200);

/// Runs the load, and calls `show` with the report so far now and then.
///
/// # Errors
///
/// [`BenchError`] if the load cannot begin. What happens later is in the report.
pub fn run(plan: &Plan, mut show: impl FnMut(&Report)) -> Result<Report, BenchError> {
    plan.check_descriptors()?;
    let mut load = Load::new(plan)?;
    load.open_all()?;
    load.send_all(&mut show)?;
    Ok(load.report)
}

struct Load<'a> {
    plan: &'a Plan,
    poll: Poll,
    /// All clients: the receivers first, then the senders.
    clients: Vec<Client>,
    progress: Progress,
    /// When senders have a text to send, in nanoseconds since the load began, the first first.
    schedule: BinaryHeap<Reverse<(u64, usize)>>,
    buffer: Vec<u8>,
    report: Report,
}

/// How far the load has come.
struct Progress {
    /// Clients that are not in their rooms yet.
    joining: usize,
    /// Clients that the server did not let in.
    refused: usize,
    /// What it said to the first of them, if it said anything.
    refusal: Option<Vec<u8>>,
    begun: Instant,
    running: bool,
    /// When the server last said anything.
    last_news: Instant,
    /// When a text was last sent.
    last_sent: Instant,
    /// What has become of each sender's texts.
    answers: Vec<Answers>,
    /// Texts without an answer, of senders that are connected.
    unanswered: usize,
    /// Deliveries that have to come, of texts that were answered `ok`.
    expected: u64,
    /// Receivers that are connected.
    listening: usize,
}

struct Client {
    stream: Stream,
    lines: LineSplitter,
    /// Answers to its login and its join that have not come.
    joining: u8,
    role: Role,
    /// Bytes to write, and how many of them are written.
    output: Vec<u8>,
    written: usize,
    closed: bool,
}

enum Role {
    Sender(Sender),
    Receiver(Receiver),
}

struct Sender {
    number: u16,
    text: Vec<u8>,
    /// When the next text is to be sent; 0, without a rate, for as soon as possible.
    due: u64,
    /// It is on the list of those that have a text due later.
    scheduled: bool,
    /// When each text that has no answer was to be sent.
    unanswered: VecDeque<u64>,
    /// Receivers in its room.
    audience: usize,
}

struct Receiver {
    room: usize,
    /// One for each sender in the room.
    tracks: Vec<Track>,
}

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Load {
            plan,
            poll: Poll::new()?,
            clients: Vec::with_capacity(plan.clients()),
            progress: Progress {
                joining: 0,
                refused: 0,
                refusal: None,
                begun: now,
                running: false,
                last_news: now,
                last_sent: now,
                answers: (0..plan.senders).map(|_| Answers::default()).collect(),
                unanswered: 0,
                expected: 0,
                listening: 0,
            },
            schedule: BinaryHeap::new(),
            buffer: vec![0; READ],
            report: Report::default(),
        })
    }

    /// Connects all clients and waits until they are in their rooms.
    fn open_all(&mut self) -> Result<(), BenchError> {
        for number in 0..self.plan.clients() {
            self.open(number)?;
            while self.progress.joining >= LOGINS {
                self.log_in_some()?;
            }
        }
        while self.progress.joining > 0 {
            self.log_in_some()?;
        }
        Ok(())
    }

    fn open(&mut self, number: usize) -> Result<(), BenchError> {
        let wanted = self.plan.clients();
        let fail = |source| BenchError::Connect { open: number, wanted, source };
        let stream = self.plan.address.connect().map_err(fail)?;
        stream.set_nonblocking()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut source = SourceFd(&stream.as_fd().as_raw_fd());
        self.poll.registry().register(&mut source, Token(number), interest)?;
        let mut client = Client::new(stream, self.plan, number);
        client.write();
        self.clients.push(client);
        self.progress.joining += 1;
        self.progress.listening += usize::from(number < self.plan.receivers);
        Ok(())
    }

    fn log_in_some(&mut self) -> Result<(), BenchError> {
        self.turn(PATIENCE)?;
        // What becomes of those on their way is of interest once one is refused.
        while self.progress.refused > 0 && self.progress.joining > 0 && !self.progress.is_stuck() {
            self.turn(PATIENCE)?;
        }
        let Progress { joining, refused, .. } = self.progress;
        let (open, wanted) = (self.clients.len() - joining - refused, self.plan.clients());
        match self.progress.refusal.take() {
            Some(reason) => Err(BenchError::Refused { open, wanted, reason }),
            None if refused > 0 => Err(BenchError::Closed { open, wanted }),
            None if self.progress.is_stuck() => Err(BenchError::Silent { open, wanted }),
            None => Ok(()),
        }
    }

    /// Lets all senders send, and waits until all that is to come has come.
    fn send_all(&mut self, show: &mut impl FnMut(&Report)) -> Result<(), BenchError> {
        self.progress.begun = Instant::now();
        self.progress.last_news = self.progress.begun;
        self.progress.running = true;
        (self.plan.receivers..self.clients.len()).for_each(|number| self.send(number));
        let mut shown = Instant::now();
        while self.goes_on() {
            self.turn(SHOW)?;
            self.send_what_is_due();
            if shown.elapsed() >= SHOW {
                shown = Instant::now();
                self.report.seconds = self.progress.begun.elapsed().as_secs_f64();
                show(&self.report);
            }
        }
        self.report.seconds = (self.progress.last_news - self.progress.begun).as_secs_f64();
        self.linger()?;
        self.count_up();
        Ok(())
    }

    /// Listens for a while, in case something comes once more.
    fn linger(&mut self) -> Result<(), BenchError> {
        let end = Instant::now() + LINGER;
        loop {
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => self.turn(left)?,
            }
        }
    }

    /// Counts what only the end shows.
    fn count_up(&mut self) {
        let Load { plan, clients, progress, report, .. } = self;
        for client in clients {
            report.cut += u64::from(client.closed);
            match &client.role {
                Role::Sender(sender) => report.unanswered += sender.unanswered.len() as u64,
                Role::Receiver(receiver) => report.lost += receiver.lost(plan, &progress.answers),
            }
        }
    }

    /// Something is still to come, and may come; or to be sent.
    fn goes_on(&self) -> bool {
        let Progress { unanswered, expected, listening, .. } = self.progress;
        match unanswered > 0 || self.report.deliveries < expected && listening > 0 {
            true => !self.progress.is_stuck(),
            false => !self.schedule.is_empty(),
        }
    }

    fn send_what_is_due(&mut self) {
        let now = self.progress.now();
        while let Some(&Reverse((due, number))) = self.schedule.peek()
            && due <= now
        {
            self.schedule.pop();
            if let Role::Sender(sender) = &mut self.clients[number].role {
                sender.scheduled = false;
            }
            self.send(number);
        }
    }

    /// One look at all sockets, waiting for so long at the most.
    fn turn(&mut self, most: Duration) -> Result<(), BenchError> {
        let mut events = Events::with_capacity(1024);
        let due = self.schedule.peek().map(|Reverse((due, _))| *due);
        let until_due = |due: u64| {
            let wait = Duration::from_nanos(due.saturating_sub(self.progress.now()));
            // The system waits for whole milliseconds; the rest is waited for awake.
            wait.saturating_sub(Duration::from_millis(1))
        };
        let wait = due.map_or(most, |due| until_due(due).min(most));
        if let Err(error) = self.poll.poll(&mut events, Some(wait))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        for event in &events {
            let number = event.token().0;
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.read(number, event.is_read_closed() || event.is_error());
            }
            self.send(number);
        }
        Ok(())
    }

    /// Reads what is there. A short read leaves the socket empty, unless it has ended.
    fn read(&mut self, number: usize, ended: bool) {
        let Load { clients, buffer, progress, report, plan, .. } = self;
        let client = &mut clients[number];
        while !client.closed {
            match client.stream.read(buffer) {
                Ok(count) if count > 0 => {
                    progress.last_news = Instant::now();
                    client.take(&buffer[..count], plan, progress, report);
                    if count < buffer.len() && !ended {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => {
                    client.closed = true;
                    if mem::take(&mut client.joining) > 0 {
                        progress.joining -= 1;
                        progress.refused += 1;
                    }
                    match &client.role {
                        Role::Sender(sender) => progress.unanswered -= sender.unanswered.len(),
                        Role::Receiver(_) => progress.listening -= 1,
                    }
                }
            }
        }
    }

    /// Sends what the plan allows a client to send now, and writes what there is to write.
    fn send(&mut self, number: usize) {
        let Load { clients, plan, progress, schedule, report, .. } = self;
        let client = &mut clients[number];
        if let Role::Sender(sender) = &mut client.role
            && progress.running
            && !client.closed
        {
            let now = progress.now();
            let answers = &mut progress.answers[usize::from(sender.number)];
            while plan.window.is_none_or(|window| sender.unanswered.len() < window)
                && sender.wants_more(answers.sent, plan, now)
            {
                if sender.due > now {
                    if !mem::replace(&mut sender.scheduled, true) {
                        schedule.push(Reverse((sender.due, number)));
                    }
                    break;
                }
                sender.send(answers.sent, plan, now, &mut client.output);
                answers.sent += 1;
                progress.last_sent = Instant::now();
                progress.unanswered += 1;
                report.texts += 1;
            }
        }
        client.write();
    }
}

impl Progress {
    /// Nanoseconds since the load began.
    fn now(&self) -> u64 {
        nanoseconds(self.begun.elapsed())
    }

    /// The server has not said anything for too long.
    fn is_stuck(&self) -> bool {
        self.last_news.max(self.last_sent).elapsed() >= PATIENCE
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

impl Client {
    /// Client `number` of the plan, with its login to be written.
    fn new(stream: Stream, plan: &Plan, number: usize) -> Self {
        let (room, login, role) = match number.checked_sub(plan.receivers) {
            None => {
                let room = number % plan.rooms;
                let tracks = (0..plan.in_room(plan.senders, room)).map(|_| Track::default());
                let role = Role::Receiver(Receiver { room, tracks: tracks.collect() });
                (room, Request::LogInReceiver(b"bench"), role)
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
                    audience: plan.in_room(plan.receivers, room),
                };
                (room, Request::LogInSender(b"bench"), Role::Sender(sender))
            }
        };
        // Rooms of its own, in case others use the server too.
        let room = format!("bench{}x{room}", std::process::id());
        let mut output = Vec::new();
        for request in [login, Request::Join(room.as_bytes())] {
            // They are short, and without line breaks.
            let _ = request.encode(&mut output);
        }
        let lines = LineSplitter::new(MAX_DELIVERY);
        Client { stream, lines, joining: 2, role, output, written: 0, closed: false }
    }

    /// Takes down what the server says.
    fn take(&mut self, bytes: &[u8], plan: &Plan, progress: &mut Progress, report: &mut Report) {
        let now = progress.now();
        let mut bytes = bytes;
        while let Some(line) = self.lines.next(&mut bytes) {
            let reply = match line {
                Line::Whole(line) => Reply::parse(line).ok(),
                Line::TooLong(_) => None,
            };
            match (reply, &mut self.role) {
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
                    sender.take_answer(false, now, progress, report);
                }
                (Some(Reply::Err(_)), Role::Sender(sender)) => {
                    sender.take_answer(true, now, progress, report);
                }
                _ => report.strays += 1,
            }
        }
    }

    /// Writes what there is to write, as far as the socket takes it.
    fn write(&mut self) {
        while !self.closed && self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Reading will tell, after what there is left to read.
                Err(_) => break,
            }
        }
        self.output.clear();
        self.written = 0;
    }
}

impl Sender {
    /// There is a text to send after so many that were sent, now or later.
    fn wants_more(&self, sent: u32, plan: &Plan, now: u64) -> bool {
        match plan.end {
            End::Texts(count) => sent < count,
            End::After(duration) => now.max(self.due) < nanoseconds(duration),
        }
    }

    /// Appends text `number` to `output`. If there is a rate, the text counts as sent when it was
    /// due, however late that is: a server that stalls must not look better for it.
    fn send(&mut self, number: u32, plan: &Plan, now: u64, output: &mut Vec<u8>) {
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

    fn take_answer(
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
        progress.answers[usize::from(self.number)].take(refused);
        progress.unanswered -= 1;
        report.take_answer(now.saturating_sub(sent));
        match refused {
            true => report.refused += 1,
            false => progress.expected += self.audience as u64,
        }
    }
}

impl Receiver {
    fn take(
        &mut self,
        text: &[u8],
        now: u64,
        plan: &Plan,
        answers: &[Answers],
        report: &mut Report,
    ) {
        let stamp = Stamp::read(text).filter(|_| text.len() == plan.size);
        let sent = |stamp: &Stamp| {
            let answers = answers.get(usize::from(stamp.sender));
            answers.is_some_and(|answers| stamp.number < answers.sent)
        };
        let Some(stamp) = stamp.filter(sent) else {
            report.strays += 1;
            return;
        };
        let sender = usize::from(stamp.sender);
        match self.tracks.get_mut(sender / plan.rooms) {
            Some(track) if sender % plan.rooms == self.room => {
                report.take_delivery(track.take(stamp.number), now.saturating_sub(stamp.sent));
            }
            _ => report.strays += 1,
        }
    }

    /// How many texts have not come that were answered `ok`.
    fn lost(&self, plan: &Plan, answers: &[Answers]) -> u64 {
        let in_room = answers.iter().skip(self.room).step_by(plan.rooms);
        self.tracks.iter().zip(in_room).map(|(track, answers)| track.lost(answers)).sum()
    }
}
