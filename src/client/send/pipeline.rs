//! Pipelined requests: many lines or texts are on their way at a time, so that the server sets the
//! pace, and not the round trip.
//!
//! Requests without an answer are kept in order, as answers come. So an error can name its line, and
//! when the connection is lost, it is known of each line whether the server may have seen it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::report::UNSURE;
use crate::client::command::{Command, MAX_INPUT, parse_line};
use crate::client::error::ClientError;
use crate::client::link::{Link, Reconnect};
use crate::system::descriptors;
use crate::terminal::TerminalError;
use crate::terminal::output::{notice, pass_on};
use crate::wire::lines::{Line, LineReader};
use crate::wire::protocol::Request;

/// Requests that may be without an answer. The answers to so many fit into a socket's buffer, so
/// that a server can always write them, even while it is written to.
const WINDOW: usize = 512;

/// Sends what the lines of standard input ask for, until it ends or `/quit`.
pub(super) fn run(link: Link) -> Result<(), ClientError> {
    // Without a buffer of the library's, so that the system knows whether there is more.
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(TerminalError::Input)?;
    let input = LineReader::new(File::from(stdin), MAX_INPUT);
    Pipeline::new(link, "line", Source::Lines { input, ended: false, over: false }).run()
}

/// Sends texts, as they are.
pub(super) fn send(link: Link, texts: &[String]) -> Result<(), ClientError> {
    Pipeline::new(link, "text", Source::Texts(texts.iter())).run()
}

/// Where requests come from.
enum Source<'a> {
    Lines {
        input: LineReader<File>,
        /// All input has been read.
        ended: bool,
        /// All input has been used.
        over: bool,
    },
    Texts(slice::Iter<'a, String>),
}

/// What a unit of input asks for, encoded; `None` if it is nothing, or else what is wrong with it.
type Unit = Result<Option<(Kind, Vec<u8>)>, String>;

impl Source<'_> {
    /// The next unit of those that are here.
    fn next(&mut self) -> Option<Unit> {
        match self {
            Source::Texts(texts) => {
                texts.next().map(|text| encode(&Request::SendAll(text.as_bytes())))
            }
            Source::Lines { over: true, .. } => None,
            Source::Lines { input, ended, over } => {
                let unit = input.next_line().map(requested);
                if unit.is_some() || !*ended {
                    return unit;
                }
                *over = true;
                // A last line need not have an end.
                input.partial().map(requested)
            }
        }
    }

    /// There is a unit here, or a part of one.
    fn has_buffered(&self) -> bool {
        match self {
            Source::Texts(texts) => texts.len() > 0,
            Source::Lines { input, over, .. } => !over && input.has_rest(),
        }
    }

    /// Nothing is here, and nothing will come.
    fn is_over(&self) -> bool {
        match self {
            Source::Texts(texts) => texts.len() == 0,
            Source::Lines { over, .. } => *over,
        }
    }

    /// Where more may come from.
    fn pipe(&self) -> Option<&File> {
        match self {
            Source::Lines { input, ended: false, .. } => Some(input.source()),
            _ => None,
        }
    }

    /// Reads more. To be called when there is no [`Source::next`].
    fn fill(&mut self) -> io::Result<()> {
        if let Source::Lines { input, ended, .. } = self {
            *ended = !input.fill()?;
        }
        Ok(())
    }
}

fn requested(line: Line<'_>) -> Unit {
    match parse_line(line) {
        Ok(Command::Nothing) => Ok(None),
        Ok(Command::Send(request)) => encode(&request),
        Err(error) => Err(error.to_string()),
    }
}

fn encode(request: &Request<'_>) -> Unit {
    let kind = match request {
        Request::Join(room) => Kind::Join(room.to_vec()),
        Request::Leave => Kind::Leave,
        Request::Quit => Kind::Quit,
        _ => Kind::Text,
    };
    let mut line = Vec::new();
    request.encode(&mut line).map_err(|reason| reason.to_string())?;
    Ok(Some((kind, line)))
}

/// Waits for input, for `within` at most. Returns `true` if the pipe is empty and has no writer.
fn has_ended(pipe: &File, within: Duration) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let ready = descriptors::wait(&mut fds, Some(within)).unwrap_or(false);
    ready && !fds[0].revents().contains(PollFlags::IN)
}

struct Pipeline<'a> {
    link: Link,
    source: Source<'a>,
    /// What the feed's units are called.
    unit: &'static str,
    /// Units so far.
    number: usize,
    /// After `/quit`, nothing more is wanted.
    quits: bool,
    /// Requests without an answer, in order.
    in_flight: VecDeque<Pending>,
    /// Bytes to be written.
    output: Vec<u8>,
    /// Bytes that this connection has been given.
    written: u64,
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

impl<'a> Pipeline<'a> {
    fn new(link: Link, unit: &'static str, source: Source<'a>) -> Self {
        Pipeline {
            link,
            source,
            unit,
            number: 0,
            quits: false,
            in_flight: VecDeque::new(),
            output: Vec::new(),
            written: 0,
            failed: false,
        }
    }

    fn run(mut self) -> Result<(), ClientError> {
        loop {
            let exhausted = self.fill_window();
            self.write()?;
            self.handle_answers()?;
            if self.in_flight.is_empty() && (self.quits || self.source.is_over()) {
                break;
            }
            let (more_input, readable) = self.wait(exhausted)?;
            if readable {
                self.read()?;
            }
            if more_input {
                self.source.fill().map_err(TerminalError::Input)?;
            }
        }
        if self.failed { Err(ClientError::Reported) } else { Ok(()) }
    }

