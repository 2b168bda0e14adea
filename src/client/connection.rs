//! A connection to a server: requests and their answers, lines as they come.
//!
//! Knows the protocol's lines. Must not know which transport carries them, nor which user and room it
//! is for.

use std::fmt::{self, Display};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use log::{debug, error};
use rustix::event::{PollFd, PollFlags};

use super::error::ClientError;
use super::patience::{Due, Patience};
use super::transport::{Address, Stream};
use super::turn::Turn;
use crate::system::descriptors::wait;
use crate::wire::lines::{Line, LineReader};
use crate::wire::protocol::{Reply, Request, begins_record};

/// The longest line that is taken from a server, in bytes: far more than a legal delivery has.
const MAX_REPLY: usize = 16 * 1024;

/// A server's answer to a request: the payload of its `ok`, or of its `err`.
pub(crate) type Answer = Result<Vec<u8>, Vec<u8>>;

/// Says what a person should know while something takes long.
pub(crate) type Notice<'a> = dyn FnMut(&dyn Display) + 'a;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    input: LineReader<Stream>,
    /// It was given up, since an answer did not come.
    given_up: bool,
}

impl Connection {
    /// Connects to a server, see [`Address::connect_in`].
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownHost`] or [`ClientError::Connect`].
    pub(super) fn open(address: &Address, turn: &mut Turn) -> Result<Self, ClientError> {
        let stream = address.connect_in(turn)?;
        Ok(Connection { input: LineReader::new(stream, MAX_REPLY), given_up: false })
    }

    /// Sends a request and waits for its answer. Other lines are logged and skipped.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if it cannot be sent or no answer comes; an `err` is an answer.
    pub(crate) fn request(
        &mut self,
        request: &Request<'_>,
        notice: &mut Notice<'_>,
    ) -> Result<Answer, ClientError> {
        self.ask(request, Other::Skip, notice)
    }

    /// Sends a request that lets the client in and so has to be answered with `ok`. Returns what the
    /// server says.
    ///
    /// # Errors
    ///
    /// [`ClientError`], also if the answer is `err`, or no answer at all.
    pub(crate) fn require_ok(
        &mut self,
        request: &Request<'_>,
        notice: &mut Notice<'_>,
    ) -> Result<Vec<u8>, ClientError> {
        match self.ask(request, Other::Refuse, notice) {
            Ok(answer) => answer.map_err(ClientError::Refused),
            // A server that is full says so, and closes before it reads.
            Err(ClientError::ClosedWith(reason)) => Err(ClientError::Refused(reason)),
            Err(error) => Err(error),
        }
    }

    fn ask(
        &mut self,
        request: &Request<'_>,
        other: Other,
        notice: &mut Notice<'_>,
    ) -> Result<Answer, ClientError> {
        let mut line = Vec::new();
        request.encode(&mut line)?;
        let mut patience = Patience::with(request);
        let mut rest = &line[..];
        while !rest.is_empty() {
            match self.write(rest) {
                Ok(0) => self.wait(PollFlags::OUT, &mut patience, notice)?,
                Ok(count) => rest = &rest[count..],
                // Whatever has been answered, it was not this.
                Err(loss) => return Err(self.reason_of(loss)),
            }
        }
        loop {
            match self.take_answer(other)? {
                Some(answer) => return Ok(answer),
                None => {
                    self.wait(PollFlags::IN, &mut patience, notice)?;
                    self.fill()?;
                }
            }
        }
    }

    /// Waits until the connection is ready, for as long as there is patience.
    fn wait(
        &mut self,
        ready: PollFlags,
        patience: &mut Patience,
        notice: &mut Notice<'_>,
    ) -> Result<(), ClientError> {
        loop {
            let ready = ready | self.input.source().wanted();
            let mut fds = [PollFd::new(self.input.source(), ready)];
            if wait(&mut fds, patience.left()).map_err(ClientError::Broken)? {
                return Ok(());
            }
            match patience.due() {
                Some(Due::Notice(after)) => notice(&NoAnswer(after)),
                Some(Due::End) => return Err(self.give_up()),
                None => {}
            }
        }
    }

    /// Ends the connection, since an answer did not come. Returns the error that says so.
    pub(super) fn give_up(&mut self) -> ClientError {
        self.given_up = true;
        self.input.source().shut_down();
        ClientError::Silent
    }

    /// Writes some of `bytes`, as many as can be written now; returns how many.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`].
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        loop {
            match self.input.source_mut().write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                result => return result.map_err(ClientError::broken),
            }
        }
    }

    /// Writes what was taken and is not on its way yet, as far as that is possible now.
    pub(super) fn flush(&mut self) {
        // Why it is not, the next read tells.
        let _ = self.input.source_mut().flush();
    }

    /// What has to be waited for beside what is to be read or written.
    pub(super) fn wanted(&self) -> PollFlags {
        self.input.source().wanted()
    }

    /// The next answer among the lines that were read. Other lines are logged and skipped.
    ///
    /// # Errors
    ///
    /// [`ClientError::Overlong`].
    pub(crate) fn next_answer(&mut self) -> Result<Option<Answer>, ClientError> {
        self.take_answer(Other::Skip)
    }

    fn take_answer(&mut self, other: Other) -> Result<Option<Answer>, ClientError> {
        while let Some(line) = self.next_line() {
            match line {
                Line::TooLong(_) => return Err(ClientError::Overlong(MAX_REPLY)),
                Line::Whole(whole) => match (Reply::parse(whole), other) {
                    (Ok(Reply::Ok(text)), _) => return Ok(Some(Ok(text.to_vec()))),
                    (Ok(Reply::Err(text)), _) => return Ok(Some(Err(text.to_vec()))),
                    (_, Other::Skip) => report_unexpected(line),
                    (_, Other::Refuse) => return Err(ClientError::NoChat(start_of(whole))),
                },
            }
        }
        Ok(None)
    }

    /// The next line among those that were read. The last one need not have an end, unless it is a
    /// record: what there is of that is not the text that its position stands for, which can be asked
    /// for again.
    pub(crate) fn next_line(&mut self) -> Option<Line<'_>> {
        let has_ended = self.input.has_ended();
        self.input.next_line().filter(|line| !has_ended || !begins_record(line.bytes()))
    }

    /// Reads more, and waits for it if there is nothing to read yet. To be called when there is no
    /// [`Connection::next_line`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`] at the end of the stream, [`ClientError::Silent`] if it was given up,
    /// else [`ClientError::Broken`].
    pub(crate) fn fill(&mut self) -> Result<(), ClientError> {
        loop {
            match self.input.fill() {
                _ if self.given_up => return Err(ClientError::Silent),
                Ok(true) => return Ok(()),
                Ok(false) => return Err(ClientError::Closed),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ready = PollFlags::IN | self.wanted();
                    let mut fds = [PollFd::new(self.input.source(), ready)];
                    wait(&mut fds, None).map_err(ClientError::Broken)?;
                }
                Err(error) => return Err(ClientError::broken(error)),
            }
        }
    }

    /// The server has closed the connection, as far as is known without waiting. There may be lines
    /// left to read.
    pub(crate) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.input.source(), PollFlags::RDHUP)];
        wait(&mut fds, Some(Duration::ZERO)).unwrap_or(true)
    }

    /// Why a connection that cannot be written to is lost: see [`Connection::close_reason`]; `loss`, if
    /// the server gave none.
    pub(super) fn reason_of(&mut self, loss: ClientError) -> ClientError {
        match self.close_reason() {
            reason @ (ClientError::ClosedWith(_) | ClientError::Distrust(_)) => reason,
            _ => loss,
        }
    }

    /// Why a connection that has ended was closed: the last `err` of the server, or how it was lost.
    pub(crate) fn close_reason(&mut self) -> ClientError {
        let mut words = None;
        loop {
            while let Some(line) = self.next_line() {
                if let Line::Whole(whole) = line
                    && let Ok(Reply::Err(text)) = Reply::parse(whole)
                {
                    words = Some(text.to_vec());
                } else {
                    debug!("the server's last lines: {}", start_of(line.bytes()).escape_ascii());
                }
            }
            if let Err(loss) = self.fill() {
                return words.map_or(loss, ClientError::ClosedWith);
            }
        }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> String {
        self.input.source().peer()
    }

    /// Another descriptor of the connection, see [`wait_for_close`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`] if there is none to be had.
    pub(crate) fn descriptor(&self) -> Result<OwnedFd, ClientError> {
        self.as_fd().try_clone_to_owned().map_err(ClientError::Broken)
    }
}

