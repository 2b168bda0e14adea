//! What senders and receivers share: a connection to a server, requests and their answers.

mod backoff;
pub mod link;

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use log::{debug, error};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use thiserror::Error;

use crate::lines::{Line, LineReader};
use crate::protocol::{EncodeError, Reply, Request};

/// The longest line that is taken from a server, in bytes: far more than a legal delivery has.
const MAX_REPLY: usize = 16 * 1024;

/// How long an address may take to answer.
const CONNECT: Duration = Duration::from_secs(20);

/// Why a client cannot go on.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The host's name means nothing.
    #[error("cannot find host {host}: {source}")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {host} port {port}: {source}")]
    Connect {
        /// The host's name.
        host: String,
        /// The port.
        port: u16,
        /// What the system said of the last address tried.
        source: io::Error,
    },
    /// The server has closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[source] io::Error),
    /// What was waited for has not come in time.
    #[error("it took too long")]
    TimedOut,
    /// The server answered `err`; this is its payload.
    #[error("{}", .0.escape_ascii())]
    Refused(Vec<u8>),
    /// The request does not fit the wire.
    #[error(transparent)]
    Unsendable(#[from] EncodeError),
}

impl ClientError {
    /// The server is away, and may be back later.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Closed | Self::Broken(_))
    }
}

/// A server's answer to a request: the payload of its `ok`, or of its `err`.
pub type Answer = Result<Vec<u8>, Vec<u8>>;

/// Connects to the first of the host's addresses that answers.
///
/// # Errors
///
/// [`ClientError::UnknownHost`] or [`ClientError::Connect`].
pub fn connect(host: &str, port: u16) -> Result<TcpStream, ClientError> {
    // As in a URL, and as the server's log has it.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let unknown = |source| ClientError::UnknownHost { host: host.into(), source };
    let open = |address| -> io::Result<TcpStream> {
        debug!("connecting to {address}");
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let mut last = ErrorKind::NotFound.into();
    for address in (host, port).to_socket_addrs().map_err(unknown)? {
        match open(address) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(ClientError::Connect { host: host.into(), port, source: last })
}

/// Waits until one of `fds` is ready, or until the deadline.
///
/// # Errors
///
/// [`ClientError::TimedOut`], or [`ClientError::Broken`] if the system cannot wait.
pub fn wait(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<(), ClientError> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, left.as_ref()) {
            Ok(0) => return Err(ClientError::TimedOut),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(ClientError::Broken(error.into())),
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    input: LineReader<TcpStream>,
    /// When to stop waiting.
    deadline: Option<Instant>,
}

impl Connection {
    /// Connects to a server, see [`connect`]. Nothing is waited for beyond the deadline, but for
    /// the connection itself.
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownHost`] or [`ClientError::Connect`].
    pub fn open(host: &str, port: u16, deadline: Option<Instant>) -> Result<Self, ClientError> {
        Ok(Connection { input: LineReader::new(connect(host, port)?, MAX_REPLY), deadline })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if it cannot be sent or no answer comes; an `err` is an answer.
    pub fn request(&mut self, request: &Request<'_>) -> Result<Answer, ClientError> {
        let mut line = Vec::new();
        request.encode(&mut line)?;
        // A server that refuses the client says so and closes before it reads: a failed write is
        // no reason not to listen.
        let sent = self.input.source().write_all(&line);
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
    pub fn demand(&mut self, request: &Request<'_>) -> Result<(), ClientError> {
        let answer = self.request(request)?.map_err(ClientError::Refused)?;
        debug!("server: {}", answer.escape_ascii());
        Ok(())
    }

    /// Writes some of `bytes`, waiting until that is possible; returns how many.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        loop {
            match self.input.source().write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result.map_err(ClientError::Broken),
            }
        }
    }

    /// Waits for an answer. Whatever else comes is reported and passed over.
    fn answer(&mut self) -> Result<Answer, ClientError> {
        loop {
            match self.next_answer() {
                Some(answer) => return Ok(answer),
                None => self.fill()?,
            }
        }
    }

    /// The next answer among the lines that were read. Whatever else is there is reported and
    /// passed over.
    pub fn next_answer(&mut self) -> Option<Answer> {
        loop {
            match self.next_line()? {
                Line::Whole(line) => match Reply::parse(line) {
                    Ok(Reply::Ok(text)) => return Some(Ok(text.to_vec())),
                    Ok(Reply::Err(text)) => return Some(Err(text.to_vec())),
                    _ => report_unexpected(Line::Whole(line)),
                },
                line => report_unexpected(line),
            }
        }
    }

    /// The next line among those that were read.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        self.input.next_line()
    }

    /// Reads more, and waits for it if there is nothing to read yet. To be called when there is no
    /// [`Connection::next_line`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`] if the server has closed, [`ClientError::Broken`] if it vanished,
    /// [`ClientError::TimedOut`] if nothing comes until the deadline.
    pub fn fill(&mut self) -> Result<(), ClientError> {
        if self.deadline.is_some() {
            wait(&mut [PollFd::new(self.input.source(), PollFlags::IN)], self.deadline)?;
        }
        match self.input.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClientError::Closed),
            Err(error) => Err(ClientError::Broken(error)),
        }
    }

    /// When to stop waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Looks, without waiting, whether the server has closed the connection.
    pub fn has_ended(&self) -> bool {
        has_ended(self.input.source())
    }

    /// Another handle on the connection's socket, to be watched with [`has_ended`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`] if there is none to be had.
    pub fn socket(&self) -> Result<TcpStream, ClientError> {
        self.input.source().try_clone().map_err(ClientError::Broken)
    }
}

/// Looks, without waiting, whether the other end has closed a connection.
pub fn has_ended(stream: &TcpStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::IN)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(1..) => !matches!(stream.peek(&mut [0]), Ok(1..)),
        _ => false,
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.source().as_fd()
    }
}

/// Says that the server sent something that has no place in the protocol, in one line.
pub fn report_unexpected(line: Line<'_>) {
    /// Enough to see what it is.
    const SHOWN: usize = 80;
    match line {
        Line::TooLong => error!("the server sent a line of more than {MAX_REPLY} bytes"),
        Line::Whole(line) if line.len() > SHOWN => {
            error!("the server sent an unexpected line: {}...", line[..SHOWN].escape_ascii());
        }
        Line::Whole(line) => error!("the server sent an unexpected line: {}", line.escape_ascii()),
    }
}
