//! A prompt for lines, with editing, history and completion, and with notices above it from other
//! threads.
//!
//! Knows the terminal. Must not know what the lines mean.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustyline::completion::{Completer, Pair};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, Config, Context, Editor, Event, EventHandler, Helper};

use super::error::TerminalError;
use super::history::HistoryFile;
use super::keys::{Keys, Pasting};
use super::output::{self, notice};
use super::printer::{Printer, Show};
use super::settings::{self, Hold, Holder};
use super::visible::visible;
use crate::system::signals::{self, Effect};

/// So many milliseconds after Esc, it was that key, and not the start of another.
const ESCAPE: u16 = 500;

/// What the Tab key completes.
pub(crate) trait Completion {
    /// Where in `line`, which ends at the cursor, the word starts that can be completed, and what it
    /// can be completed to.
    fn complete(&self, line: &str) -> (usize, Vec<String>);

    /// A line that has been entered is taken away from the screen.
    fn takes_away(&self, _line: &str) -> bool {
        false
    }
}

/// A prompt at the terminal, which is set as it was before when this is dropped.
pub(crate) struct Prompt<C: Completion> {
    editor: Editor<LineHelper<C>, FileHistory>,
    edits: bool,
    history: HistoryFile,
    pasting: Arc<Pasting>,
    printer: Printer,
    interrupts: Interrupts,
    _hold: Hold,
}

impl<C: Completion> Prompt<C> {
    /// Sets up the terminal. It is set as before when a signal ends or stops the process, too.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`] if standard input is no terminal, [`TerminalError::Signals`],
    /// [`TerminalError::Thread`].
    pub(crate) fn open(completion: C) -> Result<Self, TerminalError> {
        // The mark of a paste is asked for all the time, and not only while a line is read.
        let mut config = Config::builder().bracketed_paste(false).keyseq_timeout(Some(ESCAPE));
        // Whatever ends the process, the terminal shows what comes after it.
        config.enable_synchronized_output(false);
        let config = config.max_history_size(1000);
        // The lines above come through the highlighter, which the editor leaves out with NO_COLOR set.
        // What has a colour is decided elsewhere.
        let config = config.map(|config| config.color_mode(ColorMode::Forced));
        let config = config.map_err(input_error)?.build();
        let mut editor = Editor::with_config(config).map_err(input_error)?;
        // The lines of a terminal that cannot move its cursor are not edited.
        let above = editor.create_external_printer().ok().filter(|_| settings::is_capable());
        let edits = above.is_some();
        let holder = if edits { Holder::Editor } else { Holder::Plain };
        let printer = Printer::start(above)?;
        let pasting = Arc::<Pasting>::default();
        editor.set_helper(Some(LineHelper {
            completion,
            printer: printer.clone(),
            pasting: Arc::clone(&pasting),
            taken_away: Cell::new(false),
            has_key: Cell::new(false),
            may_return: Cell::new(false),
            last_prompt: Cell::new(None),
        }));
        let keys = Keys { pasting: Arc::clone(&pasting), printer: printer.clone() };
        editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(keys)));
        let interrupts = Interrupts::default();
        intercept_signals(interrupts.clone(), printer.clone())?;
        let hold = settings::hold(holder).map_err(TerminalError::Input)?;
        settings::release_on_panic();
        let history = HistoryFile::load(&mut editor);
        Ok(Prompt { editor, edits, history, pasting, printer, interrupts, _hold: hold })
    }

    /// Prints above the prompt.
    pub(crate) fn printer(&self) -> Printer {
        self.printer.clone()
    }

    /// What the Tab key completes.
    pub(crate) fn completion(&mut self) -> Option<&mut C> {
        self.editor.helper_mut().map(|helper| &mut helper.completion)
    }

    /// Asks for a line, with `name` before the place to type, and there what has been [given
    /// back](Printer::give_back); `None` if there are no more. What was pasted may have several lines, in
    /// [`MAX_PASTE`](super::keys::MAX_PASTE) bytes.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`].
    pub(crate) fn read(&mut self, name: &[u8]) -> Result<Option<String>, TerminalError> {
        let line = self.ask(&format!("{}> ", visible(name)), true)?;
        if let Some(line) = &line {
            self.history.add(&mut self.editor, line);
        }
        Ok(line)
    }

    /// Asks a question that is to be answered with `y`, or else with no.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Input`].
    pub(crate) fn confirm(&mut self, question: &str) -> Result<bool, TerminalError> {
        let answer = self.ask(&format!("{question} [y/N] "), false)?.unwrap_or_default();
        Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }

    /// Lets Ctrl-C be caught, once, in place of ending the process.
    pub(crate) fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    fn ask(&mut self, prompt: &str, takes_back: bool) -> Result<Option<String>, TerminalError> {
        let mut start = String::new();
        loop {
            settings::set_reading(true);
            let line = if self.edits {
                self.edit(prompt, &start, takes_back)
            } else {
                plain_line(prompt).map(Some)
            };
            settings::set_reading(false);
            match line {
                Ok(Some(line)) => return Ok(Some(line)),
                Ok(None) => start = self.printer.take_back(),
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(None),
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    // The rest of a paste must not be taken for what is typed.
                    if self.pasting.abandon() {
                        settings::discard_input();
                    }
                    notice(&"that was not UTF-8, and is forgotten");
                }
                Err(error) => return Err(input_error(error)),
            }
        }
    }

    /// Asks for a line with the editor; `None` if a line has come back for it.
    fn edit(
        &mut self,
        prompt: &str,
        start: &str,
        takes_back: bool,
    ) -> rustyline::Result<Option<String>> {
        self.printer.begin(takes_back);
        let read = || self.editor.readline_with_initial(prompt, (start, ""));
        let line = panic::catch_unwind(AssertUnwindSafe(read));
        if let Some(helper) = self.editor.helper_mut() {
            helper.erase();
        }
        self.printer.end();
        match line {
            Ok(line) => line.map(Some),
            Err(reason) if reason.is::<CameBack>() => Ok(None),
            Err(bug) => panic::resume_unwind(bug),
        }
    }
}

