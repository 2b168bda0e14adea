//! The cases of clients: what both have in common, and what is each one's own.

mod calling;
mod login;
mod receiver;
mod sender;
mod stage;

use super::case::Case;

pub(super) use stage::Stage;

/// All cases of a sender.
pub(super) fn of_sender() -> Vec<Case<Stage>> {
    [calling::cases("sender"), login::cases("sender"), sender::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// All cases of a receiver.
pub(super) fn of_receiver() -> Vec<Case<Stage>> {
    let all = [calling::cases("receiver"), login::cases("receiver"), receiver::cases()];
    all.into_iter().flatten().collect()
}
