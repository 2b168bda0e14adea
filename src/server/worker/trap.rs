//! A bug that can be provoked, for tests of what a bug does to others. Builds without debug
//! assertions have none.

use std::sync::OnceLock;

use crate::server::chat::session::Session;

/// Panics if the session is a receiver in the room that the environment names.
pub(crate) fn spring(session: &Session) {
    static ROOM: OnceLock<Option<String>> = OnceLock::new();
    let trap = ROOM.get_or_init(|| std::env::var("CHATBOX_PROVOKE_A_BUG").ok());
    if let (Some(trap), Some(room)) = (trap, session.room())
        && session.is_receiving()
    {
        assert_ne!(trap, room.name().as_str(), "provoked");
    }
}
