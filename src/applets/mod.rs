//! The applets: one file each, one line each in the table.
//!
//! An applet knows flags, and turns them into one call. What that does is not known here.

mod applet;
mod bench;
mod chat;
mod check;
mod receiver;
mod security;
mod sender;
mod server;

pub(crate) use applet::Applet;

/// All applets.
pub(crate) const APPLETS: &[Applet] =
    &[server::APPLET, sender::APPLET, receiver::APPLET, chat::APPLET, bench::APPLET, check::APPLET];

/// The applet of that name.
pub(crate) fn named(name: &str) -> Option<&'static Applet> {
    APPLETS.iter().find(|applet| applet.name == name)
}

/// The applets that an installation has links for.
pub(crate) fn linked() -> impl Iterator<Item = &'static Applet> {
    APPLETS.iter().filter(|applet| applet.linked)
}

/// The names of all applets, in words.
pub(crate) fn names() -> String {
    let names: Vec<_> = APPLETS.iter().map(|applet| applet.name).collect();
    names.join(", ")
}
