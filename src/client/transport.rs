//! The way to a server: an address → a stream of bytes.
//!
//! Knows what carries the bytes, and nobody else in the clients does but those who dial for it. Must not
//! know what they mean.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::event::PollFlags;

use super::dial::connect_to_one;
use super::error::ClientError;
use super::local::connect_to;
use super::tls::{Security, Tls};
use super::turn::Turn;
use crate::system::sockets;

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Its name or address, or with a `/` the directory of its Unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS is spoken with it, if it is.
    pub security: Option<Security>,
}

impl Address {
    /// It is a Unix socket's.
    pub(crate) fn is_local(&self) -> bool {
        self.host.contains('/')
    }

    /// Connects to the first of the host's addresses that answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownHost`] or [`ClientError::Connect`]; of a Unix socket,
    /// [`ClientError::Socket`] or [`ClientError::Impostor`]; with TLS, [`ClientError::Distrust`], too.
    pub(crate) fn connect(&self) -> Result<Stream, ClientError> {
        self.connect_in(&mut Turn::default())
    }

    /// The same, from the address on whose turn it is.
    pub(super) fn connect_in(&self, turn: &mut Turn) -> Result<Stream, ClientError> {
        let Address { host, port, security } = self;
        if self.is_local() {
            let path = PathBuf::from(host).join(port.to_string());
            return Ok(Stream::Unix(connect_to(host.as_ref(), &path)?, path));
        }
        // As in a URL, and as the server's log has it.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let unknown = |source| ClientError::UnknownHost { host: host.into(), source };
        let failed = |source| ClientError::Connect { host: host.into(), port: *port, source };
        let addresses = turn.order((host, *port).to_socket_addrs().map_err(unknown)?);
        let connected = connect_to_one(addresses.iter().copied());
        let (address, stream) = connected.map_err(failed)?;
        turn.reach(address, &addresses);
        sockets::set_options(&stream).map_err(|error| failed(error.into()))?;
        match security {
            Some(security) => security
                .shake_hands(host, stream)
                .map(Stream::Tls)
                .map_err(|error| error.downcast().map_or_else(failed, ClientError::Distrust)),
            None => Ok(Stream::Tcp(stream)),
        }
    }
}

/// A stream of bytes to a server and back. Reads and writes fail where they would wait.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TLS, and that over TCP.
    Tls(Tls),
    /// Over a Unix socket, and which.
    Unix(UnixStream, PathBuf),
}

impl Stream {
    /// Ends both directions: whoever waits for the stream is told that it has ended.
    pub(crate) fn shut_down(&self) {
        // It fails only if the stream has ended.
        let _ = match self {
            Stream::Tcp(stream) | Stream::Tls(Tls { tcp: stream, .. }) => {
                stream.shutdown(Shutdown::Both)
            }
            Stream::Unix(stream, _) => stream.shutdown(Shutdown::Both),
        };
    }

    /// Ends what is sent, and says so; what the server sends still comes.
    pub(crate) fn end(&mut self) {
        // It fails only if the stream has ended.
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(tls) => tls.end(),
            Stream::Unix(stream, _) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> String {
        match self {
            Stream::Tcp(stream) | Stream::Tls(Tls { tcp: stream, .. }) => {
                let peer = stream.peer_addr();
                peer.map_or_else(|error| error.to_string(), |address| address.to_string())
            }
            Stream::Unix(_, path) => path.display().to_string(),
        }
    }

    /// What it waits for, beside what its user does: there may be something to write that has been
    /// taken already, which the next look for bytes does, or a flush.
    pub(crate) fn wanted(&self) -> PollFlags {
        match self {
            Stream::Tls(tls) if tls.wants_write() => PollFlags::OUT,
            _ => PollFlags::empty(),
        }
    }

    /// A read that does not fill its buffer has left nothing to be read.
    pub(crate) fn is_empty_after_short_read(&self) -> bool {
        !matches!(self, Stream::Tls(_))
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Tls(tls) => tls.read(bytes),
            Stream::Unix(stream, _) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
            Stream::Unix(stream, _) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tls(tls) => tls.flush(),
            Stream::Tcp(_) | Stream::Unix(..) => Ok(()),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) | Stream::Tls(Tls { tcp: stream, .. }) => stream.as_fd(),
            Stream::Unix(stream, _) => stream.as_fd(),
        }
    }
}
