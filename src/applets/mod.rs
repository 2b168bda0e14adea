//! The applets: one file each, one line each in the table.

mod bench;
mod receiver;
mod sender;
mod server;

use std::fmt::Display;
use std::time::Duration;

use argh::CommandInfoWithArgs;

use crate::call::Call;
use crate::client::link::Outage;
use crate::error::{Error, notice};

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

/// Reads the port of a server.
fn port_to_connect_to(word: &str) -> Result<u16, String> {
    match word.parse() {
        Ok(port @ 1..) if !word.starts_with('+') => Ok(port),
        _ => Err("a port is a number from 1 to 65535".into()),
    }
}

fn positive(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 is needed".into()),
        Ok(number) => Ok(number),
    }
}

/// Seconds, with a fraction if need be.
fn seconds(word: &str) -> Result<Duration, String> {
    /// Ten years; far enough from where calculations with times overflow.
    const MOST: f64 = 3.2e8;
    match word.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MOST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds above 0 is needed".into()),
    }
}
