//! A Unix socket → a connection to the server there, if it is the right one.
//!
//! Who could put something else there could listen and speak in everybody's name. So whoever answers has
//! to be the owner of the directory, or root.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::dial::CONNECT;
use super::error::ClientError;
use crate::system::accounts;

/// Connects to the socket at `path`, which is in `folder`. Reads and writes of the stream fail where they
/// would wait.
///
/// # Errors
///
/// [`ClientError::Socket`] if it cannot be connected to, [`ClientError::Impostor`] if somebody else
/// answers there.
pub(super) fn connect_to(folder: &Path, path: &Path) -> Result<UnixStream, ClientError> {
    let failed = |source| ClientError::Socket { path: path.into(), source };
    let stream = open(path).map_err(failed)?;
    let uid = accounts::peer_of(&stream).map_err(failed)?;
    let owner = folder.metadata().map_err(failed)?.uid();
    // All of those who have no number here have the same.
    if ![owner, accounts::ROOT].contains(&uid) || uid == accounts::FROM_ELSEWHERE {
        return Err(ClientError::Impostor { path: path.into(), uid });
    }
    stream.set_nonblocking(true).map_err(failed)?;
    Ok(stream)
}

fn open(path: &Path) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => io::Error::new(ErrorKind::InvalidInput, "the path is too long"),
        error => error.into(),
    })?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A server that accepts nobody must not be waited for for ever.
    set_socket_timeout(&socket, Timeout::Send, Some(CONNECT))?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn who_answers_has_to_be_the_owner_of_the_directory_or_root() {
        let folder = std::env::temp_dir().join(format!("chatbox-{}-local", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("5000");
        let _listener = UnixListener::bind(&path).unwrap();
        connect_to(&folder, &path).unwrap();
        // As root, one can answer for everybody.
        let elsewhere = Path::new("/");
        let result = connect_to(elsewhere, &path);
        fs::remove_dir_all(&folder).unwrap();
        if accounts::own() == accounts::ROOT {
            result.unwrap();
        } else {
            assert!(matches!(result, Err(ClientError::Impostor { .. })), "{result:?}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_or_leads_nowhere_is_an_error() {
        let long = format!("/tmp/{}", "x".repeat(200));
        for path in [long.as_str(), "/nowhere/5000"] {
            let result = connect_to(Path::new("/"), Path::new(path));
            assert!(matches!(result, Err(ClientError::Socket { .. })), "{result:?}");
        }
    }
}
