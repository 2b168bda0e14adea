//! What there is to do if a reply is not what was hoped for.

use crate::server::redis::link::Trouble;

/// A reply that leads elsewhere.
pub(super) enum Astray {
    /// The connection is of no use any more.
    Broken(Trouble),
    /// The epoch has to be found out.
    Elsewhere,
}

impl From<Trouble> for Astray {
    fn from(trouble: Trouble) -> Self {
        Astray::Broken(trouble)
    }
}
