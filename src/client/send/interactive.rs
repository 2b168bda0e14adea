//! Lines typed at a prompt, one request at a time.

use std::fmt::Display;

use super::report::report;
use crate::client::command::{self, Command, CommandError, HELP, parse_line};
use crate::client::error::ClientError;
use crate::client::link::{KeepTrying, Link, Outcome, Reconnect};
use crate::client::watch::Watched;
use crate::system::descriptors::Blocking;
use crate::terminal::output::{self, notice};
use crate::terminal::prompt::{Handle, Prompt};
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// Reads lines and sends what they ask for, until the end of input or `/quit`. `exit` is called when
/// the server is gone for good while a line is waited for.
pub(super) fn run(link: Link, exit: fn(ClientError) -> !) -> Result<(), ClientError> {
    let _blocking = Blocking::standard();
    let mut room = link.identity.room.clone();
    let mut prompt = Prompt::open(command::Completion::new(room.as_deref()))?;
    let handle = prompt.handle();
    let link = Watched::start(link, prompt.handle(), move |error| {
        handle.release();
        exit(error)
    })?;
    while let Some(line) = prompt.read(room.as_deref().unwrap_or_default())? {
        if line.trim() == "/help" {
            output::print(HELP)?;
            continue;
        }
        let request = match parse_line(Line::Whole(line.as_bytes())) {
            Ok(Command::Send(request)) => request,
            Ok(Command::Nothing) => continue,
            Err(CommandError::UnknownCommand) => {
                notice(&"unknown command, /help tells which there are");
                continue;
            }
            Err(error) => {
                notice(&error);
                continue;
            }
        };
        let sent = carry_out(&request, &link)?;
        match request {
            Request::Quit => break,
            Request::Join(name) if sent => {
                room = Some(name.to_vec());
                if let Some(completion) = prompt.completion() {
                    completion.add_room(name);
                }
            }
            Request::Leave if sent => room = None,
            _ => {}
        }
    }
    Ok(())
}

/// Sends a request, and reports an answer other than `ok`. Returns whether it was `ok`.
fn carry_out(request: &Request<'_>, link: &Watched) -> Result<bool, ClientError> {
    let Some(mut link) = link.lock() else { return report(request, Ok(Outcome::NotSent), &"") };
    // If the connection is lost, the watch makes it again, and the prompt goes on.
    let outcome = link.try_request(request, &mut KeepTrying);
    let is_refused = matches!(outcome, Ok(Outcome::Answered(Err(_))));
    let sent = report(request, outcome, &"");
    if is_refused && link.identity.room.is_none() && matches!(request, Request::SendAll(_)) {
        notice(&"enter one with /join ROOM");
    }
    if *request == Request::Quit || sent.is_err() {
        // The connection ends now, which is not to be reported.
        Watched::stop(link);
    }
    sent
}

impl Reconnect for Handle {
    fn notice(&mut self, what: &dyn Display) {
        self.notice(what);
    }
}
