//! The applets: one file each, one line each in the table.

mod bench;
mod receiver;
mod sender;
mod server;

use std::fmt::Display;

use argh::CommandInfoWithArgs;

use crate::client::link::Outage;
use crate::error::Error;
use crate::terminal::output::notice;
use crate::usage::call::Call;

/// One of the programs that the executable can be.
#[derive(Debug)]
pub struct Applet {
    /// The name that it is called by.
    pub name: &'static str,
    /// An installation has a link of that name.
    pub linked: bool,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Runs it.
    pub run: fn(&Call<'_>) -> Result<(), Error>,
    /// What it is called with.
    pub info: fn() -> CommandInfoWithArgs,
}

/// All applets.
pub const APPLETS: &[Applet] = &[server::APPLET, sender::APPLET, receiver::APPLET, bench::APPLET];

/// The applet of that name.
pub fn named(name: &str) -> Option<&'static Applet> {
    APPLETS.iter().find(|applet| applet.name == name)
}

/// The applets that an installation has links for.
pub fn linked() -> impl Iterator<Item = &'static Applet> {
    APPLETS.iter().filter(|applet| applet.linked)
}

/// The names of all applets, in words.
pub fn names() -> String {
    let names: Vec<_> = APPLETS.iter().map(|applet| applet.name).collect();
    names.join(", ")
}

/// Waits until the server is back, and says so on standard error.
struct Patience;

impl Outage for Patience {
    fn say(&mut self, what: &dyn Display) {
        notice(what);
    }
}
