//! A file → its bytes: no more of them than there may be, and none that are waited for without end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use thiserror::Error;

/// Why a file's bytes are not to be had.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be read a second time.
    #[error("cannot read {} again: it is no regular file", .path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// It has more bytes than anything has that it could be.
    #[error("{} is larger than {most} MiB", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The MiB that it may have.
        most: u64,
    },
}

const MIB: u64 = 1024 * 1024;

/// How long whoever writes into a pipe has for all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a file, and does not wait until somebody writes into it if it is a pipe.
///
/// # Errors
///
/// [`FileError::Read`].
pub(crate) fn open(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    file.map_err(|source| FileError::Read { path: path.into(), source })
}

/// All of a file, which has `most` MiB at most.
///
/// # Errors
///
/// [`FileError::Read`], also if its end does not come in time; [`FileError::TooLarge`].
pub(crate) fn contents(path: &Path, file: File, most: u64) -> Result<Vec<u8>, FileError> {
    let source = Patient { file, deadline: Instant::now() + PATIENCE };
    let mut bytes = Vec::new();
    let count = source.take(most * MIB + 1).read_to_end(&mut bytes);
    match count.map_err(|source| FileError::Read { path: path.into(), source })? {
        count if count as u64 > most * MIB => Err(FileError::TooLarge { path: path.into(), most }),
        _ => Ok(bytes),
    }
}

/// A file can be read a second time, and without waiting: it is a regular one.
///
/// # Errors
///
/// [`FileError`] if it is not.
pub(crate) fn check_again(path: &Path) -> Result<(), FileError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(FileError::NoFile { path: path.into() }),
        Err(source) => Err(FileError::Read { path: path.into(), source }),
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
