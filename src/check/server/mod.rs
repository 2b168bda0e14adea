//! The cases of a server, one file a topic.

mod answers;
mod crowd;
mod delivery;
mod guest;
mod history;
mod leaving;
mod lines;
mod login;
mod rooms;
mod running;
mod silence;
mod stage;
mod states;
mod strangers;
mod texts;
mod waiting;

use super::case::Case;

pub(super) use stage::Stage;

/// All of them, the simple ones first.
pub(super) fn cases() -> Vec<Case<Stage>> {
    let topics = [
        states::cases(),
        login::cases(),
        rooms::cases(),
        answers::cases(),
        lines::cases(),
        texts::cases(),
        delivery::cases(),
        leaving::cases(),
        waiting::cases(),
        strangers::cases(),
        crowd::cases(),
        running::cases(),
        history::cases(),
        silence::cases(),
    ];
    topics.into_iter().flatten().collect()
}
