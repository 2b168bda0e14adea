//! Keys at a prompt that do what the editor would not: Ctrl-C, Ctrl-Z, those that would wait for
//! another, and what is pasted, which the terminal marks. It is inserted, whatever it holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustyline::{
    Cmd, ConditionalEventHandler, Event, EventContext, KeyCode, KeyEvent, Modifiers, Movement,
    RepeatCount,
};

use super::printer::Printer;
use super::settings;

/// The longest input that can be pasted, in bytes.
pub(crate) const MAX_PASTE: usize = 64 * 1024;

/// The paste whose end is still to come, if there is one.
#[derive(Debug, Default)]
pub(super) struct Pasting(Mutex<Option<Paste>>);

impl Pasting {
    fn lock(&self) -> MutexGuard<'_, Option<Paste>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is one.
    pub(super) fn is_open(&self) -> bool {
        self.lock().is_some()
    }

    /// Forgets the paste. Returns whether there was one.
    pub(super) fn abandon(&self) -> bool {
        self.lock().take().is_some()
    }
}

/// A paste whose end is still to come.
#[derive(Debug)]
struct Paste {
    text: String,
    /// Bytes for which there is room.
    room: usize,
    /// There is more than that.
    overflows: bool,
    /// When the last of it came.
    last: Instant,
}

impl Paste {
    fn new(room: usize) -> Self {
        Paste { text: String::new(), room, overflows: false, last: Instant::now() }
    }

    /// Takes a key. Only texts, tabs and line breaks are wanted.
    fn take(&mut self, key: KeyEvent) {
        let char = match key {
            KeyEvent(KeyCode::Char(char), Modifiers::NONE) => char,
            KeyEvent(KeyCode::Tab, Modifiers::NONE) => '\t',
            KeyEvent(KeyCode::Enter, _) | KeyEvent(KeyCode::Char('J'), Modifiers::CTRL) => '\n',
            _ => return,
        };
        // Nothing would be sent for an empty line; so CR LF is one line break, too.
        if char == '\n' && self.text.ends_with('\n') {
            return;
        }
        self.last = Instant::now();
        self.overflows |= self.text.len() + char.len_utf8() > self.room;
        if !self.overflows {
            self.text.push(char);
        }
    }

    /// Its end has been lost: nobody pastes that slowly.
    fn is_stuck(&self) -> bool {
        self.last.elapsed() > Duration::from_millis(500)
    }
}

/// What keys do.
pub(super) struct Keys {
    pub(super) pasting: Arc<Pasting>,
    pub(super) printer: Printer,
}

impl ConditionalEventHandler for Keys {
    fn handle(
        &self,
        event: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext,
    ) -> Option<Cmd> {
        let key = *event.get(0)?;
        let is_ctrl = |char| key == KeyEvent::ctrl(char);
        let mut pasting = self.pasting.lock();
        match (&mut *pasting, key.0) {
            (_, KeyCode::BracketedPasteStart) => {
                *pasting = Some(Paste::new(MAX_PASTE.saturating_sub(context.line().len())));
                Some(Cmd::Noop)
            }
            (Some(_), KeyCode::BracketedPasteEnd) => {
                pasting.take().map(|paste| self.inserted(paste))
            }
            (Some(paste), _) if is_ctrl('C') && paste.is_stuck() => {
                *pasting = None;
                Some(Cmd::Noop)
            }
            (Some(paste), _) => {
                paste.take(key);
                Some(Cmd::Noop)
            }
            // Clears the line, and ends the input if there is nothing to clear.
            (None, _) if is_ctrl('C') && context.line().is_empty() => Some(Cmd::Interrupt),
            (None, _) if is_ctrl('C') => Some(Cmd::Kill(Movement::WholeBuffer)),
            // Leaves the terminal to the shell as it was.
            (None, _) if is_ctrl('Z') => {
                drop(pasting);
                settings::stop_process();
                // The prompt is shown again by whoever hears of the signal that continues.
                Some(Cmd::Noop)
            }
            // What waits for another key would hold up all lines above until there is one.
            (None, _) if ['S', 'Q', 'V', 'X', ']'].into_iter().any(is_ctrl) => Some(Cmd::Noop),
            (None, _) => None,
        }
    }
}

impl Keys {
    fn inserted(&self, paste: Paste) -> Cmd {
        if paste.overflows {
            let limit = MAX_PASTE / 1024;
            self.printer.notice(&format_args!("more than {limit} KiB: that is not pasted"));
        }
        if paste.overflows || paste.text.is_empty() {
            return Cmd::Noop;
        }
        Cmd::Insert(1, paste.text)
    }
}
