//! Lines above a prompt, from any thread, none of which waits for the terminal.
//!
//! The lines wait in a queue of bounded size. While an editor reads a line, it takes them from there
//! whenever it shows the prompt, and writes both; a thread makes it do that when there are any. While
//! nobody reads, the thread writes them itself. So a line is either in the queue or on the screen,
//! whatever the editor is busy with.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustyline::ExternalPrinter;

use super::error::TerminalError;
use super::output::{self, notice_line, tell};

/// The most texts that wait for the terminal.
const MOST_TEXTS: usize = 10_000;

/// The most bytes that wait for the terminal.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// So many bytes are written at a time: the prompt is shown again after each time.
const BATCH: usize = 64 * 1024;

/// What the editor is given to print, so that it shows the prompt again: it wants a line, and this is
/// one up and down again. On the first line of the screen, that leaves an empty one.
const RING: &str = "\x1b[A\n";

/// Prints above a prompt. The line that is being typed stays as it is.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    queue: Arc<Queue>,
    /// There is an editor. There is none on a terminal that cannot move its cursor.
    edits: bool,
}

/// A line that was entered, and is to be entered again.
#[derive(Debug)]
pub(crate) struct Returned {
    /// What was entered.
    pub line: String,
    /// The line that says why.
    pub reason: String,
    /// The line that says all of that, if there is no place for what was entered.
    pub notice: String,
}

/// What an editor has to do with a prompt that it is about to show.
pub(super) enum Show {
    /// To show this before it.
    After(String),
    /// To ask whether a line [has come back](Printer::has_come_back).
    MayReturn,
    /// To have it [shown](Printer::show_last).
    Last,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    news: Condvar,
    /// Whoever has it writes lines past the editor.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    /// An editor reads a line, and its prompt is where lines would go.
    reading: bool,
    /// The editor has been asked to show the prompt again.
    rung: bool,
    /// It is to do that, even if no lines wait.
    again: bool,
    /// It is to show all that waits and the prompt, and nothing after that.
    ending: bool,
    /// It has done so, or is not to show anything.
    ended: bool,
    /// For an empty input line.
    returned: Option<Returned>,
    /// The input line has a place for it.
    takes_back: bool,
}

/// The lines that wait, the newest of all that came.
#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    /// Lines that had to be left out before these.
    left_out: u64,
}

impl Waiting {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MOST_TEXTS || self.bytes > MOST_BYTES {
            let oldest = self.lines.pop_front().unwrap_or_default();
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes what is to be printed next.
    fn take(&mut self) -> String {
        let mut batch = String::new();
        match mem::take(&mut self.left_out) {
            0 => {}
            1 => batch += &format!("{}\n", notice_line(&"1 text left out here")),
            count => {
                batch += &format!("{}\n", notice_line(&format_args!("{count} texts left out here")))
            }
        }
        while batch.len() < BATCH
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= line.len();
            batch += &line;
        }
        batch
    }
}

impl Printer {
    /// Starts a thread that has `editor` print, or, without one, prints itself.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Thread`].
    pub(super) fn start(
        editor: Option<impl ExternalPrinter + Send + 'static>,
    ) -> Result<Self, TerminalError> {
        let edits = editor.is_some();
        let queue = Arc::new(Queue::default());
        let served = Arc::clone(&queue);
        let mut editor = editor;
        let ring = move || drop(editor.as_mut().map(|editor| editor.print(RING.into())));
        let thread = thread::Builder::new().name("printer".into());
        thread.spawn(move || served.serve(ring)).map_err(TerminalError::Thread)?;
        Ok(Printer { queue, edits })
    }

    /// There is an editor, whose line can begin with something.
    pub(crate) fn edits(&self) -> bool {
        self.edits
    }

    /// Prints lines, each with its line break, as they are. Does not wait for that.
    pub(crate) fn text(&self, line: String) {
        self.queue.lock().waiting.push(line);
        self.queue.news.notify_all();
    }

    /// Writes a notice, in one line. Does not wait for that.
    pub(crate) fn notice(&self, what: &dyn Display) {
        self.tell(notice_line(what));
    }

    /// Brings a line back into the input line, if that is empty when all has been typed that was typed
    /// ahead. Does not wait for that.
    pub(crate) fn give_back(&self, returned: Returned) {
        let mut state = self.queue.lock();
        if self.edits && state.returned.is_none() {
            state.returned = Some(returned);
            self.queue.news.notify_all();
        } else {
            drop(state);
            self.tell(returned.notice);
        }
    }

    /// Writes a line of a notice, without its line break.
    fn tell(&self, mut line: String) {
        if self.edits && io::stderr().is_terminal() {
            line.push('\n');
            self.text(line);
        } else {
            tell(line);
        }
    }

