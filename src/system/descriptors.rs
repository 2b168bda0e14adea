//! Descriptors: how many there may be and are, room for them, and waiting for them.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionbio};
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

/// A source that is read as if it were blocking, whether or not it is: whoever shares a descriptor may
/// have set that.
#[derive(Debug)]
pub(crate) struct Waiting<F>(pub F);

impl<F: Read + AsFd> Read for Waiting<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait(&mut [PollFd::new(&self.0, PollFlags::IN)], None)?;
                }
                result => return result,
            }
        }
    }
}

/// Standard input, output and error, made to wait where that is needed until this is dropped; for a
/// library that knows no other way.
#[derive(Debug)]
pub(crate) struct Blocking(Vec<OwnedFd>);

impl Blocking {
    /// Changes those that are not blocking.
    pub(crate) fn standard() -> Self {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let is_nonblocking =
            |fd: &OwnedFd| fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK));
        let fds = fds.into_iter().filter_map(|fd| fd.try_clone_to_owned().ok());
        let fds: Vec<_> = fds.filter(is_nonblocking).collect();
        Self::set(&fds, false);
        Blocking(fds)
    }

    fn set(fds: &[OwnedFd], nonblocking: bool) {
        // Of what cannot be changed, the first read or write will tell.
        for fd in fds {
            let _ = ioctl_fionbio(fd, nonblocking);
        }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        Self::set(&self.0, true);
    }
}

/// Writes all of `bytes`, and waits where that is needed, whether or not the descriptor is blocking.
///
/// # Errors
///
/// What the system fails with.
pub(crate) fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(wait(&mut [PollFd::new(&fd, PollFlags::OUT)], None)?),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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
