//! The load itself: one thread, a loop over all its connections.
//!
//! Knows sockets and the clock. What is sent, and what comes of it, is the clients' part.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use log::info;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::client::{BACKLOG, Client, Progress, RESPONSE_TIMEOUT, Role};
use super::error::BenchError;
use super::plan::Plan;
use super::replay;
use super::report::Report;
use crate::client::ClientError;

/// Clients that log in at the same time.
const LOGINS: usize = 64;

/// How long to listen for duplicates when all has come that should.
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
pub(super) fn run(plan: &Plan, mut show: impl FnMut(&Report)) -> Result<Report, BenchError> {
    plan.check_descriptors()?;
    let begun = plan.history.then(|| replay::begin(plan)).transpose()?;
    let mut load = Load::new(plan)?;
    load.open_all()?;
    load.send_all(&mut show)?;
    if let Some(begun) = begun {
        load.report.replayed = Some(replay::check(plan, &begun, &load.progress.answers)?);
    }
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

impl<'a> Load<'a> {
    fn new(plan: &'a Plan) -> io::Result<Self> {
        Ok(Load {
            plan,
            poll: Poll::new()?,
            clients: Vec::with_capacity(plan.clients()),
            progress: Progress::new(plan.senders),
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
        let Plan { senders, receivers, .. } = self.plan;
        info!("logged in and in their rooms: senders {senders}, receivers {receivers}");
        Ok(())
    }

    fn open(&mut self, number: usize) -> Result<(), BenchError> {
        let wanted = self.plan.clients();
        let fail = |source| BenchError::Connect { open: number, wanted, source };
        let stream = self.plan.address.connect().map_err(fail)?;
        if number == 0 {
            info!("connected to {}", stream.peer());
        }
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
        self.poll_once(RESPONSE_TIMEOUT)?;
        // The error tells how many clients got in, so wait for those on their way.
        while self.progress.refused > 0 && self.progress.joining > 0 && !self.progress.is_stuck() {
            self.poll_once(RESPONSE_TIMEOUT)?;
        }
        let Progress { joining, refused, .. } = self.progress;
        let (open, wanted) = (self.clients.len() - joining - refused, self.plan.clients());
        if let Some(line) = self.progress.stranger.take() {
            return Err(BenchError::Connect { open, wanted, source: ClientError::NoChat(line) });
        }
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
        self.progress.last_received = self.progress.begun;
        self.progress.running = true;
        (self.plan.receivers..self.clients.len()).for_each(|number| self.send(number));
        let mut shown = Instant::now();
        while self.is_unfinished() {
            self.poll_once(SHOW)?;
            self.send_what_is_due();
            if shown.elapsed() >= SHOW {
                shown = Instant::now();
                self.report.seconds = self.progress.begun.elapsed().as_secs_f64();
                show(&self.report);
            }
        }
        self.report.seconds = (self.progress.last_received - self.progress.begun).as_secs_f64();
        self.linger()?;
        self.tally();
        Ok(())
    }

    /// Listens for duplicates.
    fn linger(&mut self) -> Result<(), BenchError> {
        let end = Instant::now() + LINGER;
        loop {
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => self.poll_once(left)?,
            }
        }
    }

    /// Counts what only the end shows.
    fn tally(&mut self) {
        let Load { plan, clients, progress, report, .. } = self;
        for client in clients {
            report.cut += u64::from(client.closed);
            match &client.role {
                Role::Sender(sender) => report.unanswered += sender.unanswered.len() as u64,
                Role::Receiver(receiver) => report.lost += receiver.lost(plan, &progress.answers),
            }
        }
        report.unsent = plan.texts_due().map_or(0, |due| due.saturating_sub(report.texts));
    }

    /// Something is still to come, and may come; or to be sent.
    fn is_unfinished(&self) -> bool {
        let Progress { unanswered, expected, listening, .. } = self.progress;
        if unanswered > 0 || self.report.deliveries < expected && listening > 0 {
            !self.progress.is_stuck()
        } else {
            !self.schedule.is_empty()
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
    fn poll_once(&mut self, most: Duration) -> Result<(), BenchError> {
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

    /// Reads what is there. A short read may leave the socket empty, unless it has ended.
    fn read(&mut self, number: usize, ended: bool) {
        let Load { clients, buffer, progress, report, plan, .. } = self;
        let client = &mut clients[number];
        while !client.closed {
            match client.stream.read(buffer) {
                Ok(count) if count > 0 => {
                    progress.last_received = Instant::now();
                    client.take(&buffer[..count], plan, progress, report);
                    if count < buffer.len() && !ended && client.stream.is_empty_after_short_read() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                ended => {
                    if ended.is_ok() {
                        client.end(plan, progress, report);
                    }
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
        let mut is_behind = false;
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
                if client.output.len() >= BACKLOG {
                    is_behind = true;
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
        // If the socket is full, its next event will do.
        if is_behind
            && client.output.is_empty()
            && let Role::Sender(sender) = &mut client.role
            && !mem::replace(&mut sender.scheduled, true)
        {
            schedule.push(Reverse((progress.now(), number)));
        }
    }
}
