//! The way that bytes take to a client and back: TCP.
//!
//! What is TCP's alone stands here: that a short read leaves a socket empty, how many bytes have been
//! received, and the options of a socket.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use rustix::net::sockopt;

/// How long the connection of a client that may be gone is quiet before its system is asked.
const PROBE_SOON: Duration = Duration::from_secs(2);

/// What comes of a look for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes; there may be more.
    Some(usize),
    /// So many bytes, and no more for now.
    Last(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing ever again.
    End,
}

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: TcpStream,
    /// Bytes that may still be read, if only what had been received is to be.
    quota: Option<usize>,
}

impl Transport {
    /// A socket that was accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Transport { stream, quota: None }
    }

    /// What the system watches.
    pub(crate) fn source(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads what is there. A short read leaves the socket empty, unless there was urgent data or an
    /// end, for which reads stop: then `thorough` says that it is not to be relied upon.
    ///
    /// # Errors
    ///
    /// What the system says if the connection is broken.
    pub(crate) fn read(&mut self, buffer: &mut [u8], thorough: bool) -> io::Result<Got> {
        let most = self.quota.map_or(buffer.len(), |quota| quota.min(buffer.len()));
        match self.stream.read(&mut buffer[..most]) {
            Ok(0) => Ok(Got::End),
            Ok(count) => Ok(match &mut self.quota {
                Some(quota) => {
                    *quota -= count;
                    Got::Some(count)
                }
                None if count < most && !thorough => Got::Last(count),
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

    /// The client has shut down its writing side. If it is gone for good, its system answers probes
    /// with a reset once it has forgotten about it, after a minute or so.
    pub(crate) fn probe_soon(&self) {
        let _ = sockopt::set_tcp_keepidle(&self.stream, PROBE_SOON);
    }

    /// Ends the connection: so that what was written still arrives, or, if it is cut, without regard
    /// to that, so that the client can tell. What is left is closed when it is dropped.
    pub(crate) fn close(&mut self, cut: bool) {
        if cut {
            // Without it, this is an end like any other.
            let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
            return;
        }
        let _ = self.stream.shutdown(Shutdown::Write);
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

    /// Sets how long the client's system may take nothing.
    #[cfg(test)]
    pub(crate) fn set_user_timeout(&self, time: Duration) {
        sockopt::set_tcp_user_timeout(&self.stream, time.as_millis() as u32).unwrap();
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that have been received and not read.
fn received(stream: &TcpStream) -> usize {
    let count = rustix::io::ioctl_fionread(stream).unwrap_or(0);
    usize::try_from(count).unwrap_or(usize::MAX)
}
