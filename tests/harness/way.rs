//! The ways in which clients come to a server. A test that is about none of them can be one of each.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt;

use super::authority::Authority;
use super::tunnel;

/// A way in which clients come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Tcp,
    Socket,
    Tls,
}

/// Makes a test of each of these functions for each way.
#[macro_export]
macro_rules! over_each_way {
    ($($test:ident)*) => {$(
        mod $test {
            use $crate::harness::Way;

            #[test]
            fn over_tcp() {
                super::$test(Way::Tcp);
            }

            #[test]
            fn over_a_socket() {
                super::$test(Way::Socket);
            }

            #[test]
            fn over_tls() {
                super::$test(Way::Tls);
            }
        }
    )*};
}

/// Makes a test of each of these functions for each way in which nothing lies between the test and the
/// server: what a tunnel has taken ahead would be in the way.
#[macro_export]
macro_rules! over_each_plain_way {
    ($($test:ident)*) => {$(
        mod $test {
            use $crate::harness::Way;

            #[test]
            fn over_tcp() {
                super::$test(Way::Tcp);
            }

            #[test]
            fn over_a_socket() {
                super::$test(Way::Socket);
            }
        }
    )*};
}

/// Where a server is.
#[derive(Clone, Debug)]
pub enum Place {
    Port(u16),
    Socket(PathBuf),
    /// A port where TLS is spoken, and who has issued the server's certificate.
    Tls(u16, Arc<Authority>),
}

impl From<u16> for Place {
    fn from(port: u16) -> Self {
        Place::Port(port)
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

impl Place {
    pub fn connect(self) -> Wire {
        match self {
            Place::Port(port) => TcpStream::connect(("localhost", port)).unwrap().into(),
            Place::Socket(path) => UnixStream::connect(path).unwrap().into(),
            Place::Tls(port, authority) => {
                let (session, tcp) = authority.connect(port, None, &[]);
                tunnel::dig(session, tcp).into()
            }
        }
    }
}

/// A folder for a Unix socket, where all may go in and nobody else may put anything.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("socket-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir(folder.path()).unwrap();
        folder.set_mode(0o755);
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn set_mode(&self, mode: u32) {
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client's end of a connection.
#[derive(Debug)]
pub enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Wire::Tcp(stream)
    }
}

impl From<UnixStream> for Wire {
    fn from(stream: UnixStream) -> Self {
        Wire::Unix(stream)
    }
}

/// Does with the stream what both kinds do.
macro_rules! with {
    ($wire:expr, $stream:ident => $action:expr) => {
        match $wire {
            Wire::Tcp($stream) => $action,
            Wire::Unix($stream) => $action,
        }
    };
}

impl Wire {
    pub fn try_clone(&self) -> io::Result<Self> {
        with!(self, stream => stream.try_clone().map(Wire::from))
    }

    pub fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        with!(self, stream => stream.set_read_timeout(time))
    }

    pub fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        with!(self, stream => stream.set_write_timeout(time))
    }

    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        with!(self, stream => stream.set_nonblocking(nonblocking))
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        with!(self, stream => stream.shutdown(how))
    }

    /// Sends each line at once, as a Unix socket always does.
    pub fn set_nodelay(&self) {
        if let Wire::Tcp(stream) = self {
            sockopt::set_tcp_nodelay(stream, true).unwrap();
        }
    }

    /// Waits until there is something to read, or the time for that is over.
    pub fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let flags = rustix::net::RecvFlags::PEEK;
        Ok(rustix::net::recv(self, bytes, flags)?.0)
    }
}

impl Read for &Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        with!(self, stream => (&*stream).read(bytes))
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }
}

impl Write for &Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        with!(self, stream => (&*stream).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        with!(self, stream => stream.as_fd())
    }
}
