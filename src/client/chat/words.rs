//! What the Tab key completes: commands, rooms, and users who have spoken.
//!
//! Knows words. Must not know who hears and says them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::command::{self, is_command, trim};
use crate::terminal::prompt::Completion;
use crate::terminal::visible::visible;

/// The most users that are kept, whatever names strangers take.
const MOST_USERS: usize = 200;

/// What a word that starts with a slash can be completed to.
const COMMANDS: [&str; 3] = ["/join ", "/quit", "/help"];

/// Words that can be completed. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Words(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    commands: command::Completion,
    /// Those who spoke last come first.
    users: VecDeque<String>,
}

impl Words {
    /// With the room that the client is in, if any.
    pub(super) fn new(room: Option<&[u8]>) -> Self {
        let commands = command::Completion::new(&COMMANDS, room);
        Words(Arc::new(Mutex::new(Known { commands, users: VecDeque::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a room that is visited.
    pub(super) fn add_room(&self, room: &[u8]) {
        self.lock().commands.add_room(room);
    }

    /// A user has spoken.
    pub(super) fn spoke(&self, user: &[u8]) {
        let user = visible(user);
        let users = &mut self.lock().users;
        users.retain(|other| *other != user);
        users.push_front(user);
        users.truncate(MOST_USERS);
    }
}

impl Completion for Words {
    fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let known = self.lock();
        if line.starts_with('/') {
            return known.commands.complete(line);
        }
        let start = line.rfind(' ').map_or(0, |space| space + 1);
        let word = &line[start..];
        if word.is_empty() {
            return (line.len(), Vec::new());
        }
        let end = if start == 0 { ": " } else { " " };
        let is_meant = |user: &&String| {
            user.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
        };
        let users = known.users.iter().filter(is_meant);
        (start, users.map(|user| format!("{user}{end}")).collect())
    }

    fn takes_away(&self, line: &str) -> bool {
        line.split('\n').all(|line| !is_command(trim(line.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_spoke_last_come_first_and_few_are_kept() {
        let words = Words::new(None);
        ["alan", "bob", "alice"].iter().for_each(|user| words.spoke(user.as_bytes()));
        assert_eq!(words.complete("AL"), (0, vec!["alice: ".into(), "alan: ".into()]));
        words.spoke(b"alan");
        assert_eq!(words.complete("hi al"), (3, vec!["alan ".into(), "alice ".into()]));
        assert_eq!(words.complete("hi "), (3, Vec::new()));
        assert_eq!(words.complete("/l"), (0, Vec::new()));
        (0..1000).for_each(|number| words.spoke(format!("x{number}").as_bytes()));
        assert_eq!(words.complete("x").1.len(), MOST_USERS);
        assert_eq!(words.complete("al").1.len(), 0);
    }
}