    /// Prints all that waits, and waits for that. Whoever reads a line now stands still then, or would
    /// show the prompt again below what the process says at its end.
    pub(crate) fn finish(&self) {
        /// The editor may be busy for ever: then the rest is printed below the prompt.
        const LONGEST: Duration = Duration::from_secs(1);
        let mut state = self.queue.lock();
        state.ending = true;
        self.queue.news.notify_all();
        let not_yet = |state: &mut State| state.reading && !state.ended;
        drop(self.queue.news.wait_timeout_while(state, LONGEST, not_yet));
        let returned = self.queue.lock().returned.take();
        returned.into_iter().for_each(|returned| self.tell(returned.notice));
        let mut state = self.queue.lock();
        state.ended = true;
        let is_on_prompt = state.reading && !state.waiting.is_empty();
        drop(state);
        if is_on_prompt {
            let _ = output::print("\n");
        }
        while self.queue.print(true) {}
    }

    /// Shows the prompt again, where the cursor is now.
    pub(super) fn repaint(&self) {
        self.queue.lock().again = true;
        self.queue.news.notify_all();
    }

    /// A line is going to be read by an editor, and `takes_back` what comes back.
    pub(super) fn begin(&self, takes_back: bool) {
        // Nothing is written past the editor from now on.
        let _turn = self.queue.turn();
        let mut state = self.queue.lock();
        if state.ended {
            drop(state);
            stand_still();
        }
        (state.reading, state.takes_back) = (true, takes_back);
    }

    /// Takes what has come back, after it has been said why.
    pub(super) fn take_back(&self) -> String {
        let returned = self.queue.lock().returned.take();
        let Some(Returned { line, reason, .. }) = returned else { return String::new() };
        self.tell(reason);
        line
    }

    /// The editor is about to show the prompt, because of a ring unless it `has_key`.
    pub(super) fn show(&self, has_key: bool) -> Show {
        let mut state = self.queue.lock();
        state.rung = false;
        let shown = if !has_key && state.returned.is_some() {
            Show::MayReturn
        } else if !has_key && state.ending && state.waiting.is_empty() {
            Show::Last
        } else {
            Show::After(state.waiting.take())
        };
        state.again = false;
        self.queue.news.notify_all();
        shown
    }

    /// Shows the prompt and the line in the editor's place: it could not say when it has done that.
    pub(super) fn show_last(&self, prompt: &str) -> ! {
        // There may be an older one in that line.
        let _ = output::print(format!("\r\x1b[J{prompt}"));
        self.queue.lock().ended = true;
        self.queue.news.notify_all();
        stand_still()
    }

    /// Says whether the editor has to return, since a line has come back for its own, which is `empty`.
    /// If that is not, says what became of it.
    pub(super) fn has_come_back(&self, empty: bool) -> bool {
        let mut state = self.queue.lock();
        let has_place = empty && state.takes_back;
        let no_place = state.returned.take_if(|_| !has_place);
        drop(state);
        let has_come_back = no_place.is_none();
        no_place.into_iter().for_each(|returned| self.tell(returned.notice));
        has_come_back
    }

    /// No line is read, and none is left on the screen that has to be taken away.
    pub(super) fn end(&self) {
        self.queue.lock().reading = false;
        self.queue.news.notify_all();
    }
}

/// Waits for the end of the process.
fn stand_still() -> ! {
    loop {
        thread::park();
    }
}

impl State {
    /// There is nothing to do for the thread.
    fn is_idle(&self) -> bool {
        let has_lines = !self.waiting.is_empty();
        if self.reading {
            let wants_prompt = self.again || self.ending || self.returned.is_some();
            self.rung || !has_lines && !wants_prompt
        } else {
            !has_lines
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that whatever comes is printed.
    fn serve(&self, mut ring: impl FnMut()) {
        loop {
            let state = self.news.wait_while(self.lock(), |state| state.is_idle());
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.reading {
                state.rung = true;
                drop(state);
                // It takes as long as the editor is busy.
                ring();
            } else {
                drop(state);
                self.print(false);
            }
        }
    }

    /// Writes a batch of lines past the editor; if that reads a line, only `in_any_case`. Returns whether
    /// there was something to write.
    fn print(&self, in_any_case: bool) -> bool {
        let _turn = self.turn();
        let mut state = self.lock();
        let batch =
            if state.reading && !in_any_case { String::new() } else { state.waiting.take() };
        drop(state);
        // A failure has no other place to be reported.
        let _ = output::print(&batch);
        !batch.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_wait_and_what_was_left_out_is_told_in_one() {
        let mut waiting = Waiting::default();
        (0..MOST_TEXTS + 7).for_each(|number| waiting.push(format!("{number}\n")));
        let mut printed = String::new();
        while !waiting.is_empty() {
            printed += &waiting.take();
        }
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[..2], ["chatbox: 7 texts left out here", "7"]);
        assert_eq!(lines.len(), MOST_TEXTS + 1);
        (0..100).for_each(|_| waiting.push("x".repeat(MOST_BYTES / 10)));
        assert_eq!((waiting.lines.len(), waiting.left_out), (10, 90));
        assert!(waiting.bytes <= MOST_BYTES);
    }
}
