//! The receiver: deliveries → standard output, until that is not read any more.
//!
//! Knows a link and standard output. Must not know how a delivery looks there.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::connection::{Connection, report_unexpected};
use super::error::ClientError;
use super::link::{Identity, Link, Reconnect};
use crate::system::descriptors;
use crate::terminal::TerminalError;
use crate::terminal::format::Format;
use crate::terminal::{output, settings};
use crate::wire::lines::Line;
use crate::wire::protocol::Reply;

/// How to receive.
#[derive(Debug)]
pub(crate) struct Options {
    /// Connect again when the server goes away.
    pub reconnect: bool,
    /// End after so many texts.
    pub count: Option<usize>,
    /// How they are printed.
    pub format: Format,
}

/// Prints the deliveries of a room.
///
/// # Errors
///
/// [`ClientError`]; a broken pipe if standard output is not read any more.
pub(crate) fn run(identity: Identity, options: Options) -> Result<(), ClientError> {
    let _hold = settings::ignore_keys()?;
    let mut reconnect = WhileRead { unread: false };
    let link = Link::open(identity, options.reconnect, &mut reconnect);
    let mut link = link.map_err(|error| reconnect.reason(error))?;
    let mut left = options.count.unwrap_or(usize::MAX);
    loop {
        print_all(&mut link.connection, &options.format, &mut left)?;
        if left == 0 {
            return Ok(());
        }
        wait(&link.connection)?;
        if let Err(loss) = link.connection.fill() {
            let loss = loss.of_receiver();
            link.reopen(loss, &mut reconnect).map_err(|error| reconnect.reason(error))?;
        }
    }
}

/// Reconnects as long as standard output is read.
struct WhileRead {
    unread: bool,
}

impl WhileRead {
    /// The error to end with: `error`, unless standard output is not read any more.
    fn reason(&self, error: ClientError) -> ClientError {
        if self.unread { broken_pipe() } else { error }
    }
}

impl Reconnect for WhileRead {
    fn pause(&mut self, time: Duration) -> bool {
        let out = io::stdout();
        let mut fds = [PollFd::new(&out, PollFlags::empty())];
        self.unread = matches!(descriptors::wait(&mut fds, Some(time)), Ok(true));
        !self.unread
    }
}

/// Prints the deliveries that have been read, as many as are left to print.
fn print_all(
    connection: &mut Connection,
    format: &Format,
    left: &mut usize,
) -> Result<(), ClientError> {
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
    Ok(output::print(&lines)?)
}

/// Waits for something to read. Returns an error as soon as standard output is not read any more: that
/// must not take until the next delivery.
fn wait(connection: &Connection) -> Result<(), ClientError> {
    let out = io::stdout();
    let mut fds = [
        PollFd::new(connection, PollFlags::IN),
        PollFd::from_borrowed_fd(out.as_fd(), PollFlags::empty()),
    ];
    descriptors::wait(&mut fds, None).map_err(ClientError::Broken)?;
    // A pipe has an error then, a socket or a terminal is hung up.
    let unread = fds[1].revents().intersects(PollFlags::ERR | PollFlags::HUP);
    if unread { Err(broken_pipe()) } else { Ok(()) }
}

fn broken_pipe() -> ClientError {
    TerminalError::Output(ErrorKind::BrokenPipe.into()).into()
}
