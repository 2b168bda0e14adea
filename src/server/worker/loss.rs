//! How clients get lost.

use std::io::{self, ErrorKind};

/// How a client got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It closed, or its system did.
    Closed,
    /// Its system has not answered for long, or not taken what it was sent.
    TimedOut,
    /// It speaks TLS, which we do not.
    Tls,
    /// It does not speak TLS as it should.
    BadTls,
    /// Its certificate was revoked while it came.
    Revoked,
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData => Loss::BadTls,
            // The system gives up after the same time, and says what it has heard on the way.
            ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Loss::TimedOut
            }
            _ => Loss::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn who_cannot_be_reached_is_lost_and_has_not_left() {
        for errno in [Errno::TIMEDOUT, Errno::HOSTUNREACH, Errno::NETUNREACH] {
            assert_eq!(Loss::from(io::Error::from(errno)), Loss::TimedOut, "{errno}");
        }
        for errno in [Errno::CONNRESET, Errno::PIPE] {
            assert_eq!(Loss::from(io::Error::from(errno)), Loss::Closed, "{errno}");
        }
    }
}