/// Waits until a connection is closed by the server, or broken.
///
/// # Errors
///
/// [`ClientError::Broken`] if the system cannot wait.
pub(crate) fn wait_for_close(connection: &impl AsFd) -> Result<(), ClientError> {
    let mut fds = [PollFd::new(connection, PollFlags::RDHUP)];
    wait(&mut fds, None).map(drop).map_err(ClientError::Broken)
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.source().as_fd()
    }
}

/// What to do with a line of the server that is no answer.
#[derive(Clone, Copy, Debug)]
enum Other {
    /// To log it, and go on.
    Skip,
    /// To end: a server that begins with it speaks another protocol.
    Refuse,
}

/// What is said while an answer does not come.
pub(super) struct NoAnswer(pub Duration);

impl Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer from the server for {} s; still waiting", self.0.as_secs())
    }
}

/// Logs a line of the server that has no place in the protocol.
pub(crate) fn report_unexpected(line: Line<'_>) {
    match line {
        Line::TooLong(_) => error!("the server sent a line of more than {MAX_REPLY} bytes"),
        Line::Whole(line) => {
            error!("the server sent an unexpected line: {}", start_of(line).escape_ascii());
        }
    }
}

/// As much of a line as shows what it is.
fn start_of(line: &[u8]) -> Vec<u8> {
    const SHOWN: usize = 80;
    match line.get(..SHOWN) {
        Some(start) if line.len() > SHOWN => [start, b"..."].concat(),
        _ => line.to_vec(),
    }
}
