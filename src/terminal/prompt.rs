//! A prompt for lines, with editing, history and completion, and with notices above it from other
//! threads.
//!
//! Knows the terminal. Must not know what the lines mean.

use std::fmt::Display;
use std::fs::DirBuilder;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler,
    ExternalPrinter, Helper, KeyEvent, Movement, RepeatCount,
};

use super::error::TerminalError;
use super::output::{notice, notice_line};
use super::settings::Settings;
use super::visible::visible;
use crate::system::signals;

/// What the Tab key completes.
pub(crate) trait Completion {
    /// Where in `line`, which ends at the cursor, the word starts that can be completed, and what it
    /// can be completed to.
    fn complete(&self, line: &str) -> (usize, Vec<String>);
}

/// A prompt at the terminal, which is set as it was before when this is dropped.
pub(crate) struct Prompt<C: Completion> {
    editor: Editor<LineHelper<C>, FileHistory>,
    settings: Settings,
}

impl<C: Completion> Prompt<C> {
    /// Sets up the terminal. It is set as before when a signal ends or stops the process, too.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`] if standard input is no terminal, [`TerminalError::Signals`].
    pub(crate) fn open(completion: C) -> Result<Self, TerminalError> {
        let settings = Settings::of_stdin().map_err(TerminalError::Input)?;
        let (ending, stopping) = (settings.clone(), settings.clone());
        signals::intercept(move || release(&ending), move || stopping.stop_process())?;
        let mut editor = editor(completion, &settings).map_err(input_error)?;
        // A terminal that cannot move its cursor has no printer, and its lines are not edited.
        if editor.create_external_printer().is_ok() {
            settings.set_cbreak();
        }
        Ok(Prompt { editor, settings })
    }

    /// A handle for another thread.
    pub(crate) fn handle(&mut self) -> Handle {
        let printer = self.editor.create_external_printer().ok();
        let printer = printer.map(|printer| Box::new(printer) as Box<dyn ExternalPrinter + Send>);
        Handle { printer, settings: self.settings.clone() }
    }

    /// What the Tab key completes.
    pub(crate) fn completion(&mut self) -> Option<&mut C> {
        self.editor.helper_mut().map(|words| &mut words.0)
    }

    /// Asks for a line, with `name` before the place to type; `None` if there are no more.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`].
    pub(crate) fn read(&mut self, name: &[u8]) -> Result<Option<String>, TerminalError> {
        let prompt = format!("{}> ", visible(name));
        loop {
            match self.editor.readline(&prompt) {
                Ok(line) => {
                    add_to_history(&mut self.editor, &line);
                    return Ok(Some(line));
                }
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(None),
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    notice(&"that was not UTF-8, and is forgotten");
                }
                Err(error) => return Err(input_error(error)),
            }
        }
    }
}

impl<C: Completion> Drop for Prompt<C> {
    fn drop(&mut self) {
        self.settings.restore();
    }
}

/// What another thread can do while a prompt waits for a line.
pub(crate) struct Handle {
    /// `None` on a terminal that cannot move its cursor.
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    settings: Settings,
}

impl Handle {
    /// Writes a notice above the prompt, in one line. The line that is being typed stays as it is.
    pub(crate) fn notice(&mut self, what: &dyn Display) {
        match &mut self.printer {
            Some(printer) if io::stderr().is_terminal() => {
                let _ = printer.print(format!("{}\n", notice_line(what)));
            }
            _ => notice(what),
        }
    }

    /// Sets the terminal as it was before there was a prompt. To be called before the process ends.
    pub(crate) fn release(&self) {
        release(&self.settings);
    }
}

fn release(settings: &Settings) {
    settings.restore();
    // The prompt stands on the line.
    let _ = io::stderr().write_all(b"\n");
}

fn editor<C: Completion>(
    completion: C,
    settings: &Settings,
) -> rustyline::Result<Editor<LineHelper<C>, FileHistory>> {
    // A pasted line break is the end of a line, as if it were typed.
    let config = Config::builder().bracketed_paste(false).max_history_size(1000)?.build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(LineHelper(completion)));
    editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(CtrlC)));
    let ctrl_z = CtrlZ { settings: settings.clone() };
    editor.bind_sequence(KeyEvent::ctrl('Z'), EventHandler::Conditional(Box::new(ctrl_z)));
    if let Some(file) = history_file() {
        // There is none the first time.
        let _ = editor.load_history(&file);
    }
    Ok(editor)
}

fn input_error(error: ReadlineError) -> TerminalError {
    TerminalError::Input(match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    })
}

/// Adds a line to the history. A history that cannot be written is no error.
fn add_to_history<H: Helper>(editor: &mut Editor<H, FileHistory>, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    let _ = editor.add_history_entry(line);
    if let Some(file) = history_file() {
        let folder = file.parent().map(PathBuf::from).unwrap_or_default();
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let _ = editor.append_history(&file);
    }
}

/// Where the XDG base directory specification wants a history.
fn history_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join(env!("CARGO_PKG_NAME")).join("history"))
}

/// Ctrl-C clears the line, and ends the input if there is nothing to clear.
struct CtrlC;

impl ConditionalEventHandler for CtrlC {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let is_empty = context.line().is_empty();
        Some(if is_empty { Cmd::Interrupt } else { Cmd::Kill(Movement::WholeBuffer) })
    }
}

/// Ctrl-Z stops the process, and leaves the terminal to the shell as it was.
struct CtrlZ {
    settings: Settings,
}

impl ConditionalEventHandler for CtrlZ {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, _: &EventContext) -> Option<Cmd> {
        self.settings.stop_process();
        Some(Cmd::Repaint)
    }
}

/// What can be completed, in the form that the editor wants.
struct LineHelper<C>(C);

impl<C: Completion> Completer for LineHelper<C> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.0.complete(line.get(..position).unwrap_or_default());
        let pair = |word: String| Pair { display: word.trim_end().into(), replacement: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

impl<C> Hinter for LineHelper<C> {
    type Hint = String;
}

impl<C> Highlighter for LineHelper<C> {}
impl<C> Validator for LineHelper<C> {}
impl<C: Completion> Helper for LineHelper<C> {}
