//! What senders and receivers share: a connection to a server, requests and their answers.

mod backoff;
pub mod link;

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use log::{debug, error};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use thiserror::Error;

use crate::system::sockets;
use crate::terminal::visible::visible;
use crate::wire::lines::{Line, LineReader};
use crate::wire::protocol::{EncodeError, Reply, Request};

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
    /// The server has closed the connection, and has said why.
    #[error("the server closed the connection: {}", visible(.0))]
    Dismissed(Vec<u8>),
    /// The server has reset a receiver's connection. It does that to one that takes too little.
    #[error(
        "the server cut this receiver off, since it took too little for too long: texts are missing"
    )]
    Cut,
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[source] io::Error),
    /// The server sent a line that is far too long, when it should have answered.
    #[error("the server's answer has more than {MAX_REPLY} bytes")]
    Overlong,
    /// The server answered `err`; this is its payload.
    #[error("{}", visible(.0))]
    Refused(Vec<u8>),
    /// The request does not fit the wire.
    #[error(transparent)]
    Unsendable(#[from] EncodeError),
}

impl ClientError {
    /// The server is away, and may be back later.
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::Closed | Self::Cut | Self::Dismissed(_) | Self::Broken(_)
        )
    }

    /// What it means if it ends a receiver's deliveries.
    pub fn of_receiver(self) -> Self {
        match self {
            Self::Broken(error) if error.kind() == ErrorKind::ConnectionReset => Self::Cut,
            error => error,
        }
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
        sockets::set_options(&stream)?;
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

/// Waits until one of `fds` is ready, for so long at the most; tells whether one is.
///
/// # Errors
///
/// [`ClientError::Broken`] if the system cannot wait.
pub fn wait(fds: &mut [PollFd<'_>], most: Option<Duration>) -> Result<bool, ClientError> {
    let most = most.and_then(|most| Timespec::try_from(most).ok());
    loop {
        match poll(fds, most.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return ready.map(|count| count > 0).map_err(|error| broken(error.into())),
        }
    }
}

fn broken(error: io::Error) -> ClientError {
    ClientError::Broken(error)
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    input: LineReader<TcpStream>,
}

impl Connection {
    /// Connects to a server, see [`connect`].
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownHost`] or [`ClientError::Connect`].
    pub fn open(host: &str, port: u16) -> Result<Self, ClientError> {
        Ok(Connection { input: LineReader::new(connect(host, port)?, MAX_REPLY) })
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
            (Err(error), Err(_)) => Err(broken(error)),
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
                result => return result.map_err(broken),
            }
        }
    }

    /// Waits for an answer. Whatever else comes is reported and passed over.
    fn answer(&mut self) -> Result<Answer, ClientError> {
        loop {
            match self.next_answer()? {
                Some(answer) => return Ok(answer),
                None => self.fill()?,
            }
        }
    }

    /// The next answer among the lines that were read. Whatever else is there is reported and
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`ClientError::Overlong`].
    pub fn next_answer(&mut self) -> Result<Option<Answer>, ClientError> {
        while let Some(line) = self.next_line() {
            match line {
                Line::TooLong(_) => return Err(ClientError::Overlong),
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
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        self.input.next_line()
    }

    /// Reads more, and waits for it if there is nothing to read yet. To be called when there is no
    /// [`Connection::next_line`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`] if the server has closed, [`ClientError::Broken`] if it vanished.
    pub fn fill(&mut self) -> Result<(), ClientError> {
        match self.input.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClientError::Closed),
            Err(error) => Err(broken(error)),
        }
    }

    /// Looks, without waiting, whether the server has closed the connection. There may be lines
    /// left to read.
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.input.source(), PollFlags::RDHUP)];
        wait(&mut fds, Some(Duration::ZERO)).unwrap_or(true)
    }

    /// How a connection that has ended did so, and what the server said last.
    pub fn last_words(&mut self) -> ClientError {
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
                return words.map_or(loss, ClientError::Dismissed);
            }
        }
    }

    /// Another handle on the connection's socket.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`] if there is none to be had.
    pub fn socket(&self) -> Result<TcpStream, ClientError> {
        self.input.source().try_clone().map_err(broken)
    }
}

/// Waits until the other end has closed a connection, or broken it.
///
/// # Errors
///
/// [`ClientError::Broken`] if the system cannot wait.
pub fn wait_for_end(stream: &TcpStream) -> Result<(), ClientError> {
    wait(&mut [PollFd::new(stream, PollFlags::RDHUP)], None).map(drop)
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
        Line::TooLong(_) => error!("the server sent a line of more than {MAX_REPLY} bytes"),
        Line::Whole(line) if line.len() > SHOWN => {
            error!("the server sent an unexpected line: {}...", line[..SHOWN].escape_ascii());
        }
        Line::Whole(line) => error!("the server sent an unexpected line: {}", line.escape_ascii()),
    }
}
