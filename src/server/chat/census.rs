//! What a room says of itself when asked.

/// What there is in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Census {
    /// Receivers, those that have shut down their writing side left out.
    pub receivers: usize,
    /// Receivers that have shut down their writing side.
    pub half_closed: usize,
    /// Bytes queued for all of them.
    pub bytes: usize,
    /// The receivers that the room has waited for a lot lately.
    pub waits_for: Vec<Box<str>>,
}
