//! The way to a server: an address → a stream of bytes.
//!
//! Knows what carries the bytes, and nobody else in the clients does but those who dial for it. Must not
//! know what they mean.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};

use super::dial::connect_to_one;
use super::error::ClientError;
use crate::system::sockets;

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
        let failed = |source| ClientError::Connect { host: host.into(), port: *port, source };
        let addresses = (host, *port).to_socket_addrs().map_err(unknown)?;
        let stream = connect_to_one(addresses).map_err(failed)?;
        sockets::set_options(&stream).map_err(|error| failed(error.into()))?;
        Ok(Stream(stream))
    }
}

/// A stream of bytes to a server and back. Reads and writes fail where they would wait.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

impl Stream {
    /// Ends both directions: whoever waits for the stream is told that it has ended.
    pub(crate) fn shut_down(&self) {
        // It fails only if the stream has ended.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> String {
        let peer = self.0.peer_addr();
        peer.map_or_else(|error| error.to_string(), |address| address.to_string())
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
