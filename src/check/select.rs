//! Which cases are meant: globs of ids.

use super::case::{About, Profile};
use super::error::CheckError;

/// Which cases are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// How much is asked.
    pub profile: Profile,
    /// Only those whose id one of these matches, if there are any.
    pub only: Vec<String>,
    /// Not those whose id one of these matches.
    pub skip: Vec<String>,
    /// Not those that are a burden.
    pub shared: bool,
}

impl Selection {
    /// Those of all cases that are wanted, as a function that tells.
    ///
    /// # Errors
    ///
    /// [`CheckError::NoSuchCase`] if a glob matches nothing, [`CheckError::NoCase`] if nothing is left.
    pub(super) fn of<'a>(
        &self,
        all: impl Iterator<Item = &'a About>,
    ) -> Result<Vec<bool>, CheckError> {
        let all: Vec<_> = all.collect();
        let in_profile = |about: &About| about.profile <= self.profile;
        for glob in self.only.iter().chain(&self.skip) {
            if !all.iter().any(|about| in_profile(about) && matches(glob, &about.id)) {
                let (glob, profile) = (glob.clone(), self.profile);
                return Err(CheckError::NoSuchCase { glob, profile });
            }
        }
        let any = |globs: &[String], id: &str| globs.iter().any(|glob| matches(glob, id));
        let wanted = |about: &&About| {
            in_profile(about)
                && (self.only.is_empty() || any(&self.only, &about.id))
                && !any(&self.skip, &about.id)
                && !(self.shared && about.heavy)
        };
        let wanted: Vec<_> = all.iter().map(wanted).collect();
        if wanted.contains(&true) { Ok(wanted) } else { Err(CheckError::NoCase) }
    }
}

/// Whether a glob matches all of a text: `*` is anything, `?` any one character.
fn matches(glob: &str, text: &str) -> bool {
    let mut chars = glob.chars();
    match chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = chars.as_str();
            text.char_indices().any(|(at, _)| matches(rest, &text[at..])) || matches(rest, "")
        }
        Some(first) => {
            let mut left = text.chars();
            left.next().is_some_and(|char| first == '?' || first == char)
                && matches(chars.as_str(), left.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_the_whole_id() {
        let id = "server/answers/empty-line";
        for glob in
            [id, "*", "server/*", "*/answers/*", "*empty*", "server/answers/empty?line", "*line"]
        {
            assert!(matches(glob, id), "{glob}");
        }
        for glob in ["", "server", "server/answers", "?", "*lines", "Server/*", "answers/*"] {
            assert!(!matches(glob, id), "{glob}");
        }
    }
}
