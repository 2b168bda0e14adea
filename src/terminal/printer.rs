//! Lines above a prompt, from any thread, none of which waits for the terminal.
//!
//! The lines wait in a queue of bounded size, and a thread takes them from there to the editor, which may
//! be busy with a search or a paste, as the terminal may be. Lines are printed only while a line is
//! read: all of them go through the editor, so that they keep their order.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustyline::ExternalPrinter;

use super::error::TerminalError;
use super::output::{self, notice, notice_line};

/// The most texts that wait for the terminal.
const MOST_TEXTS: usize = 10_000;

/// The most bytes that wait for the terminal.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// So many bytes are printed at a time: the prompt is shown again after each time.
const BATCH: usize = 64 * 1024;

/// Prints above a prompt. The line that is being typed stays as it is.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    queue: Arc<Queue>,
    /// There is an editor. There is none on a terminal that cannot move its cursor.
    edits: bool,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    /// A line is being read.
    open: bool,
    /// The end of the line that is read has come.
    ended: bool,
    /// The thread has lines that it has taken.
    printing: bool,
    /// The editor has lines that it has not shown yet, as far as is known.
    unshown: bool,
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
        match std::mem::take(&mut self.left_out) {
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
    /// Starts a thread that prints with `editor`, or, without one, as is.
    ///
    /// # Errors
    ///
    /// [`TerminalError::Thread`].
    pub(super) fn start(
        editor: Option<impl ExternalPrinter + Send + 'static>,
    ) -> Result<Self, TerminalError> {
        let edits = editor.is_some();
        let queue = Arc::new(Queue::default());
        queue.lock().open = !edits;
        let taken = Arc::clone(&queue);
        let mut editor = editor;
        let print = move |batch: String| match &mut editor {
            Some(editor) => drop(editor.print(batch)),
            None => drop(output::print(batch)),
        };
        let thread = thread::Builder::new().name("printer".into());
        thread.spawn(move || taken.print_all(edits, print)).map_err(TerminalError::Thread)?;
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
        if self.edits && io::stderr().is_terminal() {
            self.text(format!("{}\n", notice_line(what)));
        } else {
            notice(what);
        }
    }

    /// Waits until all is printed, or for that long.
    pub(crate) fn wait_until_printed(&self, longest: Duration) {
        let state = self.queue.lock();
        let not_yet = |state: &mut State| {
            state.open && (state.printing || state.unshown || !state.waiting.is_empty())
        };
        drop(self.queue.news.wait_timeout_while(state, longest, not_yet));
    }

    /// Shows the prompt again, where the cursor is now.
    pub(super) fn repaint(&self) {
        if self.edits {
            // The editor wants a line: one up, and down again.
            self.text("\x1b[A\n".into());
        }
    }

    /// A line is going to be read.
    pub(super) fn begin(&self) {
        self.queue.lock().ended = false;
    }

    /// The editor shows the prompt, so that lines can be printed above it. It does so after each print,
    /// too.
    pub(super) fn open(&self) {
        let mut state = self.queue.lock();
        if !state.ended {
            (state.open, state.unshown) = (true, false);
            self.queue.news.notify_all();
        }
    }

    /// A line has been read, or is about to be: from now on, lines wait for the next one.
    pub(super) fn close(&self) {
        /// It takes less to hand lines over, unless the editor has not taken the ones before; then it
        /// will take these in their order, and nobody has to wait.
        const MOMENT: Duration = Duration::from_millis(100);
        let mut state = self.queue.lock();
        (state.ended, state.open) = (true, !self.edits);
        if self.edits {
            drop(self.queue.news.wait_timeout_while(state, MOMENT, |state| state.printing));
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints whatever comes; if an editor does that, not before it has shown what was printed before.
    fn print_all(&self, edits: bool, mut print: impl FnMut(String)) {
        loop {
            let idle = |state: &mut State| !state.open || state.waiting.is_empty() || state.unshown;
            let state = self.news.wait_while(self.lock(), idle);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            (state.printing, state.unshown) = (true, edits);
            let batch = state.waiting.take();
            drop(state);
            print(batch);
            self.lock().printing = false;
            self.news.notify_all();
        }
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
