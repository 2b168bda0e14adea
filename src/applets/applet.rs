//! What an applet is, and what several of them share.

use std::thread;
use std::time::Duration;

use argh::CommandInfoWithArgs;
use log::LevelFilter;

use crate::client::ClientError;
use crate::error::Error;
use crate::system::logging::{self, Form, Logging, Verbosity};
use crate::system::signals;
use crate::terminal::output::notice;
use crate::usage::call::Call;
use crate::usage::values::number;
use crate::wire::position;

/// One of the programs that the executable can be.
#[derive(Debug)]
pub(crate) struct Applet {
    /// The name that it is called by.
    pub name: &'static str,
    /// An installation has a link of that name.
    pub linked: bool,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Runs it.
    pub run: fn(&Call<'_>) -> Result<(), Error>,
    /// Signals that mean something to it, and what.
    pub signals: &'static [(&'static str, &'static str)],
    /// What it is called with.
    pub info: fn() -> CommandInfoWithArgs,
}

/// What signals mean to a client.
pub(super) const CLIENT_SIGNALS: &[(&str, &str)] =
    &[("SIGINT, SIGTERM, SIGHUP", "end it; the shell is told which signal it was")];

/// Starts the log of a client, and sees to it that signals end it.
pub(super) fn start_client(more: u8, quiet: bool) -> Result<Logging, Error> {
    signals::end_first_process()?;
    Ok(logging::start(Verbosity { normal: LevelFilter::Warn, more, quiet }, Form::Told(notice)))
}

/// Ends the process with [`Error::TimedOut`] after `time`.
pub(super) fn exit_after(time: Duration) -> Result<(), Error> {
    let end = move || {
        thread::sleep(time);
        Error::TimedOut.exit();
    };
    Ok(thread::Builder::new().spawn(end).map(drop).map_err(ClientError::Thread)?)
}

/// Reads how many of a room's last texts are wanted.
pub(super) fn last(word: &str) -> Result<u64, String> {
    let most = position::MAX;
    let count = number(word).filter(|count| *count <= most);
    count.ok_or(format!("a whole number is needed, {most} at most"))
}

/// Ends the process with an error, from any thread.
pub(super) fn exit_with(error: ClientError) -> ! {
    Error::from(error).exit()
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Display;

    use argh::ArgsInfo;

    /// Asserts what the help quotes of a flag's default.
    pub(in crate::applets) fn assert_default<T: ArgsInfo>(flag: &str, default: impl Display) {
        let flags = T::get_args_info().flags;
        let help = flags.iter().find(|one| one.long == flag).expect(flag).description;
        assert!(help.contains(&format!("(default: {default}")), "{flag} is {default}: {help}");
    }
}
