//! What was sent and what came, in order, and how bytes are shown.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries that are remembered.
const MOST_ENTRIES: usize = 400;

/// Entries that are told.
const TOLD: usize = 10;

/// Bytes of an entry that are remembered: its beginning, and as many of its end.
const KEPT: usize = 400;

/// One who sends or gets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Who, and whether it is sent or got: `bob sends`.
    pub who: String,
    /// The bytes; of many, only the first and the last.
    bytes: Vec<u8>,
    /// How many they were.
    length: usize,
}

impl Told {
    /// All on one line, and harmless.
    pub(super) fn shown(&self) -> String {
        shown_of(&self.bytes, self.length)
    }
}

/// What all who take part in a case have sent and got.
#[derive(Clone, Debug, Default)]
pub(super) struct Story(Arc<Mutex<VecDeque<Told>>>);

impl Story {
    /// Adds to what was told last, if that is by the same.
    pub(super) fn tell(&self, who: &str, bytes: &[u8]) {
        let mut entries = self.entries();
        match entries.back_mut() {
            Some(last) if last.who == who && last.bytes.len() < KEPT => {
                last.bytes.extend_from_slice(bytes);
                last.length += bytes.len();
                shorten(&mut last.bytes);
            }
            _ => {
                let mut kept = bytes.to_vec();
                shorten(&mut kept);
                entries.push_back(Told { who: who.into(), bytes: kept, length: bytes.len() });
            }
        }
        if entries.len() > MOST_ENTRIES {
            entries.pop_front();
        }
    }

    /// The last of it. Where much is told, only what is about these, if there are any.
    pub(super) fn last(&self, about: &[&str]) -> Vec<Told> {
        let entries = self.entries();
        let all = about.is_empty() || entries.len() <= 3 * TOLD;
        let told = entries.iter().filter(|told| all || about.contains(&told.who.as_str()));
        let mut told: Vec<_> = told.cloned().collect();
        told.drain(..told.len().saturating_sub(TOLD));
        told
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Told>> {
        // What was told stays true whoever has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shorten(bytes: &mut Vec<u8>) {
    if bytes.len() > 2 * KEPT {
        bytes.drain(KEPT..bytes.len() - KEPT);
    }
}

/// Bytes as one reads them in a program: quoted, and harmless. Of many, only the first and the last.
pub(super) fn shown(bytes: &[u8]) -> String {
    shown_of(bytes, bytes.len())
}

fn shown_of(bytes: &[u8], length: usize) -> String {
    /// Bytes that are shown in full.
    const IN_FULL: usize = 160;
    if length <= IN_FULL {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let (first, last) = (&bytes[..IN_FULL / 2], &bytes[bytes.len() - IN_FULL / 4..]);
    format!("\"{} ... {}\" ({length} bytes)", first.escape_ascii(), last.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_whole_or_with_their_ends_and_never_as_they_are() {
        assert_eq!(shown(b"sendall:\x1b[2J\xff\"\r\n"), r#""sendall:\x1b[2J\xff\"\r\n""#);
        let long = shown(&[b"a".repeat(1000), b"b\n".to_vec()].concat());
        assert!(long.starts_with("\"aaa") && long.ends_with("ab\\n\" (1002 bytes)"), "{long}");
        assert!(long.len() < 200, "{long}");
    }

    #[test]
    fn a_story_takes_little_memory_and_tells_the_last() {
        let story = Story::default();
        for number in 0..2000 {
            story.tell(["bob sends", "eve gets"][number % 2], format!("{number}\n").as_bytes());
        }
        assert_eq!(story.entries().len(), MOST_ENTRIES);
        let told = story.last(&["eve gets"]);
        assert_eq!((told.len(), told[9].shown().as_str()), (TOLD, "\"1999\\n\""));
        assert_eq!(story.last(&[]).len(), TOLD);
        let one = Story::default();
        (0..10_000).for_each(|_| one.tell("bob sends", b"0123456789"));
        assert!(one.entries().iter().all(|told| told.bytes.len() <= 2 * KEPT));
    }
}
