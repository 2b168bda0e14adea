//! The ways that bytes take to a client and back.
//!
//! A connection knows none of what is one way's alone.

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

/// The way to one client.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP as it is.
    Tcp(Tcp),
    /// One that has what others will bring.
    #[cfg(test)]
    Test(super::test_transport::TestTransport),
}

impl Transport {
    /// What the system watches.
    pub(crate) fn source(&mut self) -> &mut TcpStream {
        match self {
            Transport::Tcp(tcp) => &mut tcp.stream,
            #[cfg(test)]
            Transport::Test(test) => &mut test.stream,
        }
    }

    /// Reads what is there. The system tells of what comes later, but only after [`Got::Last`] or
    /// [`Got::Nothing`]. If the system has told of anything but bytes, the look has to be `thorough`.
    ///
    /// # Errors
    ///
    /// What the system says if the connection is broken.
    pub(crate) fn read(&mut self, buffer: &mut [u8], thorough: bool) -> io::Result<Got> {
        match self {
            Transport::Tcp(tcp) => tcp.read(buffer, thorough),
            #[cfg(test)]
            Transport::Test(test) => test.read(buffer),
        }
    }

    /// Why the connection broke, if it did and nothing has told of it yet.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.source().take_error().ok().flatten()
    }

    /// Bytes that were taken to be written, and are not on their way yet. To send them is for
    /// [`Write::flush`], which may have something to send also when nothing was written.
    pub(crate) fn pending(&self) -> usize {
        match self {
            Transport::Tcp(_) => 0,
            #[cfg(test)]
            Transport::Test(test) => test.pending(),
        }
    }

    /// From now on reads only what has been received by now; then there is an end.
    pub(crate) fn limit_to_received(&mut self) {
        match self {
            Transport::Tcp(tcp) => tcp.limit_to_received(),
            #[cfg(test)]
            Transport::Test(test) => test.limit_to_received(),
        }
    }

    /// The client has shut down its writing side, and may be gone: asks its system soon.
    pub(crate) fn probe_soon(&self) {
        match self {
            Transport::Tcp(tcp) => tcp.probe_soon(),
            #[cfg(test)]
            Transport::Test(_) => {}
        }
    }

    /// Ends the connection: so that what was written still arrives, or, if it is cut, without regard
    /// to that, so that the client can tell. What is left is closed when it is dropped.
    pub(crate) fn close(&mut self, cut: bool) {
        match self {
            Transport::Tcp(tcp) => tcp.close(cut),
            #[cfg(test)]
            Transport::Test(test) => test.close(cut),
        }
    }

    /// Sets how long the client's system may take nothing.
    #[cfg(test)]
    pub(crate) fn set_user_timeout(&mut self, time: Duration) {
        sockopt::set_tcp_user_timeout(self.source(), time.as_millis() as u32).unwrap();
    }
}

/// Each line of it in one go, if there is room. Says `WouldBlock` if there is none.
impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.stream.write(bytes),
            #[cfg(test)]
            Transport::Test(test) => test.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.stream.write_vectored(slices),
            #[cfg(test)]
            Transport::Test(test) => test.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Tcp(_) => Ok(()),
            #[cfg(test)]
            Transport::Test(test) => test.flush(),
        }
    }
}

/// A TCP socket. What is TCP's alone stands here: that a short read leaves a socket empty, how many
/// bytes have been received, the options of a socket.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    /// Bytes that may still be read, if only what had been received is to be.
    quota: Option<usize>,
}

impl Tcp {
    /// A socket that was accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Tcp { stream, quota: None }
    }

    /// A short read leaves the socket empty, unless there was urgent data or an end, for which reads
    /// stop.
    fn read(&mut self, buffer: &mut [u8], thorough: bool) -> io::Result<Got> {
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

    fn limit_to_received(&mut self) {
        self.quota.get_or_insert_with(|| received(&self.stream));
    }

    /// If it is gone for good, the client's system answers probes with a reset once it has forgotten
    /// about it, after a minute or so.
    fn probe_soon(&self) {
        let _ = sockopt::set_tcp_keepidle(&self.stream, PROBE_SOON);
    }

    fn close(&mut self, cut: bool) {
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
}

/// Bytes that have been received and not read.
fn received(stream: &TcpStream) -> usize {
    let count = rustix::io::ioctl_fionread(stream).unwrap_or(0);
    usize::try_from(count).unwrap_or(usize::MAX)
}
