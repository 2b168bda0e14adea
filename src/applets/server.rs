//! The `server` applet: its flags.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use super::Applet;
use crate::cli::Call;
use crate::error::Error;
use crate::logging;
use crate::server::{Config, Limits, Server};
use crate::signals;

pub(super) const APPLET: Applet = Applet {
    name: "server",
    summary: "bring texts from senders to receivers, in rooms",
    run,
};

/// Serves a chat: brings what senders say in a room to the receivers in that room. Runs until
/// SIGINT or SIGTERM. Logs to standard error.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    usage = "[-v...] [-q] PORT",
    example = "{command_name} 5000"
)]
struct Arguments {
    /// the port to listen on, on every interface; 0 for any that is free
    #[argh(positional, arg_name = "PORT", from_str_fn(port_to_listen_on))]
    port: u16,

    /// log logins, joins, departures and refusals too; twice for every refused request
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// log errors alone
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    let Arguments {
        port,
        verbose,
        quiet,
    } = call.arguments()?;
    logging::start(LevelFilter::Info, verbose, quiet, true);
    let events = signals::server_events().map_err(Error::Signals)?;
    let limits = Limits {
        login_timeout: Duration::from_secs(60),
        queue_limit: 1024 * 1024,
        stall_timeout: Duration::from_secs(5),
    };
    let server = Server::start(Config {
        port,
        bind: Vec::new(),
        max_clients: None,
        limits,
    })?;
    server.run(events);
    Ok(())
}

fn port_to_listen_on(word: &str) -> Result<u16, String> {
    word.parse()
        .map_err(|_| "a port is a number from 1 to 65535, or 0 for any".into())
}
