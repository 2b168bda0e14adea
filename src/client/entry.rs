//! What is entered at a prompt: a line, or several that were pasted.
//!
//! Knows lines and what is a command. Must not know prompts, nor how lines are sent.

use super::command::{is_command, trim};

/// Pasted lines from so many on are sent only if one says so.
const MANY: usize = 6;

/// What was entered, in lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The lines that are not empty.
    pub lines: Vec<&'a str>,
    /// There was a line break, which cannot be typed.
    pasted: bool,
}

impl<'a> Entry<'a> {
    /// Splits what was entered into lines.
    pub(crate) fn new(text: &'a str) -> Self {
        let lines = text.split('\n').filter(|line| !trim(line.as_bytes()).is_empty()).collect();
        Entry { lines, pasted: text.contains('\n') }
    }

    /// What to ask before anything is sent: about pasted lines, if there are many, or a command that
    /// one may not have seen among them.
    pub(crate) fn question(&self) -> Option<String> {
        let commands = self.lines.iter().filter(|line| is_command(trim(line.as_bytes()))).count();
        if !self.pasted || self.lines.len() < MANY && commands == 0 {
            return None;
        }
        let lines = counted(self.lines.len(), "line");
        Some(match commands {
            0 => format!("{lines}: send?"),
            _ => format!("{lines}, {} among them: send?", counted(commands, "command")),
        })
    }
}

/// So many of something, in words.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pasted_lines_and_commands_among_them_are_asked_about() {
        for (entered, question) in [
            ("", None),
            ("/quit", None),
            ("one\ntwo\n\n three\nfour\n//five\n", None),
            ("1\n2\n3\n4\n5\n6", Some("6 lines: send?")),
            ("one\n /quit\n", Some("2 lines, 1 command among them: send?")),
            ("/quit\n", Some("1 line, 1 command among them: send?")),
        ] {
            assert_eq!(Entry::new(entered).question().as_deref(), question, "{entered:?}");
        }
        // What white space is, is known where lines are understood.
        assert_eq!(Entry::new(" a\tb \n\n\u{3000}\n c").lines, [" a\tb ", "\u{3000}", " c"]);
    }
}
