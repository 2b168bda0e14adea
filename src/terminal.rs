//! Terminals: what may be shown on them, and in which colour.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless the environment is against it.
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl Color {
    /// Whether that means colour on `stream`.
    pub fn applies_to(self, stream: &impl IsTerminal) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                stream.is_terminal() && !set("NO_COLOR") && !dumb
            }
        }
    }
}

impl std::str::FromStr for Color {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            "never" => Ok(Color::Never),
            _ => Err("auto, always or never is needed"),
        }
    }
}

/// Makes visible what strangers' bytes could do to a terminal: control characters (C0, DEL, C1),
/// whatever turns the direction of other text around, separators of lines and paragraphs, and
/// bytes that are not UTF-8. All other characters stay as they are.
pub fn visible(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\0'..='\x1f' | '\x7f' => drop(write!(shown, "\\x{:02x}", u32::from(char))),
                char if is_harmful(char) => drop(write!(shown, "{}", char.escape_unicode())),
                char => shown.push(char),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// The character can do something to a terminal, or to the text around it.
pub fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The colour of a name, the same each time: a number for the `m` sequence of terminals.
pub fn color_of(name: &[u8]) -> u8 {
    // The six that are neither the foreground nor the background of anybody, plain and bright.
    const COLORS: [u8; 12] = [31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96];
    // FNV-1a, which spreads short names well.
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    COLORS[(hash % COLORS.len() as u64) as usize]
}

/// How a terminal was set when this was taken down.
#[derive(Clone, Debug)]
pub struct Settings(Termios);

impl Settings {
    /// Takes down how the terminal at standard input is set.
    ///
    /// # Errors
    ///
    /// If there is no terminal.
    pub fn of_stdin() -> io::Result<Self> {
        Ok(Settings(tcgetattr(io::stdin().as_fd())?))
    }

    /// Sets the terminal so that it passes on each key and shows none: what is typed while nobody
    /// reads is neither shown twice nor lost, as an end of input would be. Ctrl-C still interrupts.
    pub fn pass_keys_on(&self) {
        let mut settings = self.0.clone();
        settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        settings.input_modes.remove(InputModes::ICRNL);
        settings.special_codes[SpecialCodeIndex::VMIN] = 1;
        settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &settings);
    }

    /// Sets the terminal at standard input to what it was.
    pub fn restore(&self) {
        // It is gone if this fails.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_become_visible() {
        for (attack, shown) in [
            (&b"\x1b]0;title\x07"[..], r"\x1b]0;title\x07"),
            (b"\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
            (b"\x1b]52;c;cm0gLXJm\x1b\\", r"\x1b]52;c;cm0gLXJm\x1b\"),
            (b"over\rwrite\x08\x7f\t\0", r"over\x0dwrite\x08\x7f\x09\x00"),
            (b"\xc2\x9b31m \xc2\x9d0;x\xc2\x9c", r"\u{9b}31m \u{9d}0;x\u{9c}"),
            (b"\x9b31m", r"\x9b31m"),
            (b"\xff\xfe\xe2\x82", r"\xff\xfe\xe2\x82"),
            ("user\u{202e}nimda\u{2066}".as_bytes(), r"user\u{202e}nimda\u{2066}"),
            ("a\u{2028}b\u{2029}c".as_bytes(), r"a\u{2028}b\u{2029}c"),
            (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ] {
            assert_eq!(visible(attack), shown);
        }
    }

    #[test]
    fn honest_text_survives() {
        for text in [
            "plain ASCII, with \\ and \"quotes\"",
            "na\u{ef}ve caf\u{e9} \u{2014} \u{201c}quoted\u{201d}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f44d}\u{1f3fd} \u{2764}\u{fe0f} \u{1f1e9}\u{1f1ea}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} \u{200f}\u{200e}",
            "\u{65e5}\u{672c}\u{8a9e} \u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940} e\u{301}",
        ] {
            assert_eq!(visible(text.as_bytes()), text);
        }
    }

    #[test]
    fn a_name_keeps_its_colour_and_names_differ() {
        let names = ["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi"];
        let colors: std::collections::BTreeSet<_> =
            names.iter().map(|name| color_of(name.as_bytes())).collect();
        assert!(colors.len() >= 4, "{colors:?}");
        assert_eq!(color_of(b"alice"), color_of(b"alice"));
    }
}
