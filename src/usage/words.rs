//! The words of a command line → the same in one form, the only one that `argh` has to know.
//!
//! Knows which flags there are and which of them take a value. Must not know what they mean.

use argh::{FlagInfo, FlagInfoKind, Optionality};

/// The words in one form: long flags, each with its value as a word of its own, then `--`, then all
/// other words.
///
/// `-n1`, `-n 1`, `--count=1` and `--count 1` are the same, and so are `-qv` and `-q -v`. Of a flag that
/// takes one value, and of a flag and its opposite (`--no-…`), the last one counts.
///
/// # Errors
///
/// What is wrong with the words; or the name of the flag in `ends`, `--help` for example, that comes
/// before anything that is wrong.
pub(super) fn in_one_form(
    words: &[&str],
    flags: &[FlagInfo<'_>],
    ends: &[FlagInfo<'static>],
) -> Result<Vec<String>, End> {
    let mut form = OneForm { flags, ends, given: Vec::new() };
    let (mut words, mut others) = (words.iter().copied(), Vec::new());
    while let Some(word) = words.next() {
        match word {
            "--" => others.extend(words.by_ref()),
            _ if word.starts_with("--") => form.take_long(word, &mut words)?,
            _ if word.starts_with('-') && word.len() > 1 => form.take_short(word, &mut words)?,
            _ => others.push(word),
        }
    }
    let others = std::iter::once("--").chain(others).map(str::to_owned);
    Ok(form.words().into_iter().chain(others).collect())
}

/// Why the words do not lead to arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// They ask for this flag, which is all there is to it.
    Flag(&'static str),
    /// They are wrong.
    Wrong(String),
}

struct OneForm<'a> {
    flags: &'a [FlagInfo<'a>],
    ends: &'a [FlagInfo<'static>],
    /// The flags that are given, with their values.
    given: Vec<(&'a FlagInfo<'a>, Option<String>)>,
}

impl<'a> OneForm<'a> {
    fn take_long<'w>(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = &'w str>,
    ) -> Result<(), End> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let flag = self.find(name, |flag| flag.long == name)?;
        match (takes_value(flag), value) {
            (None, Some(_)) => Err(End::Wrong(format!("{name} takes no value"))),
            (None, None) => self.give(flag, None),
            (Some(what), value) => {
                let value = value.or_else(|| words.next());
                self.give_value(flag, name, what, value)
            }
        }
    }

    /// Takes a word of short flags, the last of which may have a value behind it or as the next word.
    fn take_short<'w>(
        &mut self,
        word: &str,
        words: &mut impl Iterator<Item = &'w str>,
    ) -> Result<(), End> {
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            let name = format!("-{letter}");
            let flag = self.find(&name, |flag| flag.short == Some(letter))?;
            match takes_value(flag) {
                None => self.give(flag, None)?,
                Some(what) => {
                    let value = Some(letters.as_str()).filter(|rest| !rest.is_empty());
                    let value = value.or_else(|| words.next());
                    return self.give_value(flag, &name, what, value);
                }
            }
        }
        Ok(())
    }

    fn find(
        &self,
        name: &str,
        is_meant: impl Fn(&FlagInfo<'_>) -> bool,
    ) -> Result<&'a FlagInfo<'a>, End> {
        if let Some(end) = self.ends.iter().find(|flag| is_meant(flag)) {
            return Err(End::Flag(end.long));
        }
        let unknown = || End::Wrong(format!("there is no option {name}"));
        self.flags.iter().find(|flag| is_meant(flag)).ok_or_else(unknown)
    }

    fn give_value(
        &mut self,
        flag: &'a FlagInfo<'a>,
        name: &str,
        what: &str,
        value: Option<&str>,
    ) -> Result<(), End> {
        let missing = || End::Wrong(format!("{name} needs a value, {name} {what}"));
        self.give(flag, Some(value.ok_or_else(missing)?.to_owned()))
    }

    fn give(&mut self, flag: &'a FlagInfo<'a>, value: Option<String>) -> Result<(), End> {
        let once = value.is_some() && flag.optionality != Optionality::Repeating;
        self.given.retain(|(other, _)| {
            !(once && other.long == flag.long || are_opposites(other.long, flag.long))
        });
        self.given.push((flag, value));
        Ok(())
    }

    fn words(self) -> Vec<String> {
        let words = self.given.into_iter();
        words.flat_map(|(flag, value)| [flag.long.to_owned()].into_iter().chain(value)).collect()
    }
}

