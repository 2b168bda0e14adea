//! The atomics and channels of a mailbox. A test puts others in their place, which choose the order
//! of all threads' steps, and what each sees of the others'.

pub(crate) use std::sync::{atomic, mpsc};
