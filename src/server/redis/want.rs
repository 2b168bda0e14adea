//! What is wanted of the writer.

use std::sync::mpsc;
use std::time::Instant;

use super::room::Open;
use crate::server::chat::batch::Batch;
use crate::wire::protocol::Name;

/// Something that is wanted of the writer.
#[derive(Debug)]
pub(super) enum Want {
    /// Keep and publish these.
    Keep(Vec<Batch>),
    /// Let this receiver in.
    Open(Open),
    /// In each of these rooms there are texts up to that SEQ.
    Heard(Vec<(Name, u64)>),
    /// There may be something new in any room.
    Look,
    /// Another epoch may have begun.
    Arrive,
    /// No more comes: bring everything to an end by then, and say so.
    Finish(Instant, mpsc::Sender<()>),
}
