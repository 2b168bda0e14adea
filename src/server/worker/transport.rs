//! The ways that bytes take to a client and back.
//!
//! A connection knows none of what is one way's alone.

use std::io::{self, IoSlice, Write};

use mio::event::Source;

use super::got::Got;
use super::loss::Loss;
use super::plain::{Tcp, Unix};
use super::tls::Tls;
use crate::server::chat::vouched::Vouched;

/// The way to one client.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP as it is.
    Tcp(Tcp),
    /// A Unix socket.
    Unix(Unix),
    /// TLS over TCP.
    Tls(Box<Tls>),
    /// One that has what others will bring.
    #[cfg(test)]
    Test(super::test_transport::TestTransport),
}

impl Transport {
    /// What the system watches.
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match self {
            Transport::Tcp(tcp) => &mut tcp.stream,
            Transport::Unix(unix) => &mut unix.stream,
            Transport::Tls(tls) => &mut tls.tcp.stream,
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
            Transport::Unix(unix) => unix.read(buffer),
            Transport::Tls(tls) => tls.read(buffer, thorough),
            #[cfg(test)]
            Transport::Test(test) => test.read(buffer),
        }
    }

    /// Why the connection broke, if it did and nothing has told of it yet.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        let error = match self {
            Transport::Tcp(tcp) => tcp.stream.take_error(),
            Transport::Unix(unix) => unix.stream.take_error(),
            Transport::Tls(tls) => tls.tcp.stream.take_error(),
            #[cfg(test)]
            Transport::Test(test) => test.stream.take_error(),
        };
        error.ok().flatten()
    }

    /// Bytes that were taken to be written, and are not on their way yet. To send them is for
    /// [`Write::flush`], which may have something to send also when nothing was written.
    pub(crate) fn pending(&self) -> usize {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => 0,
            Transport::Tls(tls) => tls.pending(),
            #[cfg(test)]
            Transport::Test(test) => test.pending(),
        }
    }

    /// Bytes that the client has taken so far, or has room for, if no system ends the connection of one
    /// that takes nothing.
    pub(crate) fn taken(&self) -> Option<u64> {
        match self {
            Transport::Unix(unix) => Some(unix.taken()),
            _ => None,
        }
    }

    /// From now on reads only what has been received by now; then there is an end.
    pub(crate) fn limit_to_received(&mut self) {
        match self {
            Transport::Tcp(tcp) => tcp.limit_to_received(),
            Transport::Unix(unix) => unix.limit_to_received(),
            Transport::Tls(tls) => tls.tcp.limit_to_received(),
            #[cfg(test)]
            Transport::Test(test) => test.limit_to_received(),
        }
    }

    /// The client has shut down its writing side, and may be gone: asks its system soon.
    pub(crate) fn probe_soon(&self) {
        match self {
            Transport::Tcp(tcp) => tcp.probe_soon(),
            Transport::Tls(tls) => tls.tcp.probe_soon(),
            // It is this one, which tells at once.
            Transport::Unix(_) => {}
            #[cfg(test)]
            Transport::Test(_) => {}
        }
    }

    /// Ends the connection: so that what was written still arrives, or, if it is cut, without regard
    /// to that, so that the client can tell. What is left is closed when it is dropped.
    pub(crate) fn close(&mut self, cut: bool) {
        match self {
            Transport::Tcp(tcp) => tcp.close(cut),
            Transport::Unix(unix) => unix.close(),
            Transport::Tls(tls) => tls.close(cut),
            #[cfg(test)]
            Transport::Test(test) => test.close(cut),
        }
    }

    /// Says why there is no place for somebody of whom nothing is known yet, not even whether TLS is
    /// spoken: so, without it.
    pub(crate) fn refuse(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tls(tls) => tls.tcp.stream.write(line),
            other => other.write(line),
        }
    }

    /// TLS is spoken.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.is_spoken())
    }

    /// What is wrong with what the client takes for TLS, if that is all over.
    pub(crate) fn trouble(&self) -> Option<&str> {
        match self {
            Transport::Tls(tls) => tls.trouble.as_deref(),
            _ => None,
        }
    }

    /// Why TLS is not spoken here.
    pub(crate) fn why_no_tls(&self) -> &'static str {
        match self {
            Transport::Unix(_) => "TLS is for TCP alone",
            _ => "this server has no certificate (--cert and --key)",
        }
    }

    /// TLS is about to be spoken.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.is_handshaking())
    }

    /// What the transport itself knows of the client's name; `None` if it does not, or not yet.
    pub(crate) fn vouched(&mut self) -> Option<Result<Vouched, Loss>> {
        match self {
            Transport::Tls(tls) if !tls.is_handshaking() => {
                Some(tls.vouched().ok_or(Loss::Revoked))
            }
            _ => None,
        }
    }

    /// Whatever has vouched for the client still does.
    pub(crate) fn still_holds(&mut self) -> bool {
        match self {
            Transport::Tls(tls) => tls.still_holds(),
            _ => true,
        }
    }

    /// That has to be looked at.
    pub(crate) fn is_doubtful(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.is_doubtful())
    }

    /// Sets how long the client's system may take nothing.
    #[cfg(test)]
    pub(crate) fn set_user_timeout(&mut self, time: std::time::Duration) {
        let Transport::Tcp(tcp) = self else { panic!("{self:?} has no such time") };
        let time = time.as_millis() as u32;
        rustix::net::sockopt::set_tcp_user_timeout(&tcp.stream, time).unwrap();
    }
}

/// Each line of it in one go, if there is room. Says `WouldBlock` if there is none.
impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.stream.write(bytes),
            Transport::Unix(unix) => unix.write_vectored(&[IoSlice::new(bytes)]),
            Transport::Tls(tls) => tls.write(bytes),
            #[cfg(test)]
            Transport::Test(test) => test.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.stream.write_vectored(slices),
            Transport::Unix(unix) => unix.write_vectored(slices),
            Transport::Tls(tls) => tls.write_vectored(slices),
            #[cfg(test)]
            Transport::Test(test) => test.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => Ok(()),
            Transport::Tls(tls) => tls.flush(),
            #[cfg(test)]
            Transport::Test(test) => test.flush(),
        }
    }
}
