//! A person at a terminal: a prompt, with line editing, history and completion.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
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

use super::command::{Command, understand};
use crate::client::link::{Link, Outcome};
use crate::client::{self, ClientError, has_ended};
use crate::error::{Error, notice, pass_on};
use crate::output;
use crate::protocol::Request;
use crate::signals;
use crate::terminal::{Settings, visible};

const HELP: &str = "\
/join ROOM   enter a room, and leave the one before
/leave       leave the room
/quit        end; so do Ctrl-D, and Ctrl-C on an empty line
/help        show this
Anything else is sent to the room. The Tab key completes commands and rooms.
";

const COMMANDS: [&str; 4] = ["/join ", "/leave", "/quit", "/help"];

/// The pause when the server has said something that nobody asked for.
const REST: Duration = Duration::from_millis(100);

/// Asks for lines and sends what they ask for, until the end.
pub(super) fn run(link: Link) -> Result<(), Error> {
    let settings = Settings::of_stdin().map_err(Error::Input)?;
    signals::restore_terminal_at_end(settings.clone()).map_err(Error::Signals)?;
    settings.pass_keys_on();
    let result = prompt(link, &settings);
    settings.restore();
    result
}

fn prompt(link: Link, settings: &Settings) -> Result<(), Error> {
    let mut editor = editor(&link).map_err(input_error)?;
    let link = Arc::new(Mutex::new(link));
    let printer = editor.create_external_printer().map_err(input_error)?;
    watch(Arc::clone(&link), settings.clone(), printer).map_err(Error::Input)?;
    loop {
        let room = lock(&link).identity.room.clone();
        let room = room.map(|room| visible(&room)).unwrap_or_default();
        let line = match editor.readline(&format!("{room}> ")) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(input_error(error)),
        };
        remember(&mut editor, &line);
        if line.trim() == "/help" {
            output::print(HELP)?;
        } else if !carry_out(&line, &link, &mut editor)? {
            return Ok(());
        }
    }
}

/// Does what a line asks for; tells whether there may be another one.
fn carry_out(line: &str, link: &Mutex<Link>, editor: &mut LineEditor) -> Result<bool, Error> {
    let request = match understand(line.as_bytes()) {
        Ok(Command::Nothing) => return Ok(true),
        Ok(Command::Send(request)) => request,
        Err(mistake) => {
            notice(&mistake);
            return Ok(true);
        }
    };
    let mut link = lock(link);
    match link.request(&request, &mut notice) {
        _ if request == Request::Quit => {
            end_watch(link);
            return Ok(false);
        }
        Ok(Outcome::Answered(Ok(_))) => {
            if let (Request::Join(room), Some(helper)) = (request, editor.helper_mut()) {
                helper.rooms.insert(String::from_utf8_lossy(room).into());
            }
        }
        Ok(Outcome::Answered(Err(reason))) => pass_on("", &reason),
        Ok(Outcome::Unsure) => notice(&"the answer got lost: unsure whether the text was sent"),
        Err(ClientError::Unsendable(reason)) => notice(&reason),
        Err(error) => {
            end_watch(link);
            return Err(error.into());
        }
    }
    Ok(true)
}

/// The connection ends, and that is no news: whoever watches it waits for this lock from now on.
fn end_watch(link: MutexGuard<'_, Link>) {
    mem::forget(link);
}

/// Notices on a thread of its own when the server goes away, while the prompt waits: makes the
/// connection again, or ends the process.
fn watch(
    link: Arc<Mutex<Link>>,
    settings: Settings,
    mut printer: impl ExternalPrinter + Send + 'static,
) -> io::Result<()> {
    let end = move |error: ClientError| -> ! {
        settings.restore();
        // The prompt stands on the line.
        let _ = io::stderr().write_all(b"\n");
        let error = Error::from(error);
        error.print();
        std::process::exit(error.status().into());
    };
    let wait_and_mend = move || loop {
        let socket = match lock(&link).connection.socket() {
            Ok(socket) => socket,
            Err(error) => end(error),
        };
        if let Err(error) = client::wait(&mut [PollFd::new(&socket, PollFlags::IN)], None) {
            end(error);
        }
        // An answer that is being waited for is taken by the time the lock is to be had.
        let mut link = lock(&link);
        if has_ended(&socket) {
            let mut say = |what: &dyn std::fmt::Display| {
                let _ = printer.print(format!("{}: {what}\n", env!("CARGO_PKG_NAME")));
            };
            // Unless that has been done for a request meanwhile.
            if link.connection.has_ended()
                && let Err(error) = link.reopen(ClientError::Closed, &mut say)
            {
                end(error);
            }
        } else {
            mem::forget(link);
            thread::sleep(REST);
        }
    };
    thread::Builder::new().name("watch".into()).spawn(wait_and_mend).map(drop)
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

type LineEditor = Editor<Words, FileHistory>;

fn editor(link: &Link) -> rustyline::Result<LineEditor> {
    // A pasted line break is the end of a line, as if it were typed.
    let config = Config::builder().bracketed_paste(false).max_history_size(1000)?.build();
    let mut editor = Editor::with_config(config)?;
    let room = link.identity.room.iter();
    let rooms = room.map(|room| String::from_utf8_lossy(room).into()).collect();
    editor.set_helper(Some(Words { rooms }));
    editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(CtrlC)));
    if let Some(file) = history_file() {
        // There is none the first time.
        let _ = editor.load_history(&file);
    }
    Ok(editor)
}

fn input_error(error: ReadlineError) -> Error {
    Error::Input(match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    })
}

/// Keeps a line for later. To have no history is no reason to stop.
fn remember(editor: &mut LineEditor, line: &str) {
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
        Some(match context.line().is_empty() {
            true => Cmd::Interrupt,
            false => Cmd::Kill(Movement::WholeBuffer),
        })
    }
}

/// What can be completed: commands, and rooms that have been visited.
struct Words {
    rooms: BTreeSet<String>,
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = line.get(..position).unwrap_or_default();
        Ok(match line.strip_prefix("/join ") {
            Some(start) => (position - start.len(), matching(start, self.rooms.iter())),
            None if line.starts_with('/') => (0, matching(line, COMMANDS.iter())),
            None => (position, Vec::new()),
        })
    }
}

fn matching(start: &str, words: impl Iterator<Item = impl AsRef<str>>) -> Vec<Pair> {
    let pair = |word: &str| Pair { display: word.trim_end().into(), replacement: word.into() };
    let words = words.filter(|word| word.as_ref().starts_with(start));
    words.map(|word| pair(word.as_ref())).collect()
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}
