//! A case, as data: what the protocol asks, and the function that tries it.
//!
//! Knows of a case's name and place. Must not know what it does.

use std::fmt;
use std::str::FromStr;

use super::verdict::Step;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Server,
    Sender,
    Receiver,
}

impl FromStr for What {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "server" => Ok(What::Server),
            "sender" => Ok(What::Sender),
            "receiver" => Ok(What::Receiver),
            _ => Err("server, sender or receiver is needed"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Server => "server",
            What::Sender => "sender",
            What::Receiver => "receiver",
        })
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Profile {
    /// What the course's text asks.
    Assignment,
    /// The whole protocol.
    Full,
}

impl FromStr for Profile {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "assignment" => Ok(Profile::Assignment),
            "full" => Ok(Profile::Full),
            _ => Err("assignment or full is needed"),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Profile::Assignment => "assignment",
            Profile::Full => "full",
        })
    }
}

/// What is known of a case.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// `server/answers/empty-line`.
    pub id: String,
    /// What the protocol asks, in one sentence.
    pub asks: String,
    /// The least that one asks for this to be part of it.
    pub profile: Profile,
    /// It is a burden for a server that others use.
    pub heavy: bool,
}

impl About {
    /// The id without its last word.
    pub(super) fn group(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

/// A case that is tried on a stage of kind `S`.
pub(super) struct Case<S> {
    pub about: About,
    pub run: Box<dyn Fn(&mut S) -> Step>,
}

/// A case of the course; its group comes from its topic, see [`topic`].
pub(super) fn case<S>(
    name: impl Into<String>,
    asks: impl Into<String>,
    run: impl Fn(&mut S) -> Step + 'static,
) -> Case<S> {
    let profile = Profile::Assignment;
    let about = About { id: name.into(), asks: asks.into(), profile, heavy: false };
    Case { about, run: Box::new(run) }
}

impl<S> Case<S> {
    /// The course does not ask this, or the reference does otherwise.
    pub(super) fn full(mut self) -> Self {
        self.about.profile = Profile::Full;
        self
    }

    /// A burden for a server that others use.
    pub(super) fn heavy(mut self) -> Self {
        self.about.heavy = true;
        self
    }
}

/// The cases of one topic: `server/answers`.
pub(super) fn topic<S>(group: &str, cases: impl IntoIterator<Item = Case<S>>) -> Vec<Case<S>> {
    let in_group = |mut case: Case<S>| {
        case.about.id = format!("{group}/{}", case.about.id);
        case
    };
    cases.into_iter().map(in_group).collect()
}
