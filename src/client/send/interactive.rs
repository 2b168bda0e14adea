//! Lines typed or pasted at a prompt, one request at a time.

use std::fmt::Display;

use super::report::report;
use crate::client::command::{Command, CommandError, Completion, HELP, parse_line};
use crate::client::entry::{Entry, counted};
use crate::client::error::ClientError;
use crate::client::link::{KeepTrying, Link, Outcome, Reconnect};
use crate::client::watch::Watched;
use crate::system::descriptors::Blocking;
use crate::terminal::output::{self, notice};
use crate::terminal::printer::Printer;
use crate::terminal::prompt::Prompt;
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// Reads lines and sends what they ask for, until the end of input or `/quit`. `exit` is called when
/// the server is gone for good while a line is waited for.
pub(super) fn run(link: Link, exit: fn(ClientError) -> !) -> Result<(), ClientError> {
    let _blocking = Blocking::standard();
    let room = link.identity.room.clone();
    let prompt = Prompt::open(Completion::new(room.as_deref()))?;
    let link = Watched::start(link, prompt.printer(), move |error| exit(error))?;
    let mut dialogue = Dialogue { prompt, link, room };
    while let Some(text) = dialogue.prompt.read(dialogue.room.as_deref().unwrap_or_default())? {
        if dialogue.enter(&Entry::new(&text))? == Done::Quit {
            break;
        }
    }
    Ok(())
}

/// A prompt, and what its lines are sent over.
struct Dialogue {
    prompt: Prompt<Completion>,
    link: Watched,
    room: Option<Vec<u8>>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// All that was to be done.
    All,
    /// The server has gone away, and knows nothing of it, or nobody knows whether it does.
    Lost,
    /// It was `/quit`.
    Quit,
}

impl Dialogue {
    /// Carries out the lines that were entered, at the pace of the answers. Ctrl-C stops the rest.
    fn enter(&mut self, entry: &Entry<'_>) -> Result<Done, ClientError> {
        if let Some(question) = entry.question()
            && !self.prompt.confirm(&question)?
        {
            return Ok(Done::All);
        }
        self.prompt.interrupts().catch(entry.lines.len() > 1);
        let done = self.carry_out_all(&entry.lines);
        self.prompt.interrupts().catch(false);
        done
    }

    fn carry_out_all(&mut self, lines: &[&str]) -> Result<Done, ClientError> {
        for (index, line) in lines.iter().enumerate() {
            let rest = lines.len() - index - 1;
            let more = match self.carry_out(line)? {
                Done::Quit => return Ok(Done::Quit),
                // It has been said what became of this one.
                Done::Lost => "more line",
                Done::All if self.prompt.interrupts().caught() => "line",
                Done::All => continue,
            };
            if rest > 0 {
                notice(&format_args!("{} not sent", counted(rest, more)));
            }
            break;
        }
        Ok(Done::All)
    }

    /// Does what a line asks for.
    fn carry_out(&mut self, line: &str) -> Result<Done, ClientError> {
        if line.trim() == "/help" {
            output::print(HELP)?;
            return Ok(Done::All);
        }
        match parse_line(Line::Whole(line.as_bytes())) {
            Ok(Command::Send(request)) => self.request(&request),
            Ok(Command::Nothing) => Ok(Done::All),
            Err(CommandError::UnknownCommand) => {
                notice(&"unknown command, /help tells which there are");
                Ok(Done::All)
            }
            Err(error) => {
                notice(&error);
                Ok(Done::All)
            }
        }
    }

    /// Sends a request, and reports an answer other than `ok`.
    fn request(&mut self, request: &Request<'_>) -> Result<Done, ClientError> {
        let (outcome, link) = match self.link.lock() {
            // If the connection is lost, the watch makes it again, and the prompt goes on.
            Some(mut link) => (link.try_request(request, &mut KeepTrying), Some(link)),
            None => (Ok(Outcome::NotSent), None),
        };
        let lost = matches!(outcome, Ok(Outcome::NotSent | Outcome::Unsure));
        let is_refused = matches!(outcome, Ok(Outcome::Answered(Err(_))));
        let sent = report(request, outcome, &"");
        if is_refused && self.room.is_none() && matches!(request, Request::SendAll(_)) {
            notice(&"enter one with /join ROOM");
        }
        if let Some(link) = link
            && (*request == Request::Quit || sent.is_err())
        {
            // The connection ends now, which is not to be reported.
            Watched::stop(link);
        }
        match request {
            Request::Quit => return sent.map(|_| Done::Quit),
            Request::Join(name) if matches!(sent, Ok(true)) => {
                self.room = Some(name.to_vec());
                if let Some(completion) = self.prompt.completion() {
                    completion.add_room(name);
                }
            }
            Request::Leave if matches!(sent, Ok(true)) => self.room = None,
            _ => {}
        }
        sent.map(|_| if lost { Done::Lost } else { Done::All })
    }
}

impl Reconnect for Printer {
    fn notice(&mut self, what: &dyn Display) {
        Printer::notice(self, what);
    }
}
