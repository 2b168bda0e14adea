//! A link with a thread that notices at once when the server goes away, also while nothing is sent.

use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

use super::connection::wait_for_close;
use super::error::ClientError;
use super::link::{Link, Reconnect};

/// A link that is watched.
#[derive(Debug)]
pub(super) struct Watched(Arc<Mutex<Link>>);

impl Watched {
    /// Starts the thread. It makes the connection again whenever it is lost, and calls `on_loss`
    /// when that fails.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`], [`ClientError::Thread`].
    pub(super) fn start(
        link: Link,
        mut reconnect: impl Reconnect + Send + 'static,
        on_loss: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<Self, ClientError> {
        let descriptor = link.connection.descriptor()?;
        let link = Arc::new(Mutex::new(link));
        let watched = Arc::clone(&link);
        let watch = move || on_loss(reconnect_forever(&watched, descriptor, &mut reconnect));
        let thread = thread::Builder::new().name("watch".into()).spawn(watch);
        thread.map_err(ClientError::Thread)?;
        Ok(Watched(link))
    }

    /// The link, unless the server is away.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Link>> {
        match self.0.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            // The thread has it while the server is away.
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Ends the watch: from now on, the thread does nothing when the server goes away.
    pub(super) fn stop(link: MutexGuard<'_, Link>) {
        // The thread waits for this lock, for ever.
        mem::forget(link);
    }
}

/// Makes the connection again whenever it is lost, until that fails.
fn reconnect_forever(
    link: &Mutex<Link>,
    mut descriptor: OwnedFd,
    reconnect: &mut dyn Reconnect,
) -> ClientError {
    loop {
        // Without the lock, which is held only while the server is away.
        if let Err(error) = wait_for_close(&descriptor) {
            return error;
        }
        let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
        let loss = link.connection.close_reason();
        let reconnected = link.reopen(loss, reconnect).and_then(|()| link.connection.descriptor());
        match reconnected {
            Ok(next) => descriptor = next,
            Err(error) => return error,
        }
    }
}
