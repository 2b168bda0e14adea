//! The file of a history before SQLite sees it: who may read it, who has it, and whether it is ours.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::HistoryError;

/// Says in a file's header that it is one of ours.
pub(super) const APPLICATION_ID: u32 = 0x4368_6174;

/// The version of the tables.
pub(super) const VERSION: u32 = 1;

/// The file that a new history is made in, before it gets its name.
pub(super) const NEW: &str = ".new";

/// Bytes of a database's header.
const HEADER: usize = 100;

/// What a database begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The owner alone may read and write.
const MODE: u32 = 0o600;

/// A history's file that nobody else has, for as long as this is there.
#[derive(Debug)]
pub(super) struct Claim {
    _lock: File,
    /// The file itself, locked, too: it may have other names.
    _database: Option<File>,
    /// There is nothing in it yet.
    pub is_new: bool,
    /// Some of it is missing, unless that is written ahead.
    pub is_short: bool,
}

/// What the beginning of a file says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    /// There is none.
    None,
    /// It is a history.
    Whole,
    /// It is one, and there should be more of it.
    Short,
}

impl Claim {
    /// Takes the file at `path`, which is made if there is none; of what is there, changes nothing.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] if another server has it, or it is no history that this version knows.
    pub(super) fn new(path: &Path) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Open { path: path.to_owned(), source };
        read_header(path)?;
        let lock = beside(path, ".lock");
        let lock = open(&lock).map_err(|source| HistoryError::Open { path: lock, source })?;
        if let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            return Err(match error {
                rustix::io::Errno::WOULDBLOCK => HistoryError::InUse { path: path.to_owned() },
                error => failed(error.into()),
            });
        }
        // Whoever had it before may have changed it.
        let header = read_header(path)?;
        for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
            match fs::set_permissions(&file, fs::Permissions::from_mode(MODE)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        let (is_new, is_short) = (header == Header::None, header == Header::Short);
        Ok(Claim { _lock: lock, _database: None, is_new, is_short })
    }

    /// Locks the file itself.
    ///
    /// # Errors
    ///
    /// [`HistoryError::InUse`] if another server has it, under whatever name.
    pub(super) fn lock_database(&mut self, path: &Path) -> Result<(), HistoryError> {
        let failed = |source| HistoryError::Open { path: path.to_owned(), source };
        // It stays open as long as SQLite has it: to close it would give up SQLite's own locks.
        let database = open(path).map_err(failed)?;
        if flock(&database, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(HistoryError::InUse { path: path.to_owned() });
        }
        self._database = Some(database);
        Ok(())
    }
}

/// The path without symbolic links.
pub(super) fn real(path: &Path) -> Result<PathBuf, HistoryError> {
    let failed = |source| HistoryError::Open { path: path.to_owned(), source };
    match fs::canonicalize(path) {
        // A link that leads nowhere is there: what it should lead to is missing.
        Err(error)
            if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {}
        real => return real.map_err(failed),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let name = path.file_name().ok_or(ErrorKind::InvalidInput.into()).map_err(failed)?;
    Ok(folder.join(name))
}

/// Makes the file of that name anew, for the owner alone.
pub(super) fn make(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    open(path).map(drop)
}

/// The file of that name with something at its end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)
}

/// Reads and checks the header.
fn read_header(path: &Path) -> Result<Header, HistoryError> {
    let path = path.to_owned();
    let failed = |source| HistoryError::Open { path: path.clone(), source };
    let wal = fs::metadata(beside(&path, "-wal")).map_or(0, |wal| wal.len());
    let length = match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Ok(metadata) if !metadata.is_file() => return Err(HistoryError::Foreign { path }),
        metadata => metadata.map_err(failed)?.len(),
    };
    if length == 0 {
        // Changes that are written ahead are those of another file.
        return if wal == 0 { Ok(Header::None) } else { Err(HistoryError::Damaged { path }) };
    }
    let mut header = Vec::new();
    let file = File::open(&path).map_err(failed)?;
    file.take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
    if !header.starts_with(&MAGIC[..header.len().min(MAGIC.len())]) {
        return Err(HistoryError::Foreign { path });
    }
    if header.len() < HEADER {
        return Err(HistoryError::Damaged { path });
    }
    let number = |at: usize| {
        header[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
    };
    if number(68) != APPLICATION_ID {
        return Err(HistoryError::Foreign { path });
    }
    if number(60) > VERSION {
        return Err(HistoryError::TooNew { path });
    }
    // Pages of 65,536 bytes are written as 1.
    let page = match u64::from(number(16) >> 16) {
        1 => 65_536,
        page => page,
    };
    let is_short = length < page * u64::from(number(28));
    // What is written ahead may be missing in the file itself.
    if is_short && wal == 0 {
        return Err(HistoryError::Damaged { path });
    }
    Ok(if is_short { Header::Short } else { Header::Whole })
}
