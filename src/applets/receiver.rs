//! The `receiver` applet: what is said in a room, to standard output.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;
use rustix::event::{PollFd, PollFlags, poll};

use super::Applet;
use crate::call::Call;
use crate::client::{ClientError, Connection, report_unexpected};
use crate::error::Error;
use crate::lines::Line;
use crate::logging::{self, Verbosity};
use crate::protocol::{Delivery, Reply, Request};
use crate::signals;

pub(super) const APPLET: Applet =
    Applet { name: "receiver", linked: true, summary: "print what is said in a room", run };

/// Prints what is said in a room of a chat, one line each: 'SENDER: TEXT'. Runs until it is
/// interrupted or the server goes away.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    usage = "[-v...] [-q] HOST PORT USER ROOM",
    example = "{command_name} localhost 5000 alice cafe"
)]
struct Arguments {
    /// the server's name or address
    #[argh(positional, arg_name = "HOST")]
    host: String,

    /// the server's port
    #[argh(positional, arg_name = "PORT", from_str_fn(super::port_to_connect_to))]
    port: u16,

    /// the name to log in under, letters and digits
    #[argh(positional, arg_name = "USER")]
    user: String,

    /// the room to listen in, letters and digits
    #[argh(positional, arg_name = "ROOM")]
    room: String,

    /// say more of what goes on
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// say errors alone
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    let Arguments { host, port, user, room, verbose, quiet } = call.arguments()?;
    let _log = logging::start(Verbosity { normal: LevelFilter::Warn, more: verbose, quiet }, false);
    let mut connection = Connection::open(&host, port)?;
    connection.demand(&Request::LogInReceiver(user.as_bytes()))?;
    connection.demand(&Request::Join(room.as_bytes()))?;
    let mut lines = Vec::new();
    loop {
        while let Some(line) = connection.next_line() {
            match line {
                Line::Whole(whole) => match Reply::parse(whole) {
                    Ok(Reply::Delivery(delivery)) => append(&mut lines, &delivery),
                    _ => report_unexpected(line),
                },
                Line::TooLong => report_unexpected(line),
            }
        }
        print(&lines)?;
        lines.clear();
        wait(&connection)?;
        connection.fill()?;
    }
}

fn append(lines: &mut Vec<u8>, delivery: &Delivery<'_>) {
    for part in [delivery.sender, b": ", delivery.text, b"\n"] {
        lines.extend_from_slice(part);
    }
}

fn print(lines: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(lines).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => signals::end_as_by_sigpipe(),
        _ => Error::Output(error),
    })
}

/// Waits until there is something to read, or ends if nobody reads what is printed any more: that
/// must not take until the next delivery.
fn wait(connection: &Connection) -> Result<(), Error> {
    let out = io::stdout();
    let mut fds = [
        PollFd::new(connection, PollFlags::IN),
        PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
    ];
    loop {
        match poll(&mut fds, None) {
            Ok(_) if fds[1].revents().contains(PollFlags::ERR) => {
                return Err(signals::end_as_by_sigpipe());
            }
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(ClientError::Broken(error.into()).into()),
        }
    }
}
