//! Sockets on which bytes go as they are: what is TCP's alone, and what is alone that of Unix sockets.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use rustix::net::sockopt;

use super::got::Got;

/// How long the connection of a client that may be gone is quiet before its system is asked.
const PROBE_SOON: Duration = Duration::from_secs(2);

/// A socket, and how much of it is still to be read.
#[derive(Debug)]
pub(crate) struct Plain<S> {
    /// The socket.
    pub stream: S,
    /// Bytes that may still be read, if only what had been received is to be.
    quota: Option<usize>,
    /// Bytes that the client's side has taken so far, where that is counted.
    taken: u64,
}

/// A TCP socket. What is TCP's alone: that a short read leaves a socket empty, and the options.
pub(crate) type Tcp = Plain<TcpStream>;

/// A Unix socket. A read of one stops short where a client sends a descriptor along. It cannot be
/// reset: one that is cut just ends.
pub(crate) type Unix = Plain<UnixStream>;

impl<S: Read + AsFd> Plain<S> {
    /// A socket that was accepted.
    pub(crate) fn new(stream: S) -> Self {
        Plain { stream, quota: None, taken: 0 }
    }

    /// Reads what is there; `short_is_last`: a short read leaves the socket empty.
    fn read_some(&mut self, buffer: &mut [u8], short_is_last: bool) -> io::Result<Got> {
        let most = self.quota.map_or(buffer.len(), |quota| quota.min(buffer.len()));
        match self.stream.read(&mut buffer[..most]) {
            Ok(0) => Ok(Got::End),
            Ok(count) => Ok(match &mut self.quota {
                Some(quota) => {
                    *quota -= count;
                    Got::Some(count)
                }
                None if count < most && short_is_last => Got::Last(count),
                None => Got::Some(count),
            }),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Got::Some(0)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok(if self.quota.is_some() { Got::End } else { Got::Nothing })
            }
            Err(error) => Err(error),
        }
    }

    /// From now on reads only what has been received by now; then there is an end.
    pub(crate) fn limit_to_received(&mut self) {
        self.quota.get_or_insert_with(|| received(&self.stream));
    }

    /// It reads only what had been received.
    pub(crate) fn is_limited(&self) -> bool {
        self.quota.is_some()
    }

    /// Ends the writing side, by `shut_down`, so that what was written still arrives.
    fn end(&mut self, shut_down: impl FnOnce(&S) -> io::Result<()>) {
        let _ = shut_down(&self.stream);
        // Input that is there and unread would make the system take back what it has not sent yet.
        let mut left = received(&self.stream);
        let mut discard = [0; 16 * 1024];
        while left > 0 {
            match self.stream.read(&mut discard) {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                _ => break,
            }
        }
    }
}

impl Tcp {
    /// A short read leaves the socket empty, unless there was urgent data or an end, for which reads
    /// stop.
    pub(crate) fn read(&mut self, buffer: &mut [u8], thorough: bool) -> io::Result<Got> {
        self.read_some(buffer, !thorough)
    }

    /// If it is gone for good, the client's system answers probes with a reset once it has forgotten
    /// about it, after a minute or so.
    pub(crate) fn probe_soon(&self) {
        let _ = sockopt::set_tcp_keepidle(&self.stream, PROBE_SOON);
    }

    /// Ends the connection, or cuts it.
    pub(crate) fn close(&mut self, cut: bool) {
        if cut {
            // Without it, this is an end like any other.
            let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
            return;
        }
        self.end(|stream| stream.shutdown(Shutdown::Write));
    }
}

impl Unix {
    /// Only a read that finds nothing has found all.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        self.read_some(buffer, false)
    }

    /// Writes as much as there is room for.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.stream.write_vectored(slices)?;
        self.taken += count as u64;
        Ok(count)
    }

    /// Bytes that there was room for so far. There is no system at the other end that would be asked
    /// whether the client takes them.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Ends the connection.
    pub(crate) fn close(&mut self) {
        self.end(|stream| stream.shutdown(Shutdown::Write));
    }
}

/// Bytes that have been received and not read.
fn received(stream: impl AsFd) -> usize {
    let count = rustix::io::ioctl_fionread(stream).unwrap_or(0);
    usize::try_from(count).unwrap_or(usize::MAX)
}
