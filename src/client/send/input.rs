//! Standard input, line by line, where it is no terminal with a prompt.

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsFd;

use crate::client::command::MAX_INPUT;
use crate::system::descriptors::Waiting;
use crate::terminal::TerminalError;
use crate::wire::lines::{Line, LineReader};

/// What some programs begin a text with; it means nothing in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of standard input.
pub(super) struct Input {
    lines: LineReader<Waiting<File>>,
    /// No line has been taken yet.
    at_start: bool,
    /// There is nothing more to read.
    ended: bool,
}

impl Input {
    /// Standard input, without a buffer of the library's, so that the system knows whether there is
    /// more.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`] if the system refuses another descriptor.
    pub(super) fn open() -> Result<Self, TerminalError> {
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(TerminalError::Input)?;
        let lines = LineReader::new(Waiting(File::from(stdin)), MAX_INPUT);
        Ok(Input { lines, at_start: true, ended: false })
    }

    /// The next line among those that were read. The last one need not have an end.
    pub(super) fn next_line(&mut self) -> Option<Line<'_>> {
        let line = self.lines.next_line()?;
        Some(match line {
            Line::Whole(line) if mem::take(&mut self.at_start) => {
                Line::Whole(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))
            }
            line => line,
        })
    }

    /// Something has been read that [`Input::next_line`] has not given out.
    pub(super) fn has_buffered(&self) -> bool {
        self.lines.has_rest()
    }

    /// Nothing has been read and not given out, and nothing will come.
    pub(super) fn is_over(&self) -> bool {
        self.ended && !self.lines.has_rest()
    }

    /// Where more may come from.
    pub(super) fn source(&self) -> Option<&File> {
        (!self.ended).then_some(&self.lines.source().0)
    }

    /// Reads more if there is no [`Input::next_line`], and waits for it if there is nothing to read yet.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`].
    pub(super) fn fill(&mut self) -> Result<(), TerminalError> {
        self.lines.fill().map_err(TerminalError::Input)?;
        self.ended = self.lines.has_ended();
        Ok(())
    }
}
