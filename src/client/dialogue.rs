//! A prompt: lines typed or pasted there, one request at a time.
//!
//! Knows what is entered, and in what order it is carried out. Must not know over which connections.

use std::fmt::Display;

use super::command::{Command, CommandError, parse_line};
use super::entry::{Entry, counted};
use super::error::ClientError;
use super::link::Reconnect;
use crate::terminal::output::{self, notice};
use crate::terminal::printer::Printer;
use crate::terminal::prompt::{Completion, Prompt};
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// Who carries out what is entered at a prompt.
pub(super) trait Speaker {
    /// What the Tab key completes.
    type Words: Completion;

    /// What can be typed.
    const HELP: &str;

    /// The room that it is in, or nothing.
    fn room(&self) -> &[u8];

    /// Carries out a request, which was entered as `line`, alone or with others, and reports an answer
    /// other than `ok`.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if no other request can be carried out.
    fn request(
        &mut self,
        prompt: &mut Prompt<Self::Words>,
        request: &Request<'_>,
        line: &str,
        alone: bool,
    ) -> Result<Done, ClientError>;
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// All that was to be done.
    All,
    /// The server has gone away, and knows nothing of it, or nobody knows whether it does.
    Lost,
    /// It was `/quit`.
    Quit,
}

/// A prompt, and who carries out its lines.
pub(super) struct Dialogue<S: Speaker> {
    /// The prompt.
    pub prompt: Prompt<S::Words>,
    /// Who carries out its lines.
    pub speaker: S,
}

impl<S: Speaker> Dialogue<S> {
    /// Reads lines and has them carried out, until the end of input or `/quit`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub(super) fn run(&mut self) -> Result<(), ClientError> {
        loop {
            let Some(text) = self.prompt.read(self.speaker.room())? else { return Ok(()) };
            if self.enter(&Entry::new(&text))? == Done::Quit {
                return Ok(());
            }
        }
    }

    /// Carries out the lines that were entered, at the pace of the answers. Ctrl-C stops the rest.
    fn enter(&mut self, entry: &Entry<'_>) -> Result<Done, ClientError> {
        if let Some(question) = entry.question()
            && !self.prompt.confirm(&question)?
        {
            notice(&"not sent");
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
            let more = match self.carry_out(line, lines.len() == 1)? {
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
    fn carry_out(&mut self, line: &str, alone: bool) -> Result<Done, ClientError> {
        if line.trim() == "/help" {
            output::print(S::HELP)?;
            return Ok(Done::All);
        }
        match parse_line(Line::Whole(line.as_bytes())) {
            Ok(Command::Send(request)) => {
                self.speaker.request(&mut self.prompt, &request, line, alone)
            }
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
}

impl Reconnect for Printer {
    fn notice(&mut self, what: &dyn Display) {
        Printer::notice(self, what);
    }
}
