//! Pipelined requests: many lines or texts are on their way at a time, so that the server sets the
//! pace, and not the round trip.
//!
//! Requests without an answer are kept in order, as answers come. So an error can name its line, and
//! when the connection is lost, it is known of each line whether the server may have seen it.

use std::collections::VecDeque;
use std::fs::File;
use std::mem;
use std::slice;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::input::Input;
use super::report::UNSURE;
use crate::client::command::{Command, parse_line};
use crate::client::connection::NoAnswer;
use crate::client::error::ClientError;
use crate::client::link::{Link, Reconnect};
use crate::client::patience::{Due, Patience};
use crate::system::descriptors;
use crate::terminal::TerminalError;
use crate::terminal::output::{notice, pass_on_about};
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// Requests that may be without an answer. The answers to so many fit into a socket's buffer, so
/// that a server can always write them, even while it is written to.
const WINDOW: usize = 512;

/// Sends what the lines of standard input ask for, until it ends or `/quit`.
pub(super) fn run(link: Link) -> Result<(), ClientError> {
    let input = Input::open()?;
    Pipeline::new(link, "line", Source::Lines(input)).run()
}

/// Sends texts, as they are.
pub(super) fn send(link: Link, texts: &[String]) -> Result<(), ClientError> {
    Pipeline::new(link, "text", Source::Texts(texts.iter())).run()
}

