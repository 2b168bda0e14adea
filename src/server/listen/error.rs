//! Why a server cannot listen.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::tls::TlsError;

/// Why a server cannot listen.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// A name to listen on means nothing.
    #[error("cannot listen on {host}: {source}")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or a key will not do.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The directory is none, or cannot be looked at.
    #[error("cannot use {} for a socket: {source}", .folder.display())]
    Folder {
        /// The directory.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could put a socket there.
    #[error(
        "others than root and the server's account could put a socket into {}: {problem}",
        .folder.display()
    )]
    Unsafe {
        /// The directory.
        folder: PathBuf,
        /// Why.
        problem: &'static str,
    },
    /// Another server has the lock.
    #[error("another server has the socket {}", .path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something is there that is not for us to remove.
    #[error("{} is there already, and is not the socket of a server that has ended", .path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The system does not allow it.
    #[error("cannot listen on {}: {source}", .path.display())]
    Path {
        /// The socket, or its lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
