//! A link with a thread that watches it, and so notices when the server goes away although nothing is
//! sent just then.

use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

use super::connection::wait_for_end;
use super::error::ClientError;
use super::link::{Link, Outage};

/// A link that is watched.
#[derive(Debug)]
pub(super) struct Watched(Arc<Mutex<Link>>);

impl Watched {
    /// From now on, makes the link again whenever it is lost, and calls `end` on the thread that
    /// watches when that fails.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`], [`ClientError::Thread`].
    pub(super) fn start(
        link: Link,
        mut outage: impl Outage + Send + 'static,
        end: impl FnOnce(ClientError) + Send + 'static,
    ) -> Result<Self, ClientError> {
        let descriptor = link.connection.descriptor()?;
        let link = Arc::new(Mutex::new(link));
        let watched = Arc::clone(&link);
        let watch = move || end(mend_for_ever(&watched, descriptor, &mut outage));
        let thread = thread::Builder::new().name("watch".into()).spawn(watch);
        thread.map_err(ClientError::Thread)?;
        Ok(Watched(link))
    }

    /// The link, unless the server is away.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Link>> {
        match self.0.try_lock() {
            Ok(link) => Some(link),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            // The watch has it while the server is away.
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Ends the watch: nothing is done any more when the server goes away.
    pub(super) fn end(link: MutexGuard<'_, Link>) {
        // The watch waits for this lock now.
        mem::forget(link);
    }
}

/// Makes the connection again whenever it is lost, until that fails.
fn mend_for_ever(
    link: &Mutex<Link>,
    mut descriptor: OwnedFd,
    outage: &mut dyn Outage,
) -> ClientError {
    loop {
        // Without the lock: that it is taken is the sign that the server is away.
        if let Err(error) = wait_for_end(&descriptor) {
            return error;
        }
        let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
        let loss = link.connection.last_words();
        let mended = link.reopen(loss, outage).and_then(|()| link.connection.descriptor());
        match mended {
            Ok(next) => descriptor = next,
            Err(error) => return error,
        }
    }
}
