//! A file → its bytes: no more of them than there may be, and none that are waited for without end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::TlsError;

const MIB: u64 = 1024 * 1024;

/// How long whoever writes into a pipe has for all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a file, and does not wait until somebody writes into it if it is a pipe.
pub(super) fn open(path: &Path) -> Result<File, TlsError> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    file.map_err(|source| TlsError::Read { path: path.into(), source })
}

/// All of a file, which has `most` MiB at most.
pub(super) fn contents(path: &Path, file: File, most: u64) -> Result<Vec<u8>, TlsError> {
    let source = Patient { file, deadline: Instant::now() + PATIENCE };
    let mut bytes = Vec::new();
    let count = source.take(most * MIB + 1).read_to_end(&mut bytes);
    match count.map_err(|source| TlsError::Read { path: path.into(), source })? {
        count if count as u64 > most * MIB => Err(TlsError::TooLarge { path: path.into(), most }),
        _ => Ok(bytes),
    }
}

/// A file can be read a second time, and without waiting: it is a regular one.
///
/// # Errors
///
/// [`TlsError`] if it is not.
pub(crate) fn check_again(path: &Path) -> Result<(), TlsError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(TlsError::NoFile { path: path.into() }),
        Err(source) => Err(TlsError::Read { path: path.into(), source }),
    }
}

/// A file that is read until the deadline.
struct Patient {
    file: File,
    deadline: Instant,
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], left.as_ref()) {
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        format!("its end has not come for {} s", PATIENCE.as_secs()),
                    ));
                }
                Err(Errno::INTR) => continue,
                ready => ready?,
            };
            match self.file.read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}
