//! The receiver: texts → standard output, until that is not read any more.
//!
//! Knows a link, standard output, and where to keep how far it has come. Must not know how a text looks
//! there.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::connection::{Connection, report_unexpected};
use super::cursor::Cursor;
use super::error::ClientError;
use super::hearing::{Heard, hear};
use super::history::Place;
use super::link::{Identity, Link, Reconnect};
use crate::system::descriptors;
use crate::terminal::TerminalError;
use crate::terminal::format::Format;
use crate::terminal::output::{self, notice};
use crate::terminal::settings;
use crate::wire::position::Span;

/// How to receive.
#[derive(Debug)]
pub(crate) struct Options {
    /// Connect again when the server goes away.
    pub reconnect: bool,
    /// End after so many texts.
    pub count: Option<usize>,
    /// End when all has come that was there before.
    pub no_follow: bool,
    /// Where to keep the position.
    pub cursor: Option<Cursor>,
    /// How texts are printed.
    pub format: Format,
}

/// Prints the deliveries of a room.
///
/// # Errors
///
/// [`ClientError`]; a broken pipe if standard output is not read any more.
pub(crate) fn run(identity: Identity, options: Options) -> Result<(), ClientError> {
    let hold = settings::ignore_keys()?;
    let place = Place::new(identity.history, options.no_follow);
    let mut reconnect = WhileRead { unread: false };
    let link = Link::open(identity, options.reconnect, &mut reconnect);
    let mut link = link.map_err(|error| reconnect.reason(error))?;
    let mut printout = Printout { place, left: options.count.unwrap_or(usize::MAX), options };
    printout.enter(link.span)?;
    loop {
        if let Some(hold) = &hold {
            hold.renew();
        }
        printout.print_all(&mut link)?;
        if printout.is_done() {
            return Ok(());
        }
        wait(&link.connection)?;
        if let Err(loss) = link.connection.fill() {
            let loss = loss.of_receiver(link.span.is_some());
            link.identity.history = printout.place.ask;
            link.reopen(loss, &mut reconnect).map_err(|error| reconnect.reason(error))?;
            printout.enter(link.span)?;
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

/// What is printed, and how far that has come.
struct Printout {
    options: Options,
    place: Place,
    /// Texts that are still to be printed.
    left: usize,
}

impl Printout {
    /// The room has been entered, there in its history.
    fn enter(&mut self, span: Option<Span>) -> Result<(), ClientError> {
        if let Some(gap) = self.place.enter(span) {
            notice(&gap);
        }
        self.save_position()
    }

    /// Nothing more is to be printed.
    fn is_done(&self) -> bool {
        self.left == 0 || self.options.no_follow && self.place.is_at_end()
    }

    /// Prints the texts that have been read, as many as are to be printed.
    fn print_all(&mut self, link: &mut Link) -> Result<(), ClientError> {
        let records = link.span.is_some();
        let before = self.place.position();
        let mut lines = Vec::new();
        while !self.is_done()
            && let Some(line) = link.connection.next_line()
        {
            match hear(line, records.then_some(&mut self.place)) {
                Heard::Text { delivery, stamp, gap } => {
                    gap.iter().for_each(|gap| notice(gap));
                    self.options.format.append(&mut lines, &delivery, stamp);
                    self.left -= 1;
                }
                Heard::Answer(_) | Heard::Unexpected => report_unexpected(line),
            }
        }
        output::print(&lines)?;
        if self.place.position() == before { Ok(()) } else { self.save_position() }
    }

    /// Keeps the position, if that is wanted. All that it stands for has been printed.
    fn save_position(&self) -> Result<(), ClientError> {
        if let Some(cursor) = &self.options.cursor
            && let Some(position) = self.place.position()
        {
            cursor.save(position)?;
        }
        Ok(())
    }
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
