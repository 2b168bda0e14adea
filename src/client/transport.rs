//! The way to a server: an address → a stream of bytes.
//!
//! Knows what carries the bytes, and alone in the clients knows it. Must not know what they mean.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use log::debug;

use super::error::ClientError;
use crate::system::sockets;

/// How long an address may take to answer.
const CONNECT: Duration = Duration::from_secs(20);

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Address {
    /// Connects to the first of the host's addresses that answers.
    ///
    /// # Errors
    ///
    /// [`ClientError::UnknownHost`] or [`ClientError::Connect`].
    pub(crate) fn connect(&self) -> Result<Stream, ClientError> {
        let Address { host, port } = self;
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
        for address in (host, *port).to_socket_addrs().map_err(unknown)? {
            match open(address) {
                Ok(stream) => return Ok(Stream(stream)),
                Err(error) => last = error,
            }
        }
        Err(ClientError::Connect { host: host.into(), port: *port, source: last })
    }
}

/// A stream of bytes to a server and back.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

impl Stream {
    /// Makes reads and writes fail where they would wait.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.0.set_nonblocking(true)
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
