//! Colours and marks: when there are any, and whose colour is which.

use std::io::IsTerminal;

use super::settings::is_capable;

/// When to use colours and marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// On a terminal, unless the environment is against it.
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// What lines may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Names are in colours.
    pub colors: bool,
    /// What is important is bold, or reverse, which are no colours.
    pub marks: bool,
}

impl Look {
    /// Neither colours nor marks.
    pub(crate) const PLAIN: Look = Look { colors: false, marks: false };
}

impl Color {
    /// What that means on `stream`.
    pub(crate) fn on(self, stream: &impl IsTerminal) -> Look {
        match self {
            Color::Always => Look { colors: true, marks: true },
            Color::Never => Look::PLAIN,
            Color::Auto if !stream.is_terminal() || !is_capable() => Look::PLAIN,
            Color::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                Look { colors: !unwanted, marks: true }
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

/// The colour of a name, the same each time: a number for the `m` sequence of terminals.
pub(crate) fn color_of(name: &[u8]) -> u8 {
    // All but black and white, which are most terminals' background and foreground, plain and bright.
    const COLORS: [u8; 12] = [31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96];
    // FNV-1a, which spreads short names well.
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    COLORS[(hash % COLORS.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_colour_and_names_differ() {
        let names = ["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi"];
        let colors: std::collections::BTreeSet<_> =
            names.iter().map(|name| color_of(name.as_bytes())).collect();
        assert!(colors.len() >= 4, "{colors:?}");
        assert_eq!(color_of(b"alice"), color_of(b"alice"));
    }
}
