//! What vouches for the names that a client may log in under.

use std::fmt;

use thiserror::Error;

use super::sync::Arc;
use crate::wire::protocol::Name;

/// What vouches for the names that a client may log in under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// Nothing, for any name will do.
    Nothing,
    /// That is still being found out.
    Awaited,
    /// This: its names alone will do.
    By(Voucher, Arc<[Name]>),
    /// Nothing, and so no name will do.
    Unknown(&'static str),
}

/// Who knows a client's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voucher {
    /// The system, in which the client has an account.
    Account,
    /// Whoever has issued a certificate to the client.
    Certificate,
}

/// Why somebody may not log in under a name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum WrongName {
    /// It is vouched for under others.
    #[error("by your {0} you are {1}, log in as that")]
    Other(Voucher, String),
    /// It is not known who it is; why not.
    #[error("{0}")]
    Unknown(&'static str),
}

impl Vouched {
    /// Who knows the client's names, if anybody does.
    pub(crate) fn by(&self) -> Option<Voucher> {
        match self {
            Vouched::By(voucher, _) => Some(*voucher),
            _ => None,
        }
    }

    /// Whether somebody may log in as `user`, or by what is no name; `None` if that is not known yet.
    ///
    /// # Errors
    ///
    /// [`WrongName`] if not.
    pub(crate) fn allow(&self, user: Option<&Name>) -> Option<Result<(), WrongName>> {
        match self {
            Vouched::Awaited => None,
            Vouched::Nothing => Some(Ok(())),
            Vouched::By(_, names) if user.is_some_and(|user| names.contains(user)) => Some(Ok(())),
            Vouched::By(voucher, names) => Some(Err(WrongName::Other(*voucher, in_words(names)))),
            Vouched::Unknown(reason) => Some(Err(WrongName::Unknown(reason))),
        }
    }
}

/// `account ann`
impl fmt::Display for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Vouched::Nothing => f.write_str("any name"),
            Vouched::Awaited => f.write_str("name not known yet"),
            Vouched::By(voucher, names) => write!(f, "{voucher} {}", in_words(names)),
            Vouched::Unknown(_) => f.write_str("no name"),
        }
    }
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Voucher::Account => f.write_str("account"),
            Voucher::Certificate => f.write_str("certificate"),
        }
    }
}

/// `ann or annie`; of very many, the first.
fn in_words(names: &[Name]) -> String {
    /// Bytes, but for the first: they have to fit an answer, and a line of a log.
    const MOST: usize = 300;
    let mut words = String::new();
    for (number, name) in names.iter().map(Name::as_str).enumerate() {
        if number == 0 {
            words += name;
        } else if words.len() + name.len() <= MOST {
            words = words + " or " + name;
        } else {
            return format!("{words} or one of {} more", names.len() - number);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_that_are_vouched_for_will_do_and_the_refusal_says_which() {
        let name = |name: &str| Name::parse(name.as_bytes()).unwrap();
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(name);
        let vouched = Vouched::By(Voucher::Account, Arc::from([ann.clone(), bob.clone()]));
        assert_eq!(
            [&ann, &bob].map(|name| vouched.allow(Some(name))),
            [Some(Ok(())), Some(Ok(()))]
        );
        let refusal = vouched.allow(Some(&eve)).unwrap().unwrap_err();
        assert_eq!(refusal.to_string(), "by your account you are ann or bob, log in as that");
        assert_eq!(vouched.allow(None), Some(Err(refusal)));
        assert_eq!(Vouched::Nothing.allow(None), Some(Ok(())));
        let many: Vec<_> = (100..500).map(|number| name(&format!("user{number}"))).collect();
        let vouched = Vouched::By(Voucher::Certificate, many.into());
        let refusal = vouched.allow(Some(&eve)).unwrap().unwrap_err().to_string();
        assert!(refusal.len() < 400, "{refusal}");
        assert!(refusal.starts_with("by your certificate you are user100 or user101 or "));
        assert!(refusal.ends_with(" or one of 372 more, log in as that"), "{refusal}");
        assert_eq!(Vouched::Nothing.allow(Some(&eve)), Some(Ok(())));
        assert_eq!(Vouched::Awaited.allow(Some(&eve)), None);
        assert!(Vouched::Unknown("why").allow(Some(&ann)).unwrap().is_err());
    }
}
