//! The locks, atomics and channels that the chat is built on. A test puts others in their place,
//! which choose the order of all threads' steps.

pub(crate) use std::sync::atomic;
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

/// Takes a lock. A thread that panicked under it leaves nothing half-done that others could not
/// live with, so a poisoned lock is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