/// What a flag's value is called, if it takes one.
fn takes_value<'a>(flag: &FlagInfo<'a>) -> Option<&'a str> {
    match flag.kind {
        FlagInfoKind::Option { arg_name } => Some(arg_name),
        FlagInfoKind::Switch => None,
    }
}

fn are_opposites(one: &str, other: &str) -> bool {
    let without = |name: &str| name.strip_prefix("--no-").map(|name| format!("--{name}"));
    without(one).is_some_and(|name| name == other) || without(other).is_some_and(|name| name == one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::call::{HELP_FLAG, VERSION_FLAG, flag};

    fn form(words: &[&str]) -> Result<String, End> {
        let repeating = FlagInfo {
            optionality: Optionality::Repeating,
            ..flag("--message", Some('m'), Some("TEXT"), "")
        };
        let flags = [
            flag("--count", Some('n'), Some("N"), ""),
            flag("--quiet", Some('q'), None, ""),
            flag("--verbose", Some('v'), None, ""),
            flag("--retry", None, None, ""),
            flag("--no-retry", None, None, ""),
            repeating,
        ];
        in_one_form(words, &flags, &[HELP_FLAG, VERSION_FLAG]).map(|words| words.join(" "))
    }

    #[test]
    fn all_forms_are_one() {
        for (words, want) in [
            (&["-n1"][..], "--count 1 --"),
            (&["-n", "1", "a"], "--count 1 -- a"),
            (&["a", "--count=1"], "--count 1 -- a"),
            (&["--count", "1"], "--count 1 --"),
            (&["--count="], "--count  --"),
            (&["-qv", "a"], "--quiet --verbose -- a"),
            (&["-vvn1"], "--verbose --verbose --count 1 --"),
            (&["-vn", "-1"], "--verbose --count -1 --"),
            (&["-m", "--", "-m=a=b", "-mx"], "--message -- --message =a=b --message x --"),
            (&["--", "-q", "--help", "--"], "-- -q --help --"),
            (&["-", "help", ""], "-- - help "),
        ] {
            assert_eq!(form(words).as_deref(), Ok(want), "{words:?}");
        }
    }

    #[test]
    fn the_last_one_counts() {
        for (words, want) in [
            (&["-n1", "--count", "2", "--count=3"][..], "--count 3 --"),
            (&["--retry", "--no-retry"], "--no-retry --"),
            (&["--no-retry", "--retry"], "--retry --"),
        ] {
            assert_eq!(form(words).as_deref(), Ok(want), "{words:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_unless_help_comes_first() {
        let wrong = |text: &str| Err(End::Wrong(text.into()));
        assert_eq!(form(&["-x"]), wrong("there is no option -x"));
        assert_eq!(form(&["-q\u{e9}"]), wrong("there is no option -\u{e9}"));
        assert_eq!(form(&["--coun", "1"]), wrong("there is no option --coun"));
        assert_eq!(form(&["--quiet=yes"]), wrong("--quiet takes no value"));
        assert_eq!(form(&["a", "-n"]), wrong("-n needs a value, -n N"));
        assert_eq!(form(&["a", "--count"]), wrong("--count needs a value, --count N"));
        assert_eq!(form(&["a", "b", "--version", "--nonsense"]), Err(End::Flag("--version")));
        assert_eq!(form(&["-qhx"]), Err(End::Flag("--help")));
        assert_eq!(form(&["--nonsense", "--help"]), wrong("there is no option --nonsense"));
    }
}
