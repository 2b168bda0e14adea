//! The cases of a sender, one file a topic.

mod answers;
mod commands;
mod ending;
mod texts;
mod typing;

use super::stage::Stage;
use crate::check::case::Case;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let topics = [commands::cases(), texts::cases(), answers::cases(), ending::cases()];
    topics.into_iter().flatten().collect()
}
