//! The cases of a receiver, one file a topic.

mod ending;
mod joining;
mod printing;
mod strange;

use super::stage::Stage;
use crate::check::case::Case;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let topics = [joining::cases(), printing::cases(), strange::cases(), ending::cases()];
    topics.into_iter().flatten().collect()
}
