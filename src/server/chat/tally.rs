//! What has happened since the start.

use super::sync::atomic::AtomicU64;

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Texts carried out.
    pub texts: AtomicU64,
    /// Deliveries queued.
    pub deliveries: AtomicU64,
    /// Receivers cut for stalling.
    pub cut: AtomicU64,
    /// Texts that a stop left unanswered, for it was not known what became of them.
    pub unanswered: AtomicU64,
    /// Clients whose systems have not answered, or taken anything, for too long.
    pub lost: AtomicU64,
}
