//! A client that comes to a server that is tried.

use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::check::peer::Peer;
use crate::check::story::shown;
use crate::check::verdict::Step;

/// A client, with the name it logs in by.
pub(crate) struct Guest {
    peer: Peer,
    pub user: String,
    /// It receives: a server need not notice that it is gone before it writes to it.
    pub receives: bool,
    /// It goes away at once, whatever it has not read.
    abrupt: bool,
    /// Those whom the server is to close.
    leaving: Arc<Mutex<Vec<TcpStream>>>,
}

impl Guest {
    /// One over a connection. When it goes, its socket is put among those that are `leaving`.
    pub(super) fn new(peer: Peer, user: String, leaving: &Arc<Mutex<Vec<TcpStream>>>) -> Self {
        let leaving = Arc::clone(leaving);
        Guest { peer, user, receives: false, abrupt: false, leaving }
    }

    /// The line that a receiver gets when this one has said that in a room.
    pub(crate) fn delivery(&self, room: &str, text: impl AsRef<[u8]>) -> Vec<u8> {
        [format!("delivery:{room}:{}:", self.user).as_bytes(), text.as_ref()].concat()
    }

    /// Logs in, which has to be answered with `ok`.
    pub(crate) fn log_in(&mut self, tag: &str) -> Step<Vec<u8>> {
        self.receives = tag == "rlogin";
        let login = format!("{tag}:{}", self.user);
        self.ok(login)
    }

    /// The next lines have to be this one and one that begins so, in whatever order: the document says
    /// of neither that it comes first.
    pub(crate) fn expect_both(&mut self, want: impl AsRef<[u8]>, tag: &str) -> Step {
        let want = want.as_ref();
        let expected = format!("{}, and one line that begins with \"{tag}\"", shown(want));
        let (mut wanted, mut answered) = (false, false);
        while !(wanted && answered) {
            let line = self.line(&expected)?;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            match () {
                () if line == want && !wanted => wanted = true,
                () if line.starts_with(tag.as_bytes()) && !answered => answered = true,
                () => return Err(self.fail(expected, shown(&[line, b"\n"].concat()))),
            }
        }
        Ok(())
    }

    /// Goes away with a reset.
    pub(crate) fn reset(mut self) {
        self.abrupt = true;
        self.peer.reset();
    }

    /// Goes away as a program does that ends.
    pub(crate) fn close(mut self) {
        self.abrupt = true;
        self.peer.close();
    }
}

impl Deref for Guest {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl DerefMut for Guest {
    fn deref_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.abrupt && !self.receives {
            lock(&self.leaving).extend(self.peer.socket());
        }
    }
}

/// What whoever panicked was about to change is looked at all the same.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