    /// Appends requests as long as there are fewer than [`WINDOW`]. Returns `true` if all input that
    /// was read is used up.
    fn fill_window(&mut self) -> bool {
        while !self.quits && self.in_flight.len() < WINDOW {
            let Some(unit) = self.source.next() else { return true };
            self.number += 1;
            match unit {
                Ok(None) => {}
                Ok(Some((kind, line))) => {
                    self.quits = matches!(kind, Kind::Quit);
                    self.append(Pending { number: self.number, kind, line, start: 0 });
                }
                Err(reason) => {
                    notice(&format_args!("{} {}: {reason}", self.unit, self.number));
                    self.failed = true;
                }
            }
        }
        false
    }

    fn append(&mut self, mut pending: Pending) {
        pending.start = self.written + self.output.len() as u64;
        self.output.extend_from_slice(&pending.line);
        self.in_flight.push_back(pending);
    }

    /// Waits for answers, for the end of the connection, and, if what was read is `exhausted`, for
    /// input. Returns whether there is input, and whether there is something of the server.
    fn wait(&self, exhausted: bool) -> Result<(bool, bool), ClientError> {
        if self.in_flight.is_empty() && !exhausted {
            return Ok((false, false));
        }
        // Answers that come before their requests are left for later.
        let readable = if self.in_flight.is_empty() { PollFlags::RDHUP } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.link.connection, readable)];
        if exhausted {
            fds.extend(self.source.pipe().map(|input| PollFd::new(input, PollFlags::IN)));
        }
        descriptors::wait(&mut fds, None).map_err(ClientError::Broken)?;
        let ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| !fd.revents().is_empty());
        Ok((ready(fds.get(1)), ready(fds.first())))
    }

    /// Writes all that there is to write.
    fn write(&mut self) -> Result<(), ClientError> {
        while !self.output.is_empty() {
            match self.link.connection.write(&self.output) {
                Ok(count) => {
                    self.output.drain(..count);
                    self.written += count as u64;
                }
                Err(loss) => {
                    // The server may have sent answers, and a reason, before it closed.
                    while self.link.connection.fill().is_ok() {
                        self.handle_answers()?;
                    }
                    self.recover(loss)?;
                }
            }
        }
        Ok(())
    }

    /// Reads answers, waiting for at least one byte of them or the end.
    fn read(&mut self) -> Result<(), ClientError> {
        if self.in_flight.is_empty() {
            let loss = self.link.connection.close_reason();
            return self.recover(loss);
        }
        match self.link.connection.fill() {
            Ok(()) => self.handle_answers(),
            Err(loss) => self.recover(loss),
        }
    }

    /// Matches the answers that have been read to the requests that wait for one.
    fn handle_answers(&mut self) -> Result<(), ClientError> {
        while !self.in_flight.is_empty()
            && let Some(answer) = self.link.connection.next_answer()?
            && let Some(Pending { number, kind, .. }) = self.in_flight.pop_front()
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

    /// Makes the connection again, if that is wanted and there is, or may come, something to send.
    /// Sends once more what the server cannot have seen, or what does no harm twice.
    fn recover(&mut self, loss: ClientError) -> Result<(), ClientError> {
        if let Some(Pending { kind: Kind::Quit, .. }) = self.in_flight.front() {
            self.stop();
            return Ok(());
        }
        if !self.link.retries(&loss) {
            return Err(self.unanswered(loss));
        }
        self.requeue();
        let has_text = self.in_flight.iter().any(|pending| matches!(pending.kind, Kind::Text));
        let has_buffered = has_text || !self.quits && self.source.has_buffered();
        let Pipeline { link, source, quits, .. } = self;
        let pipe = source.pipe().filter(|pipe| !*quits && !has_ended(pipe, Duration::ZERO));
        if !has_buffered && pipe.is_none() {
            notice(&loss);
            self.stop();
            return Ok(());
        }
        let mut reconnect = WhileInput { pipe: pipe.filter(|_| !has_buffered), over: false };
        match link.reopen(loss, &mut reconnect) {
            Err(_) if reconnect.over => self.stop(),
            result => result?,
        }
        Ok(())
    }

    /// Nothing more is sent.
    fn stop(&mut self) {
        self.in_flight.clear();
        self.output.clear();
        self.quits = true;
    }

    /// Keeps what can be sent once more, and reports the rest.
    fn requeue(&mut self) {
        let written = mem::take(&mut self.written);
        self.output.clear();
        for pending in mem::take(&mut self.in_flight) {
            if matches!(pending.kind, Kind::Text) && pending.start < written {
                notice(&format_args!("{} {}: {UNSURE}", self.unit, pending.number));
                self.failed = true;
            } else {
                self.append(pending);
            }
        }
    }

    /// The error that the connection is lost, and with it the answers.
    fn unanswered(&self, loss: ClientError) -> ClientError {
        match (self.in_flight.front(), self.in_flight.back()) {
            (Some(Pending { number: first, .. }), Some(Pending { number: last, .. })) => {
                ClientError::Unanswered {
                    loss: Box::new(loss),
                    unit: self.unit,
                    first: *first,
                    last: *last,
                }
            }
            _ => loss,
        }
    }
}

/// Reconnects as long as there is, or may come, something to send.
struct WhileInput<'a> {
    /// Where input may come from, if there is nothing to send so far.
    pipe: Option<&'a File>,
    /// No input came, and none can come any more.
    over: bool,
}

impl Reconnect for WhileInput<'_> {
    fn pause(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        self.over = self.pipe.is_some_and(|pipe| has_ended(pipe, time));
        if !self.over {
            thread::sleep(until.saturating_duration_since(Instant::now()));
        }
        !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_quotes_the_window() {
        let quote = format!("up to {WINDOW} lines are on their way at a time");
        assert!(include_str!("../../../README.md").contains(&quote));
    }
}
