//! What was sent and what came, in order, and how bytes are shown.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries that are told, and those that are remembered of each who has a part in it: however much one
/// of them says, what the others have said last is not forgotten.
const TOLD: usize = 10;

/// Those who have gone, the last of whom are told of in any case: it may be their going that matters.
const GONE: usize = 3;

/// Entries that are told of each of these.
const OF_GONE: usize = 2;

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
pub(super) struct Story(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// How many there ever were.
    count: usize,
    /// The last of each, with their places among all.
    of_each: BTreeMap<String, VecDeque<(usize, Told)>>,
    /// How many have come under a name.
    named: BTreeMap<String, usize>,
    /// Those who have gone.
    gone: Vec<String>,
}

impl Story {
    /// Two names for one who comes, `bob sends` and `bob gets`: others if somebody had these before.
    pub(super) fn enter(&self, names: [String; 2]) -> [String; 2] {
        let mut entries = self.entries();
        let named = entries.named.entry(names[0].clone()).or_default();
        *named += 1;
        if *named == 1 { names } else { names.map(|name| numbered(&name, *named)) }
    }

    /// Adds to what was told last, if that is by the same.
    pub(super) fn tell(&self, who: &str, bytes: &[u8]) {
        self.entries().tell(who, bytes);
    }

    /// Who sends things goes, in this way.
    pub(super) fn leave(&self, who: &str, how: &str) {
        let mut entries = self.entries();
        entries.tell(who, how.as_bytes());
        entries.gone.push(who.into());
    }

    /// The last of it, and of those who have gone. Where much is told, only what is about these, if
    /// there are any.
    pub(super) fn last(&self, about: &[&str]) -> Vec<Told> {
        let entries = self.entries();
        let all: BTreeMap<_, _> =
            entries.of_each.values().flatten().map(|it| (it.0, &it.1)).collect();
        let everyone = about.is_empty() || all.len() <= 3 * TOLD;
        let wanted = |told: &Told| everyone || about.contains(&told.who.as_str());
        let last = all.iter().rev().filter(|(_, told)| wanted(told)).take(TOLD);
        let mut last: BTreeMap<_, _> = last.map(|(at, told)| (*at, *told)).collect();
        last.extend(entries.of_gone());
        last.into_values().cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // What was told stays true whoever has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn tell(&mut self, who: &str, bytes: &[u8]) {
        let told = self.of_each.entry(who.into()).or_default();
        match told.back_mut() {
            Some((at, last)) if *at + 1 == self.count && last.bytes.len() < KEPT => {
                last.bytes.extend_from_slice(bytes);
                last.length += bytes.len();
                shorten(&mut last.bytes);
            }
            _ => {
                let mut kept = bytes.to_vec();
                shorten(&mut kept);
                let entry = Told { who: who.into(), bytes: kept, length: bytes.len() };
                told.push_back((self.count, entry));
                self.count += 1;
            }
        }
        if told.len() > TOLD {
            told.pop_front();
        }
    }

    /// The last of those who have gone last.
    fn of_gone(&self) -> impl Iterator<Item = (usize, &Told)> {
        let gone = self.gone.iter().rev().take(GONE).filter_map(|who| self.of_each.get(who));
        gone.flat_map(|told| told.iter().rev().take(OF_GONE)).map(|(at, told)| (*at, told))
    }
}

/// `bob sends` of the second bob is `bob 2 sends`.
fn numbered(name: &str, number: usize) -> String {
    match name.rsplit_once(' ') {
        Some((who, what)) => format!("{who} {number} {what}"),
        None => format!("{name} {number}"),
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

    /// Who says what, each an entry of its own, in short.
    fn told(story: &Story, about: &[&str]) -> Vec<String> {
        story.last(about).iter().map(|told| format!("{} {}", told.who, told.shown())).collect()
    }

    #[test]
    fn a_story_takes_little_memory_and_tells_the_last() {
        let story = Story::default();
        for number in 0..2000 {
            story.tell(["bob sends", "eve gets"][number % 2], format!("{number}\n").as_bytes());
        }
        assert!(story.entries().of_each.values().all(|told| told.len() == TOLD));
        let of_eve = told(&story, &["eve gets"]);
        assert_eq!((of_eve.len(), of_eve[9].as_str()), (TOLD, "eve gets \"1999\\n\""));
        assert_eq!(story.last(&[]).len(), TOLD);
        let one = Story::default();
        (0..10_000).for_each(|_| one.tell("bob sends", b"0123456789"));
        let bytes = |told: &(usize, Told)| told.1.bytes.len();
        assert!(one.entries().of_each["bob sends"].iter().all(|told| bytes(told) <= 2 * KEPT));
    }

    #[test]
    fn who_talks_much_drowns_nobody_and_who_has_gone_is_told_of() {
        let story = Story::default();
        story.tell("eve sends", b"join:cafe\n");
        for (who, how) in [("ann sends", " [reset] "), ("joe sends", " [close] ")] {
            story.tell(who, b"sendall:ha");
            story.leave(who, how);
        }
        for _ in 0..1000 {
            ["bob sends", "bob gets"].iter().for_each(|who| story.tell(who, b"1\n"));
        }
        (0..30).for_each(|number| story.tell(&format!("guest {number}"), b"hello\n"));
        let gone = ["ann sends \"sendall:ha [reset] \"", "joe sends \"sendall:ha [close] \""];
        let of_eve = told(&story, &["eve sends", "eve gets"]);
        assert_eq!(of_eve[0], "eve sends \"join:cafe\\n\"");
        assert_eq!(of_eve[1..], gone);
        let all = told(&story, &[]);
        assert_eq!((all.len(), &all[..2]), (TOLD + 2, &gone.map(String::from)[..]));
    }

    #[test]
    fn two_with_one_name_are_two() {
        let story = Story::default();
        let names = || ["the fay sends", "the fay gets"].map(String::from);
        let all: Vec<_> = (0..3).map(|_| story.enter(names())).collect();
        assert_eq!(all[0], names());
        assert_eq!(all[1], ["the fay 2 sends", "the fay 2 gets"]);
        assert_eq!(all[2], ["the fay 3 sends", "the fay 3 gets"]);
        all.iter().for_each(|[sends, _]| story.tell(sends, b"x"));
        assert_eq!(story.last(&[]).len(), 3);
    }
}
