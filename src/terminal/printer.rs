//! Lines above a prompt, from any thread.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Sender};
use std::thread;

use rustyline::ExternalPrinter;

use super::error::TerminalError;
use super::output::{notice, notice_line};

/// Prints above a prompt. The line that is being typed stays as it is.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    /// The way to the thread that prints, which may have to wait for the editor. `None` on a terminal
    /// that cannot move its cursor.
    lines: Option<Sender<String>>,
}

impl Printer {
    /// Starts a thread that prints with `editor`, if there is one.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Thread`].
    pub(super) fn start(
        editor: Option<impl ExternalPrinter + Send + 'static>,
    ) -> Result<Self, TerminalError> {
        let Some(mut editor) = editor else { return Ok(Printer { lines: None }) };
        let (lines, queue) = mpsc::channel();
        let print = move || {
            for line in queue {
                let _ = editor.print(line);
            }
        };
        let thread = thread::Builder::new().name("printer".into()).spawn(print);
        thread.map_err(TerminalError::Thread)?;
        Ok(Printer { lines: Some(lines) })
    }

    /// Writes a notice, in one line. Does not wait for that.
    pub(crate) fn notice(&self, what: &dyn Display) {
        match &self.lines {
            Some(lines) if io::stderr().is_terminal() => {
                let _ = lines.send(format!("{}\n", notice_line(what)));
            }
            _ => notice(what),
        }
    }

    /// Shows the prompt again, where the cursor is now.
    pub(super) fn repaint(&self) {
        if let Some(lines) = &self.lines {
            // The editor wants a line: one up, and down again.
            let _ = lines.send("\x1b[A\n".into());
        }
    }
}
