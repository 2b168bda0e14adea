//! A connection to a server: requests and their answers, lines as they come.
//!
//! Knows the protocol's lines. Must not know which transport carries them, nor which user and room it
//! is for.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use log::{debug, error};
use rustix::event::{PollFd, PollFlags};

use super::error::ClientError;
use super::transport::{Address, Stream};
use crate::system::descriptors::wait;
use crate::wire::lines::{Line, LineReader};
use crate::wire::protocol::{Reply, Request};

/// The longest line that is taken from a server, in bytes: far more than a legal delivery has.
const MAX_REPLY: usize = 16 * 1024;

/// A server's answer to a request: the payload of its `ok`, or of its `err`.
pub(crate) type Answer = Result<Vec<u8>, Vec<u8>>;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    input: LineReader<Stream>,
}

impl Connection {
    /// Connects to a server, see [`Address::connect`].
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownHost`] or [`ClientError::Connect`].
    pub(crate) fn open(address: &Address) -> Result<Self, ClientError> {
        Ok(Connection { input: LineReader::new(address.connect()?, MAX_REPLY) })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if it cannot be sent or no answer comes; an `err` is an answer.
    pub(crate) fn request(&mut self, request: &Request<'_>) -> Result<Answer, ClientError> {
        let mut line = Vec::new();
        request.encode(&mut line)?;
        // A server that is full answers and closes before it reads: after a failed write there may
        // be an answer.
        let sent = self.input.source_mut().write_all(&line);
        let answer = self.answer();
        match (sent, answer) {
            (Err(error), Err(_)) => Err(ClientError::Broken(error)),
            (_, answer) => answer,
        }
    }

    /// Sends a request that has to be answered with `ok`.
    ///
    /// # Errors
    ///
    /// [`ClientError`], also if the answer is `err`.
    pub(crate) fn require_ok(&mut self, request: &Request<'_>) -> Result<(), ClientError> {
        let answer = self.request(request)?.map_err(ClientError::Refused)?;
        debug!("server: {}", answer.escape_ascii());
        Ok(())
    }

    /// Writes some of `bytes`, waiting until that is possible; returns how many.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`].
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        loop {
            match self.input.source_mut().write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result.map_err(ClientError::Broken),
            }
        }
    }

    /// Waits for an answer. Other lines are logged and skipped.
    fn answer(&mut self) -> Result<Answer, ClientError> {
        loop {
            match self.next_answer()? {
                Some(answer) => return Ok(answer),
                None => self.fill()?,
            }
        }
    }

    /// The next answer among the lines that were read. Other lines are logged and skipped.
    ///
    /// # Errors
    ///
    /// [`ClientError::Overlong`].
    pub(crate) fn next_answer(&mut self) -> Result<Option<Answer>, ClientError> {
        while let Some(line) = self.next_line() {
            match line {
                Line::TooLong(_) => return Err(ClientError::Overlong(MAX_REPLY)),
                Line::Whole(whole) => match Reply::parse(whole) {
                    Ok(Reply::Ok(text)) => return Ok(Some(Ok(text.to_vec()))),
                    Ok(Reply::Err(text)) => return Ok(Some(Err(text.to_vec()))),
                    _ => report_unexpected(line),
                },
            }
        }
        Ok(None)
    }

    /// The next line among those that were read.
    pub(crate) fn next_line(&mut self) -> Option<Line<'_>> {
        self.input.next_line()
    }

    /// Reads more, and waits for it if there is nothing to read yet. To be called when there is no
    /// [`Connection::next_line`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`] at the end of the stream, else [`ClientError::Broken`].
    pub(crate) fn fill(&mut self) -> Result<(), ClientError> {
        match self.input.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClientError::Closed),
            Err(error) => Err(ClientError::Broken(error)),
        }
    }

    /// The server has closed the connection, as far as is known without waiting. There may be lines
    /// left to read.
    pub(crate) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.input.source(), PollFlags::RDHUP)];
        wait(&mut fds, Some(Duration::ZERO)).unwrap_or(true)
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
                    report_unexpected(line);
                }
            }
            if let Err(loss) = self.fill() {
                return words.map_or(loss, ClientError::ClosedWith);
            }
        }
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

/// Logs a line of the server that has no place in the protocol.
pub(crate) fn report_unexpected(line: Line<'_>) {
    /// Enough to see what it is.
    const SHOWN: usize = 80;
    match line {
        Line::TooLong(_) => error!("the server sent a line of more than {MAX_REPLY} bytes"),
        Line::Whole(line) if line.len() > SHOWN => {
            error!("the server sent an unexpected line: {}...", line[..SHOWN].escape_ascii());
        }
        Line::Whole(line) => error!("the server sent an unexpected line: {}", line.escape_ascii()),
    }
}
