//! Lines from a pipe, many on their way at a time: the server sets the pace, not the round trip.
//!
//! Each line waits in a row for its answer, which comes in order. So an error can name its line, and
//! when the connection is lost, it is known of each line whether the server may have seen it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::command::{Command, Mistake, understand};
use super::{MAX_INPUT, UNSURE};
use crate::client::link::{Link, Outage};
use crate::client::{self, ClientError};
use crate::error::{Error, notice, pass_on};
use crate::lines::{Line, LineReader};
use crate::protocol::Request;

/// Requests that may be without an answer. The answers to so many fit into a socket's buffer, so
/// that a server can always write them, even while it is written to.
const WINDOW: usize = 512;

/// Sends what standard input asks for, until it ends or `/quit`.
pub(super) fn run(link: Link) -> Result<(), Error> {
    // Without a buffer of the library's, so that the system knows whether there is more.
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(Error::Input)?;
    let mut input = LineReader::new(File::from(stdin), MAX_INPUT);
    let mut pipeline = Pipeline::new(link, "line");
    while !pipeline.input_over || !pipeline.row.is_empty() {
        while pipeline.takes_more()
            && let Some(line) = input.next_line()
        {
            pipeline.take(line);
        }
        // There is no line left then. A loss makes room too, but does not use up the lines.
        let wants_input = pipeline.takes_more();
        pipeline.write()?;
        pipeline.take_answers()?;
        let (more_input, more_answers) = pipeline.wait(wants_input.then(|| input.source()))?;
        if more_answers {
            pipeline.read()?;
        }
        if more_input && !input.fill().map_err(Error::Input)? {
            // A last line need not have an end.
            if let Some(line) = input.partial() {
                pipeline.take(line);
            }
            pipeline.input_over = true;
        }
    }
    pipeline.end()
}

/// Sends texts, as they are.
pub(super) fn send(link: Link, texts: &[String]) -> Result<(), Error> {
    let mut pipeline = Pipeline::new(link, "text");
    for text in texts {
        while !pipeline.takes_more() {
            pipeline.exchange()?;
        }
        pipeline.number += 1;
        pipeline.push(Request::SendAll(text.as_bytes()));
    }
    while !pipeline.row.is_empty() {
        pipeline.exchange()?;
    }
    pipeline.end()
}

struct Pipeline {
    link: Link,
    /// What input comes in: lines, or texts.
    unit: &'static str,
    /// Units of input so far.
    number: usize,
    /// No more input is wanted.
    input_over: bool,
    /// Requests without an answer, in order.
    row: VecDeque<Pending>,
    /// Bytes to be written.
    output: Vec<u8>,
    /// Bytes that this connection has been given.
    given: u64,
    /// Something was not sent, or refused.
    failed: bool,
}

/// A request without an answer.
struct Pending {
    number: usize,
    kind: Kind,
    line: Vec<u8>,
    /// Where the line starts among all bytes of this connection.
    start: u64,
}

enum Kind {
    Text,
    Join(Vec<u8>),
    Leave,
    Quit,
}

impl Pipeline {
    fn new(link: Link, unit: &'static str) -> Self {
        Pipeline {
            link,
            unit,
            number: 0,
            input_over: false,
            row: VecDeque::new(),
            output: Vec::new(),
            given: 0,
            failed: false,
        }
    }

    fn takes_more(&self) -> bool {
        !self.input_over && self.row.len() < WINDOW
    }

    /// Does what a line of input asks for.
    fn take(&mut self, line: Line<'_>) {
        self.number += 1;
        let command = match line {
            Line::Whole(line) => understand(line),
            Line::TooLong => Err(Mistake::TooLong),
        };
        match command {
            Ok(Command::Nothing) => {}
            Ok(Command::Send(request)) => self.push(request),
            Err(mistake) => self.fail(&mistake),
        }
    }

    /// Puts a request at the end of the row.
    fn push(&mut self, request: Request<'_>) {
        let kind = match request {
            Request::Join(room) => Kind::Join(room.to_vec()),
            Request::Leave => Kind::Leave,
            Request::Quit => {
                self.input_over = true;
                Kind::Quit
            }
            _ => Kind::Text,
        };
        let mut line = Vec::new();
        match request.encode(&mut line) {
            Ok(()) => self.append(Pending { number: self.number, kind, line, start: 0 }),
            Err(reason) => self.fail(&reason),
        }
    }

    fn append(&mut self, mut pending: Pending) {
        pending.start = self.given + self.output.len() as u64;
        self.output.extend_from_slice(&pending.line);
        self.row.push_back(pending);
    }

    /// The present unit of input cannot be sent.
    fn fail(&mut self, reason: &dyn std::error::Error) {
        notice(&format_args!("{} {}: {reason}", self.unit, self.number));
        self.failed = true;
    }

