//! A file that holds where a receiver is in its room: one line, `EPOCH-SEQ ROOM`.
//!
//! Knows files and positions. Must not know where a position comes from.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::terminal::visible::visible;
use crate::wire::position::Position;

/// The longest content that is read, in bytes: more than any that is written.
const LONGEST: u64 = 1024;

/// A file that holds where a receiver is.
#[derive(Debug)]
pub(crate) struct Cursor {
    path: PathBuf,
    room: Vec<u8>,
}

/// Why a file cannot hold where a receiver is.
#[derive(Debug, Error)]
pub(crate) enum CursorError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be replaced.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a folder, a device, or anything else that is no file.
    #[error("{} is no file that a position can be kept in", .0.display())]
    NoFile(PathBuf),
    /// It holds something else.
    #[error("{} holds no position, and is left as it is", .0.display())]
    NoPosition(PathBuf),
    /// It holds where somebody is in another room.
    #[error("{} is about room {}; another room needs another file", .path.display(), visible(.room))]
    OtherRoom {
        /// The file.
        path: PathBuf,
        /// The room.
        room: Vec<u8>,
    },
}

impl Cursor {
    /// Takes a file for a receiver's place in `room`, and the position that it holds: none if it does
    /// not exist yet, or is empty.
    ///
    /// # Errors
    ///
    /// [`CursorError`].
    pub(crate) fn open(path: &Path, room: &[u8]) -> Result<(Self, Option<Position>), CursorError> {
        let failed = |source| CursorError::Read { path: path.into(), source };
        let cursor = |path: &Path| Cursor { path: path.into(), room: room.into() };
        // What a symbolic link leads to is replaced, and not the link.
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((cursor(path), None)),
            Err(error) => return Err(failed(error)),
        };
        if !fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(CursorError::NoFile(path));
        }
        let mut content = Vec::new();
        let file = File::open(&path).map_err(failed)?;
        file.take(LONGEST).read_to_end(&mut content).map_err(failed)?;
        if content.is_empty() {
            return Ok((cursor(&path), None));
        }
        match parse(&content) {
            None => Err(CursorError::NoPosition(path)),
            Some((_, other)) if other != room => {
                Err(CursorError::OtherRoom { path, room: other.into() })
            }
            Some((position, _)) => Ok((cursor(&path), Some(position))),
        }
    }

    /// Replaces the file as a whole.
    ///
    /// # Errors
    ///
    /// [`CursorError::Write`]; the file is then as it was.
    pub(crate) fn save(&self, position: Position) -> Result<(), CursorError> {
        let mut content = format!("{position} ").into_bytes();
        content.extend_from_slice(&self.room);
        content.push(b'\n');
        let mut new = OsString::from(&self.path);
        new.push(".new");
        let replace = || {
            fs::write(&new, content)?;
            // Whoever may not read it goes on not to.
            if let Ok(before) = fs::metadata(&self.path) {
                fs::set_permissions(&new, before.permissions())?;
            }
            fs::rename(&new, &self.path)
        };
        let saved = replace();
        saved.map_err(|source| CursorError::Write { path: self.path.clone(), source })
    }
}

/// Reads `EPOCH-SEQ ROOM`.
fn parse(content: &[u8]) -> Option<(Position, &[u8])> {
    let line = content.strip_suffix(b"\n")?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let room = &line[space + 1..];
    let is_room = !room.is_empty() && !room.contains(&b'\n');
    Some((Position::parse(&line[..space])?, is_room.then_some(room)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_line() {
        let position = Position { epoch: 12, seq: 3 };
        assert_eq!(parse(b"12-3 cafe\n"), Some((position, &b"cafe"[..])));
        for content in [
            "12-3 cafe",
            "12-3\n",
            "12-3 \n",
            "cafe\n",
            "12-3 cafe\n13-4 cafe\n",
            "\n",
            "x-3 cafe\n",
        ] {
            assert_eq!(parse(content.as_bytes()), None, "{content:?}");
        }
    }
}
