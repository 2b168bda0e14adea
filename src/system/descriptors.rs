//! Descriptors: how many there may be and are, room for them, and waiting for them.

use std::io;
use std::os::fd::{AsFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on descriptors to the hard one, if it can, and returns what it is then.
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Makes the process's table of descriptors large enough for `count`, if the system lets it; `any`
/// is one that is open. Linux doubles a table that is full, and while the process has several
/// threads the one that needed the place waits some ten milliseconds for that.
pub(crate) fn reserve(any: impl AsFd, count: usize) {
    let last = RawFd::try_from(count.saturating_sub(1)).unwrap_or(RawFd::MAX);
    // A table never shrinks.
    drop(fcntl_dupfd_cloexec(any, last));
}

/// The number of descriptors that are open now, or a guess where the system has no list of them.
pub(crate) fn open_now() -> usize {
    std::fs::read_dir("/dev/fd").map_or(16, Iterator::count)
}

/// Waits until one of `fds` is ready, for `most` at most. Returns whether one is.
///
/// # Errors
///
/// If the system cannot wait.
pub(crate) fn wait(fds: &mut [PollFd<'_>], most: Option<Duration>) -> io::Result<bool> {
    let most = most.and_then(|most| Timespec::try_from(most).ok());
    loop {
        match poll(fds, most.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}
