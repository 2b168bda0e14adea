//! Opens the Unix socket that clients connect to, and removes it at the end.
//!
//! A client has to be able to trust what it finds at `DIR/PORT`. So nobody but the superuser and the
//! server's own account may be able to put anything there; and of what is there already, only the socket
//! of a server that has ended is touched.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use mio::net::UnixListener;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

use super::error::ListenError;
use crate::system::{accounts, sockets};

/// Who may write to a directory, beside its owner.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Everybody may write to a directory; but not, if this is set, touch what is there of others.
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Who may enter the directory may connect.
const FOR_ALL: u32 = 0o666;

/// A socket in the file system. It is removed when this is dropped, if it is still the same.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// What the system knows it by.
    identity: (u64, u64),
    /// Held for as long as the socket is there, so that no other server takes it for a left one. The
    /// file stays: else two servers could each hold one of that name.
    _lock: File,
}

impl SocketFile {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            // What cannot be removed, the next server finds, and knows whose it was.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at the socket of that port in `folder`. Whoever is to reach it is decided by who may enter
/// the folder.
///
/// # Errors
///
/// [`ListenError`].
pub(super) fn listen_in(
    folder: &Path,
    port: u16,
) -> Result<(UnixListener, SocketFile), ListenError> {
    // What leads there is looked at once, and not followed anew for each step.
    let failed = |source| ListenError::Folder { folder: folder.into(), source };
    let folder = &folder.canonicalize().map_err(failed)?;
    examine(folder, |mode| mode & WRITABLE_BY_OTHERS != 0)?;
    // Nobody puts another folder into its place.
    let is_open = |mode| mode & (WRITABLE_BY_ALL | STICKY) == WRITABLE_BY_ALL;
    folder.ancestors().skip(1).try_for_each(|above| examine(above, is_open))?;
    let path = folder.join(port.to_string());
    let lock = lock(&path)?;
    remove_left_socket(&path)?;
    let failed = |source: io::Error| ListenError::Path { path: path.clone(), source };
    let socket = open(&path).map_err(failed)?;
    let identity = identity(&fs::symlink_metadata(&path).map_err(failed)?);
    Ok((socket, SocketFile { path, identity, _lock: lock }))
}

/// Nobody but root and this account can do anything to the folder: it is theirs, and not open to others.
fn examine(folder: &Path, is_open: fn(u32) -> bool) -> Result<(), ListenError> {
    let failed = |source| ListenError::Folder { folder: folder.into(), source };
    let found = fs::metadata(folder).map_err(failed)?;
    if !found.is_dir() {
        return Err(failed(ErrorKind::NotADirectory.into()));
    }
    let problem = if ![accounts::ROOT, accounts::own()].contains(&found.uid()) {
        "it is somebody else's"
    } else if is_open(found.mode()) {
        "they may write to it"
    } else {
        return Ok(());
    };
    Err(ListenError::Unsafe { folder: folder.into(), problem })
}

/// Takes the lock beside a socket.
fn lock(socket: &Path) -> Result<File, ListenError> {
    let path = socket.with_extension("lock");
    let failed = |source: io::Error| ListenError::Path { path: path.clone(), source };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    // Nothing waits for somebody who is to open the other end of whatever is there.
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    let file = match options.open(&path) {
        Ok(file) if file.metadata().is_ok_and(|found| found.is_file()) => file,
        Ok(_) => return Err(ListenError::InTheWay { path }),
        Err(error) => return Err(failed(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(ListenError::Taken { path: socket.into() }),
        Err(error) => Err(failed(error.into())),
    }
}

/// Removes the socket of a server that has ended, for whoever has the lock.
fn remove_left_socket(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Path { path: path.into(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(found) if found.file_type().is_socket() && found.uid() == accounts::own() => {
            fs::remove_file(path).map_err(failed)
        }
        Ok(_) => Err(ListenError::InTheWay { path: path.into() }),
    }
}

fn open(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => io::Error::new(ErrorKind::InvalidInput, "the path is too long"),
        error => error.into(),
    })?;
    bind(&socket, &address)?;
    // Before anybody can connect.
    let opened = fs::set_permissions(path, Permissions::from_mode(FOR_ALL));
    if let Err(error) = opened.and_then(|()| Ok(listen(&socket, sockets::BACKLOG)?)) {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(UnixListener::from_std(socket.into()))
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("chatbox-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_socket_is_for_all_and_gone_at_the_end() {
        let folder = folder("socket-for-all");
        let (_socket, file) = listen_in(&folder, 5000).unwrap();
        let path = file.path().to_owned();
        assert_eq!(path, folder.join("5000"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, FOR_ALL);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nobody_else_can_put_another_folder_into_the_place_of_one() {
        let above = folder("socket-above");
        let below = above.join("chat");
        fs::create_dir(&below).unwrap();
        fs::set_permissions(&below, Permissions::from_mode(0o755)).unwrap();
        for (mode, is_safe) in [(0o777, false), (0o1777, true), (0o755, true)] {
            fs::set_permissions(&above, Permissions::from_mode(mode)).unwrap();
            let opened = listen_in(&below, 5000);
            assert_eq!(opened.is_ok(), is_safe, "{mode:o}: {opened:?}");
        }
        fs::remove_dir_all(above).unwrap();
    }

    #[test]
    fn a_socket_that_is_no_longer_ours_stays() {
        let folder = folder("socket-of-others");
        let (_socket, file) = listen_in(&folder, 5000).unwrap();
        let path = file.path().to_owned();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "something else");
        fs::remove_dir_all(folder).unwrap();
    }
}