/// Where requests come from.
enum Source<'a> {
    Lines(Input),
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
            Source::Lines(input) => input.next_line().map(requested),
        }
    }

    /// There is a unit here, or a part of one.
    fn has_buffered(&self) -> bool {
        match self {
            Source::Texts(texts) => texts.len() > 0,
            Source::Lines(input) => input.has_buffered(),
        }
    }

    /// Nothing is here, and nothing will come.
    fn is_over(&self) -> bool {
        match self {
            Source::Texts(texts) => texts.len() == 0,
            Source::Lines(input) => input.is_over(),
        }
    }

    /// Where more may come from.
    fn pipe(&self) -> Option<&File> {
        match self {
            Source::Lines(input) => input.source(),
            Source::Texts(_) => None,
        }
    }

    /// Reads more if there is no [`Source::next`].
    fn fill(&mut self) -> Result<(), TerminalError> {
        match self {
            Source::Lines(input) => input.fill(),
            Source::Texts(_) => Ok(()),
        }
    }

    /// Waits for input, for `within` at most, and reads it if there is any; if something has been read
    /// and not used, only waits.
    fn wait_for_more(&mut self, within: Duration) {
        let until = Instant::now() + within;
        if !self.has_buffered()
            && let Some(pipe) = self.pipe()
        {
            let mut fds = [PollFd::new(pipe, PollFlags::IN)];
            if descriptors::wait(&mut fds, Some(within)).unwrap_or(false) {
                // A failure is met again, and reported, once the server is back.
                let _ = self.fill();
            }
            if self.is_over() {
                return;
            }
        }
        thread::sleep(until.saturating_duration_since(Instant::now()));
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
    /// With the first of them.
    patience: Patience,
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

impl Pending {
    /// Whether all of it is among the first `written` bytes of the connection.
    fn is_written(&self, written: u64) -> bool {
        self.start + self.line.len() as u64 <= written
    }
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
            patience: Patience::with(&Request::SendAll(b"")),
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
            // First: if the input has ended, a server that closes next is no loss.
            if more_input {
                self.source.fill()?;
            }
            if readable {
                self.read()?;
            } else {
                self.look_at_the_clock()?;
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
        if self.in_flight.len() == 1 {
            self.be_patient();
        }
    }

    /// Waits for the next answer from now on.
    fn be_patient(&mut self) {
        if let Some(first) = self.in_flight.front() {
            self.patience.renew(matches!(first.kind, Kind::Text));
        }
    }

    /// Says that there is no answer, or gives up, if it is time for that.
    fn look_at_the_clock(&mut self) -> Result<(), ClientError> {
        let Some(first) = self.in_flight.front() else { return Ok(()) };
        match self.patience.due() {
            Some(Due::Notice(after)) => {
                notice(&format_args!("{} {}: {}", self.unit, first.number, NoAnswer(after)));
            }
            Some(Due::End) => {
                let loss = self.link.connection.give_up();
                self.recover(loss)?;
            }
            None => {}
        }
        Ok(())
    }

    /// There is an answer to come to something that has been written.
    fn is_owed(&self) -> bool {
        self.in_flight.front().is_some_and(|first| first.is_written(self.written))
    }

    /// Waits for answers, for the end of the connection, for room to write, and, if what was read is
    /// `exhausted`, for input. Returns whether there is input, and whether there is something of the
    /// server.
    fn wait(&self, exhausted: bool) -> Result<(bool, bool), ClientError> {
        if self.in_flight.is_empty() && !exhausted {
            return Ok((false, false));
        }
        // Answers that come before their requests are left for later.
        let mut wanted = if self.is_owed() { PollFlags::IN } else { PollFlags::RDHUP };
        if !self.output.is_empty() {
            wanted |= PollFlags::OUT;
        }
        wanted |= self.link.connection.wanted();
        let mut fds = vec![PollFd::new(&self.link.connection, wanted)];
        if exhausted {
            fds.extend(self.source.pipe().map(|input| PollFd::new(input, PollFlags::IN)));
        }
        let most = if self.in_flight.is_empty() { None } else { self.patience.left() };
        descriptors::wait(&mut fds, most).map_err(ClientError::Broken)?;
        let more_input = fds.get(1).is_some_and(|input| !input.revents().is_empty());
        Ok((more_input, !(fds[0].revents() - PollFlags::OUT).is_empty()))
    }

    /// Writes what there is to write, as far as the connection takes it.
    fn write(&mut self) -> Result<(), ClientError> {
        while !self.output.is_empty() {
            match self.link.connection.write(&self.output) {
                Ok(0) => break,
                Ok(count) => {
                    self.output.drain(..count);
                    self.written += count as u64;
                }
                Err(loss) => self.lose(loss)?,
            }
        }
        self.link.connection.flush();
        Ok(())
    }

    /// Recovers from a failure to write. What was written before may have been answered, and the server
    /// may have given a reason before it closed.
    fn lose(&mut self, loss: ClientError) -> Result<(), ClientError> {
        loop {
            self.handle_answers()?;
            if !self.is_owed() || self.link.connection.fill().is_err() {
                break;
            }
        }
        let loss = self.link.connection.reason_of(loss);
        self.recover(loss)
    }

    /// Reads answers, waiting for at least one byte of them or the end.
    fn read(&mut self) -> Result<(), ClientError> {
        if !self.is_owed() {
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
        while self.is_owed()
            && let Some(answer) = self.link.connection.next_answer()?
            && let Some(Pending { number, kind, .. }) = self.in_flight.pop_front()
        {
            self.be_patient();
            match (answer, kind) {
                (Ok(_), Kind::Text | Kind::Quit) => {}
                (Ok(_), Kind::Join(room)) => self.link.set_room(Some(room)),
                (Ok(_), Kind::Leave) => self.link.set_room(None),
                (Err(reason), kind) => {
                    pass_on_about(&format_args!("{} {number}", self.unit), &reason);
                    // Whatever the answer to `quit` is, the sender ends.
                    self.failed |= !matches!(kind, Kind::Quit);
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
        if !self.quits {
            self.source.wait_for_more(Duration::ZERO);
        }
        let may_wait = !self.quits && !self.source.is_over();
        if !has_text && !may_wait {
            notice(&loss);
            self.stop();
            return Ok(());
        }
        let Pipeline { link, source, .. } = self;
        let mut reconnect = WhileInput { source, needed: has_text, over: false };
        match link.reopen(loss, &mut reconnect) {
            Err(_) if reconnect.over => self.stop(),
            result => result?,
        }
        self.be_patient();
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
struct WhileInput<'a, 'b> {
    source: &'a mut Source<'b>,
    /// There is something to send that is not in the source any more.
    needed: bool,
    /// There is nothing to send, and nothing can come any more.
    over: bool,
}

impl Reconnect for WhileInput<'_, '_> {
    fn pause(&mut self, time: Duration) -> bool {
        if self.needed {
            thread::sleep(time);
        } else {
            self.source.wait_for_more(time);
            self.over = self.source.is_over();
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
