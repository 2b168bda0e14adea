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
use crate::client::command::{Command, MAX_INPUT, understand};
use crate::client::error::ClientError;
use crate::client::link::{Link, Outage};
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
    Pipeline::new(link, "line", Feed::Lines { input, ended: false, over: false }).run()
}

/// Sends texts, as they are.
pub(super) fn send(link: Link, texts: &[String]) -> Result<(), ClientError> {
    Pipeline::new(link, "text", Feed::Texts(texts.iter())).run()
}

/// Where requests come from.
enum Feed<'a> {
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

impl Feed<'_> {
    /// The next unit of those that are here.
    fn next(&mut self) -> Option<Unit> {
        match self {
            Feed::Texts(texts) => {
                texts.next().map(|text| encoded(&Request::SendAll(text.as_bytes())))
            }
            Feed::Lines { over: true, .. } => None,
            Feed::Lines { input, ended, over } => {
                let unit = input.next_line().map(understood);
                if unit.is_some() || !*ended {
                    return unit;
                }
                *over = true;
                // A last line need not have an end.
                input.partial().map(understood)
            }
        }
    }

    /// There is a unit here, or a part of one.
    fn has_some(&self) -> bool {
        match self {
            Feed::Texts(texts) => texts.len() > 0,
            Feed::Lines { input, over, .. } => !over && input.has_rest(),
        }
    }

    /// Nothing is here, and nothing will come.
    fn is_over(&self) -> bool {
        match self {
            Feed::Texts(texts) => texts.len() == 0,
            Feed::Lines { over, .. } => *over,
        }
    }

    /// Where more may come from.
    fn source(&self) -> Option<&File> {
        match self {
            Feed::Lines { input, ended: false, .. } => Some(input.source()),
            _ => None,
        }
    }

    /// Reads more. To be called when there is no [`Feed::next`].
    fn fill(&mut self) -> io::Result<()> {
        if let Feed::Lines { input, ended, .. } = self {
            *ended = !input.fill()?;
        }
        Ok(())
    }
}

fn understood(line: Line<'_>) -> Unit {
    match understand(line) {
        Ok(Command::Nothing) => Ok(None),
        Ok(Command::Send(request)) => encoded(&request),
        Err(mistake) => Err(mistake.to_string()),
    }
}

fn encoded(request: &Request<'_>) -> Unit {
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
    feed: Feed<'a>,
    /// What the feed's units are called.
    unit: &'static str,
    /// Units so far.
    number: usize,
    /// After `/quit`, nothing more is wanted.
    quits: bool,
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

impl<'a> Pipeline<'a> {
    fn new(link: Link, unit: &'static str, feed: Feed<'a>) -> Self {
        Pipeline {
            link,
            feed,
            unit,
            number: 0,
            quits: false,
            row: VecDeque::new(),
            output: Vec::new(),
            given: 0,
            failed: false,
        }
    }

    fn run(mut self) -> Result<(), ClientError> {
        loop {
            let exhausted = self.take_units();
            self.write()?;
            self.take_answers()?;
            if self.row.is_empty() && (self.quits || self.feed.is_over()) {
                break;
            }
            let (more_input, news) = self.wait(exhausted)?;
            if news {
                self.read()?;
            }
            if more_input {
                self.feed.fill().map_err(TerminalError::Input)?;
            }
        }
        if self.failed { Err(ClientError::Reported) } else { Ok(()) }
    }

    /// Appends requests as long as there are fewer than [`WINDOW`]. Returns `true` if all input that
    /// was read is used up.
    fn take_units(&mut self) -> bool {
        while !self.quits && self.row.len() < WINDOW {
            let Some(unit) = self.feed.next() else { return true };
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
        pending.start = self.given + self.output.len() as u64;
        self.output.extend_from_slice(&pending.line);
        self.row.push_back(pending);
    }

    /// Waits for answers, for the end of the connection, and, if what was read is `exhausted`, for
    /// input. Returns whether there is input, and whether there is something of the server.
    fn wait(&self, exhausted: bool) -> Result<(bool, bool), ClientError> {
        if self.row.is_empty() && !exhausted {
            return Ok((false, false));
        }
        // Answers that come before their requests are left for later.
        let news = if self.row.is_empty() { PollFlags::RDHUP } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.link.connection, news)];
        if exhausted {
            fds.extend(self.feed.source().map(|input| PollFd::new(input, PollFlags::IN)));
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
                    self.given += count as u64;
                }
                Err(loss) => {
                    // The server may have sent answers, and a reason, before it closed.
                    while self.link.connection.fill().is_ok() {
                        self.take_answers()?;
                    }
                    self.recover(loss)?;
                }
            }
        }
        Ok(())
    }

    /// Reads answers, waiting for at least one byte of them or the end.
    fn read(&mut self) -> Result<(), ClientError> {
        if self.row.is_empty() {
            let loss = self.link.connection.last_words();
            return self.recover(loss);
        }
        match self.link.connection.fill() {
            Ok(()) => self.take_answers(),
            Err(loss) => self.recover(loss),
        }
    }

    /// Matches the answers that have been read to the requests that wait for one.
    fn take_answers(&mut self) -> Result<(), ClientError> {
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

    /// Makes the connection again, if that is wanted and there is, or may come, something to send.
    /// Sends once more what the server cannot have seen, or what does no harm twice.
    fn recover(&mut self, loss: ClientError) -> Result<(), ClientError> {
        if let Some(Pending { kind: Kind::Quit, .. }) = self.row.front() {
            self.give_up();
            return Ok(());
        }
        if !self.link.retries(&loss) {
            return Err(self.unanswered(loss));
        }
        self.sort_out();
        let has_text = self.row.iter().any(|pending| matches!(pending.kind, Kind::Text));
        let has_some = has_text || !self.quits && self.feed.has_some();
        let Pipeline { link, feed, quits, .. } = self;
        let source = feed.source().filter(|source| !*quits && !has_ended(source, Duration::ZERO));
        if !has_some && source.is_none() {
            notice(&loss);
            self.give_up();
            return Ok(());
        }
        let mut outage = WhileNeeded { source: source.filter(|_| !has_some), over: false };
        match link.reopen(loss, &mut outage) {
            Err(_) if outage.over => self.give_up(),
            result => result?,
        }
        Ok(())
    }

    /// Nothing more is sent.
    fn give_up(&mut self) {
        self.row.clear();
        self.output.clear();
        self.quits = true;
    }

    /// Keeps what can be sent once more, and reports the rest.
    fn sort_out(&mut self) {
        let given = mem::take(&mut self.given);
        self.output.clear();
        for pending in mem::take(&mut self.row) {
            if matches!(pending.kind, Kind::Text) && pending.start < given {
                notice(&format_args!("{} {}: {UNSURE}", self.unit, pending.number));
                self.failed = true;
            } else {
                self.append(pending);
            }
        }
    }

    /// The error that the connection is lost, and with it the answers.
    fn unanswered(&self, loss: ClientError) -> ClientError {
        match (self.row.front(), self.row.back()) {
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
struct WhileNeeded<'a> {
    /// Where input may come from, if there is nothing to send so far.
    source: Option<&'a File>,
    /// No input came, and none can come any more.
    over: bool,
}

impl Outage for WhileNeeded<'_> {
    fn pause(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        self.over = self.source.is_some_and(|source| has_ended(source, time));
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