/// Why an editor stops reading without a key. It knows no other way to be told than to unwind, which
/// releases what it holds. It has read all keys by then, and no line is there that could get lost.
struct CameBack;

/// Asks for a line at a terminal that cannot do more than that.
fn plain_line(prompt: &str) -> rustyline::Result<String> {
    // Others print while this waits for a line.
    io::stdout().write_all(prompt.as_bytes()).and_then(|()| io::stdout().flush())?;
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line)? {
        0 => Err(ReadlineError::Eof),
        _ => Ok(line.trim_end_matches('\n').into()),
    }
}

/// Whether Ctrl-C is to be caught while nobody reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupts(Arc<AtomicU8>);

impl Interrupts {
    /// Ctrl-C ends the process.
    const END: u8 = 0;
    /// The next Ctrl-C does not.
    const CATCH: u8 = 1;
    /// That has happened.
    const CAUGHT: u8 = 2;

    /// Says whether the next Ctrl-C is to be caught. Another one ends the process.
    pub(crate) fn catch(&self, catch: bool) {
        self.0.store(if catch { Self::CATCH } else { Self::END }, Ordering::Relaxed);
    }

    /// Ctrl-C was caught.
    pub(crate) fn caught(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::CAUGHT
    }

    /// Catches it, if that is wanted.
    fn has_caught(&self) -> bool {
        let (from, to, order) = (Self::CATCH, Self::CAUGHT, Ordering::Relaxed);
        self.0.compare_exchange(from, to, order, order).is_ok()
    }
}

/// Sets the terminal as before when a signal ends or stops the process, and shows the prompt again when
/// it continues.
fn intercept_signals(interrupts: Interrupts, printer: Printer) -> Result<(), TerminalError> {
    let before = move |effect| {
        if effect == Effect::Interrupt && interrupts.has_caught() {
            // No line is read now.
            notice(&"interrupted; once more, and it ends at once");
            return false;
        }
        let wanted = settings::on_signal(effect);
        if effect == Effect::Continue {
            printer.repaint();
        }
        wanted
    };
    Ok(signals::intercept(before)?)
}

fn input_error(error: ReadlineError) -> TerminalError {
    TerminalError::Input(match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    })
}

/// What the editor wants to know, and when it wants to.
struct LineHelper<C> {
    completion: C,
    printer: Printer,
    pasting: Arc<Pasting>,
    /// The line that has been entered is to be taken away.
    taken_away: Cell<bool>,
    /// The editor is going to show the line because of a key, and may have read others.
    has_key: Cell<bool>,
    /// It shows the line, has read all keys there are, and a line has come back.
    may_return: Cell<bool>,
    /// It shows the line after this prompt, and no other after that.
    last_prompt: Cell<Option<String>>,
}

impl<C> LineHelper<C> {
    /// Takes the line away: the editor has cleared it, and shown the start of it as a mark only.
    fn erase(&mut self) {
        if self.taken_away.take() {
            let _ = output::print(ERASE);
        }
    }
}

/// Marks where the line starts. There must be room for two line breaks, which would move the mark.
const MARK_START: &str = "\n\n\x1b[2A\x1b7";

/// Returns to the start of the line, and clears what is there.
const ERASE: &str = "\x1b8\x1b[J";

impl<C: Completion> Completer for LineHelper<C> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.completion.complete(line.get(..position).unwrap_or_default());
        let pair = |word: String| Pair { display: word.trim_end().into(), replacement: word };
        Ok((start, words.into_iter().map(pair).collect()))
    }
}

impl<C> Hinter for LineHelper<C> {
    type Hint = String;
}

/// Is asked whenever the prompt is shown, and then the line.
impl<C> Highlighter for LineHelper<C> {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.taken_away.get() {
            return MARK_START.into();
        }
        match self.printer.show(self.has_key.take()) {
            Show::After(lines) => return (lines + prompt).into(),
            Show::MayReturn => self.may_return.set(true),
            Show::Last => self.last_prompt.set(Some(prompt.into())),
        }
        prompt.into()
    }

    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.taken_away.get() {
            return "".into();
        }
        let is_empty = || line.is_empty() && !self.pasting.is_open();
        if self.may_return.take() && self.printer.has_come_back(is_empty()) {
            panic::resume_unwind(Box::new(CameBack));
        }
        if let Some(prompt) = self.last_prompt.take() {
            self.printer.show_last(&(prompt + line));
        }
        line.into()
    }

    /// Is asked when a key has changed something, before that is shown.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.has_key.set(true);
        false
    }
}

/// Is asked whether the line that has been entered is whole.
impl<C: Completion> Validator for LineHelper<C> {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if !self.completion.takes_away(context.input()) {
            return Ok(ValidationResult::Valid(None));
        }
        self.taken_away.set(true);
        // With a message, the editor shows the line once more.
        Ok(ValidationResult::Valid(Some(String::new())))
    }
}

impl<C: Completion> Helper for LineHelper<C> {}
