//! The `receiver` applet: what is said in a room, to standard output.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;
use rustix::event::{PollFd, PollFlags};

use super::Applet;
use crate::client::link::{Identity, Link, Outage};
use crate::client::{self, ClientError, Connection, report_unexpected};
use crate::error::Error;
use crate::system::logging::{self, Verbosity};
use crate::system::signals;
use crate::terminal::TerminalError;
use crate::terminal::color::Color;
use crate::terminal::format::Format;
use crate::terminal::output;
use crate::terminal::output::notice;
use crate::usage::call::Call;
use crate::usage::values::{port_to_connect_to, positive, seconds};
use crate::wire::lines::Line;
use crate::wire::protocol::Reply;

pub(super) const APPLET: Applet = Applet {
    name: "receiver",
    linked: true,
    summary: "print what is said in a room",
    run,
    info: Arguments::get_args_info,
};

/// Prints what is said in a room of a chat, one line each: 'SENDER: TEXT'. Runs until it is
/// interrupted, until nobody reads what it prints, or until the server goes away.
#[derive(Debug, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    note = "On a terminal, control characters in names and texts are made visible. In a pipe, names \
            and texts come out as they were sent.",
    note = "Where the environment variable NO_COLOR is set, or TERM is dumb, there is no colour by \
            itself.",
    example = "{command_name} localhost 5000 alice cafe",
    example = "{command_name} -n 1 --timeout 60 --json localhost 5000 alice cafe",
    error_code(0, "as many texts as asked for have come"),
    error_code(1, "the server refused, or went away"),
    error_code(2, "wrong usage"),
    error_code(124, "the time is over")
)]
struct Arguments {
    /// the server's name or address
    #[argh(positional, arg_name = "HOST")]
    host: String,

    /// the server's port
    #[argh(positional, arg_name = "PORT", from_str_fn(port_to_connect_to))]
    port: u16,

    /// the name to log in under, letters and digits
    #[argh(positional, arg_name = "USER")]
    user: String,

    /// the room to listen in, letters and digits
    #[argh(positional, arg_name = "ROOM")]
    room: String,

    /// end with 0 after this many texts
    #[argh(option, short = 'n', arg_name = "N", from_str_fn(positive))]
    count: Option<usize>,

    /// end with 124 after this many seconds
    #[argh(option, arg_name = "SECS", from_str_fn(seconds))]
    timeout: Option<Duration>,

    /// print one JSON object a line, with room, sender, text and time; a string that was not UTF-8
    /// has its bytes beside it, as in text_bytes
    #[argh(switch)]
    json: bool,

    /// print the local time before each line
    #[argh(switch)]
    timestamps: bool,

    /// a colour for each sender, and for mentions of one's own name: auto, always or never
    /// (default: auto, on a terminal)
    #[argh(option, arg_name = "WHEN", default = "Color::Auto")]
    color: Color,

    /// print control characters as they are, on a terminal too
    #[argh(switch)]
    raw: bool,

    /// when the server goes away, try again and again
    #[argh(switch)]
    reconnect: bool,

    /// say more of what goes on
    #[argh(switch, short = 'v')]
    verbose: u8,

    /// say errors alone
    #[argh(switch, short = 'q')]
    quiet: bool,
}

fn run(call: &Call<'_>) -> Result<(), Error> {
    let arguments: Arguments = call.arguments()?;
    let (more, quiet) = (arguments.verbose, arguments.quiet);
    let _log = logging::start(Verbosity { normal: LevelFilter::Warn, more, quiet }, false);
    let color = arguments.color.applies_to(&io::stdout()) && !arguments.json;
    let terminal = io::stdout().is_terminal() || color;
    let format = Format {
        json: arguments.json,
        timestamps: arguments.timestamps,
        color,
        visible: terminal && !arguments.raw,
        user: arguments.user.clone(),
    };
    if let Some(timeout) = arguments.timeout {
        end_after(timeout)?;
    }
    let identity = Identity {
        host: arguments.host,
        port: arguments.port,
        receives: true,
        user: arguments.user,
        room: Some(arguments.room.into_bytes()),
    };
    let mut outage = WhileRead { unread: false };
    let link = Link::open(identity, arguments.reconnect, &mut outage);
    let mut link = link.map_err(|error| outage.reason(error))?;
    let mut left = arguments.count.unwrap_or(usize::MAX);
    loop {
        print_all(&mut link.connection, &format, &mut left)?;
        if left == 0 {
            return Ok(());
        }
        wait(&link.connection)?;
        if let Err(loss) = link.connection.fill() {
            let loss = loss.of_receiver();
            link.reopen(loss, &mut outage).map_err(|error| outage.reason(error))?;
        }
    }
}

/// Ends the process when the time is over, whatever it is doing then.
fn end_after(time: Duration) -> Result<(), Error> {
    let end = move || {
        thread::sleep(time);
        Error::TimeOver.print();
        std::process::exit(Error::TimeOver.status().into());
    };
    thread::Builder::new().spawn(end).map(drop).map_err(Error::Thread)
}

/// Waits until the server is back, as long as somebody reads what is printed.
struct WhileRead {
    unread: bool,
}

impl WhileRead {
    /// What to end with: the error, unless nobody reads any more.
    fn reason(&self, error: ClientError) -> Error {
        match self.unread {
            true => ended_by_reader(),
            false => error.into(),
        }
    }
}

impl Outage for WhileRead {
    fn say(&mut self, what: &dyn Display) {
        notice(what);
    }

    fn pause(&mut self, time: Duration) -> bool {
        let out = io::stdout();
        let mut fds = [PollFd::new(&out, PollFlags::empty())];
        self.unread = matches!(client::wait(&mut fds, Some(time)), Ok(true));
        !self.unread
    }
}

/// Prints the deliveries that have been read, as many as are left to print.
fn print_all(connection: &mut Connection, format: &Format, left: &mut usize) -> Result<(), Error> {
    let mut lines = Vec::new();
    while *left > 0
        && let Some(line) = connection.next_line()
    {
        match line {
            Line::Whole(whole) => match Reply::parse(whole) {
                Ok(Reply::Delivery(delivery)) => {
                    format.append(&mut lines, &delivery);
                    *left -= 1;
                }
                _ => report_unexpected(line),
            },
            Line::TooLong(_) => report_unexpected(line),
        }
    }
    output::print(&lines).map_err(or_end_by_sigpipe)
}

/// Waits until there is something to read, or ends if nobody reads what is printed any more: that
/// must not take until the next delivery.
fn wait(connection: &Connection) -> Result<(), Error> {
    let out = io::stdout();
    let mut fds = [
        PollFd::new(connection, PollFlags::IN),
        PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
    ];
    client::wait(&mut fds, None)?;
    match fds[1].revents().contains(PollFlags::ERR) {
        true => Err(ended_by_reader()),
        false => Ok(()),
    }
}

fn ended_by_reader() -> Error {
    or_end_by_sigpipe(TerminalError::Output(io::ErrorKind::BrokenPipe.into()))
}

/// Ends the process by SIGPIPE if nobody reads standard output any more.
fn or_end_by_sigpipe(error: TerminalError) -> Error {
    match error {
        TerminalError::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => {
            let ended = signals::end_by_sigpipe();
            TerminalError::Output(ended.err().unwrap_or(source)).into()
        }
        error => error.into(),
    }
}