    /// Writes all that there is to write.
    fn write(&mut self) -> Result<(), Error> {
        while !self.output.is_empty() {
            match self.link.connection.write(&self.output) {
                Ok(count) => {
                    self.output.drain(..count);
                    self.given += count as u64;
                }
                Err(loss) => {
                    // A server that closes has answered some, and may have said why.
                    while self.link.connection.fill().is_ok() {
                        self.take_answers()?;
                    }
                    self.recover(loss)?;
                }
            }
        }
        Ok(())
    }

    /// Writes all that there is to write, and takes some answers.
    fn exchange(&mut self) -> Result<(), Error> {
        self.write()?;
        self.take_answers()?;
        if self.row.is_empty() { Ok(()) } else { self.read() }
    }

    /// Waits until there is input, if it is wanted, or an answer, or the server has closed; tells
    /// whether it is input, and whether it is something else.
    fn wait(&self, input: Option<&File>) -> Result<(bool, bool), Error> {
        if input.is_none() && self.row.is_empty() {
            return Ok((false, false));
        }
        // Answers that come before their requests are left for later.
        let news = if self.row.is_empty() { PollFlags::RDHUP } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.link.connection, news)];
        fds.extend(input.map(|input| PollFd::new(input, PollFlags::IN)));
        client::wait(&mut fds, None)?;
        let ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| !fd.revents().is_empty());
        Ok((ready(fds.get(1)), ready(fds.first())))
    }

    /// Reads answers, waiting for at least one byte of them or the end.
    fn read(&mut self) -> Result<(), Error> {
        let loss = match self.row.is_empty() {
            true => self.link.connection.last_words(),
            false => match self.link.connection.fill() {
                Ok(()) => return self.take_answers(),
                Err(loss) => loss,
            },
        };
        self.recover(loss)
    }

    /// Takes the answers that have been read, as far as requests wait for them.
    fn take_answers(&mut self) -> Result<(), Error> {
        while !self.row.is_empty()
            && let Some(answer) = self.link.connection.next_answer()?
            && let Some(Pending { number, kind, .. }) = self.row.pop_front()
        {
            match (answer, kind) {
                // Whatever the answer to `quit` is, it is over.
                (_, Kind::Quit) => {}
                (Ok(_), Kind::Text) => {}
                (Ok(_), Kind::Join(room)) => self.link.identity.room = Some(room),
                (Ok(_), Kind::Leave) => self.link.identity.room = None,
                (Err(reason), _) => {
                    pass_on(&format!("{} {number}: ", self.unit), &reason);
                    self.failed = true;
                }
            }
        }
        Ok(())
    }

    /// Makes the connection again, if that is wanted, and sends once more what the server cannot
    /// have seen, or may well see twice.
    fn recover(&mut self, loss: ClientError) -> Result<(), Error> {
        if let Some(Pending { kind: Kind::Quit, .. }) = self.row.front() {
            self.row.clear();
            self.output.clear();
            return Ok(());
        }
        if self.link.retries(&loss) {
            self.sort_out();
        }
        let mut outage = WhileNeeded { idle: self.row.is_empty(), over: self.input_over };
        match self.link.reopen(loss, &mut outage) {
            // There is nothing left to send.
            Err(_) if outage.idle && outage.over => {
                self.input_over = true;
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// Keeps of the row what can be sent once more, and reports the rest.
    fn sort_out(&mut self) {
        let given = std::mem::take(&mut self.given);
        self.output.clear();
        for pending in std::mem::take(&mut self.row) {
            if matches!(pending.kind, Kind::Text) && pending.start < given {
                notice(&format_args!("{} {}: {UNSURE}", self.unit, pending.number));
                self.failed = true;
            } else {
                self.append(pending);
            }
        }
    }

    fn end(self) -> Result<(), Error> {
        match self.failed {
            true => Err(Error::Said),
            false => Ok(()),
        }
    }
}

/// Waits until the server is back, as long as there is something to send, or may be.
struct WhileNeeded {
    /// Nothing waits to be sent.
    idle: bool,
    /// The input is over.
    over: bool,
}

impl Outage for WhileNeeded {
    fn say(&mut self, what: &dyn Display) {
        notice(what);
    }

    fn pause(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        if self.idle && !self.over {
            let stdin = io::stdin();
            let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
            let ready = matches!(client::wait(&mut fds, Some(time)), Ok(true));
            // A pipe that is empty and that nobody writes to any more.
            self.over = ready && !fds[0].revents().contains(PollFlags::IN);
        }
        let needed = !(self.idle && self.over);
        if needed {
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        needed
    }
}
