//! The system's users: who is at the other end of a Unix socket, and what their accounts are called.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Uid, User};

/// The number of the superuser.
pub(crate) const ROOT: u32 = 0;

/// The number of all users who have none here: those of another user namespace.
pub(crate) const FROM_ELSEWHERE: u32 = 65534;

/// The number of the user in whose name this process acts.
pub(crate) fn own() -> u32 {
    Uid::effective().as_raw()
}

/// The number of the user who has connected to a Unix socket, or has listened at it. The process may be
/// of another process namespace: it has no number here then, which not every library expects.
///
/// # Errors
///
/// If the system does not tell.
pub(crate) fn peer_of(socket: &impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(socket, sockopt::PeerCredentials)?.uid())
}

/// What the account of a user is called, if there is one. The system may ask other machines, which
/// takes as long as it takes.
///
/// # Errors
///
/// If the system cannot tell.
pub(crate) fn name_of(uid: u32) -> io::Result<Option<String>> {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(user) => Ok(user.map(|user| user.name)),
        // As some of those whom the system asks say that there is none.
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn whoever_is_at_the_other_end_of_a_socket_is_known() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(peer_of(&one).unwrap(), own());
    }

    #[test]
    fn who_has_no_account_is_no_error() {
        assert_eq!(name_of(ROOT).unwrap().as_deref(), Some("root"));
        assert_eq!(name_of(4_000_000_001).unwrap(), None);
    }
}
