//! Where the threads of a log say what they have to say.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::chat::effects::Effect;
use super::chat::frame::Budget;
use super::chat::rooms::Rooms;
use super::chat::tally::Tally;

/// Bytes of pages on their way to receivers, above which pages are small.
pub(crate) const PAGES: usize = 16 * 1024 * 1024;

/// Bytes of a page.
pub(crate) const PAGE: usize = 64 * 1024;

/// Bytes of a page while many are on their way.
pub(crate) const SMALL_PAGE: usize = 4 * 1024;

/// Bytes of the next page, where these are on their way.
pub(crate) fn page_size(pages: &Budget) -> usize {
    if pages.has_room() { PAGE } else { SMALL_PAGE }
}

/// Where the threads of a log say what they have to say.
pub(crate) struct Outlet {
    carry_out: Box<dyn Fn(Effect) + Send + Sync>,
    /// Counts texts and deliveries.
    pub(crate) tally: Arc<Tally>,
    /// Counts the bytes of frames.
    pub(crate) budget: Arc<Budget>,
    /// Counts the bytes of pages on their way to receivers.
    pub(crate) pages: Arc<Budget>,
    /// Have to know when a new epoch begins.
    pub(crate) rooms: Arc<Rooms>,
    /// The epoch of the texts that are published.
    pub(crate) epoch: AtomicU64,
}

impl Outlet {
    /// Effects go to `carry_out`.
    pub(crate) fn new(
        carry_out: impl Fn(Effect) + Send + Sync + 'static,
        tally: Arc<Tally>,
        budget: Arc<Budget>,
        rooms: Arc<Rooms>,
    ) -> Self {
        Outlet {
            carry_out: Box::new(carry_out),
            tally,
            budget,
            pages: Arc::new(Budget::new(PAGES)),
            rooms,
            epoch: AtomicU64::new(0),
        }
    }

    /// Has the right worker do something.
    pub(crate) fn carry_out(&self, effect: Effect) {
        (self.carry_out)(effect);
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}
