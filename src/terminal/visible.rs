//! Untrusted bytes, made harmless for a terminal.

use std::fmt::Write as _;

/// Escapes what could do harm to a terminal in untrusted bytes: control characters (C0 but for the
/// tab, DEL, C1), what changes the direction of other text, separators of lines and paragraphs, and
/// bytes that are not UTF-8. All other characters stay as they are.
pub(crate) fn visible(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\t' => shown.push(char),
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
pub(crate) fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
            (b"over\rwrite\x08\x7f\0", r"over\x0dwrite\x08\x7f\x00"),
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
            "plain ASCII, with \\, \"quotes\" and\ttabs",
            "na\u{ef}ve caf\u{e9} \u{2014} \u{201c}quoted\u{201d}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f44d}\u{1f3fd} \u{2764}\u{fe0f} \u{1f1e9}\u{1f1ea}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} \u{200f}\u{200e}",
            "\u{65e5}\u{672c}\u{8a9e} \u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940} e\u{301}",
        ] {
            assert_eq!(visible(text.as_bytes()), text);
        }
    }
}
