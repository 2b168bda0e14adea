//! What senders and receivers share: a connection to a server, requests and their answers.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use log::{debug, error};
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
    /// The server answered `err`; this is its payload.
    #[error("{}", .0.escape_ascii())]
    Refused(Vec<u8>),
    /// The request does not fit the wire.
    #[error(transparent)]
    Unsendable(#[from] EncodeError),
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

    /// Waits for an answer. Whatever else comes is reported and passed over.
    fn answer(&mut self) -> Result<Answer, ClientError> {
        loop {
            match self.next_line() {
                Some(Line::Whole(line)) => match Reply::parse(line) {
                    Ok(Reply::Ok(text)) => return Ok(Ok(text.to_vec())),
                    Ok(Reply::Err(text)) => return Ok(Err(text.to_vec())),
                    _ => report_unexpected(Line::Whole(line)),
                },
                Some(line) => report_unexpected(line),
                None => self.fill()?,
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
    /// [`ClientError::Closed`] if the server has closed, [`ClientError::Broken`] if it vanished.
    pub fn fill(&mut self) -> Result<(), ClientError> {
        match self.input.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClientError::Closed),
            Err(error) => Err(ClientError::Broken(error)),
        }
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
