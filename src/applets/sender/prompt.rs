//! A person at a terminal: a prompt, with line editing, history and completion.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::DirBuilder;
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;

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
use super::report;
use crate::client::link::{Link, Outage, Outcome};
use crate::client::{ClientError, wait_for_end};
use crate::error::Error;
use crate::system::signals::{self, SignalsError};
use crate::terminal::TerminalError;
use crate::terminal::output;
use crate::terminal::output::notice;
use crate::terminal::settings::Settings;
use crate::terminal::visible::visible;
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

const HELP: &str = "\
/join ROOM   enter a room, and leave the one before
/leave       leave the room
/quit        end; so do Ctrl-D, and Ctrl-C on an empty line
/help        show this
Anything else is sent to the room. The Tab key completes commands and rooms.
";

const COMMANDS: [&str; 4] = ["/join ", "/leave", "/quit", "/help"];

/// Asks for lines and sends what they ask for, until the end.
pub(super) fn run(link: Link) -> Result<(), Error> {
    let settings = Settings::of_stdin().map_err(TerminalError::Input)?;
    restore_at_end(settings.clone()).map_err(TerminalError::Signals)?;
    let result = prompt(link, &settings);
    settings.restore();
    result
}

/// Makes sure that the terminal is set as it was when a signal ends or stops the process.
fn restore_at_end(settings: Settings) -> Result<(), SignalsError> {
    let stopping = settings.clone();
    signals::intercept(move || leave(&settings), move || stopping.stop_process())
}

/// Leaves the terminal as it was, and the line on which the prompt stands.
fn leave(settings: &Settings) {
    settings.restore();
    let _ = io::stderr().write_all(b"\n");
}

fn prompt(link: Link, settings: &Settings) -> Result<(), Error> {
    let mut room = link.identity.room.clone();
    let mut editor = editor(&link, settings).map_err(input_error)?;
    let socket = link.connection.socket()?;
    let link = Arc::new(Mutex::new(link));
    // Terminals that can do nothing have none, and their lines are not edited.
    let printer = editor.create_external_printer().ok();
    if printer.is_some() {
        settings.pass_keys_on();
    }
    watch(Arc::clone(&link), socket, settings.clone(), AtPrompt { printer })?;
    while let Some(line) = read(&mut editor, room.as_deref())? {
        remember(&mut editor, &line);
        if line.trim() == "/help" {
            output::print(HELP)?;
            continue;
        }
        let request = match understand(Line::Whole(line.as_bytes())) {
            Ok(Command::Send(request)) => request,
            Ok(Command::Nothing) => continue,
            Err(mistake) => {
                notice(&mistake);
                continue;
            }
        };
        let sent = carry_out(&request, &link)?;
        match request {
            Request::Quit => break,
            Request::Join(name) if sent => {
                room = Some(name.to_vec());
                if let Some(helper) = editor.helper_mut() {
                    helper.rooms.insert(String::from_utf8_lossy(name).into());
                }
            }
            Request::Leave if sent => room = None,
            _ => {}
        }
    }
    Ok(())
}

/// Asks for a line; `None` if there are no more.
fn read(editor: &mut LineEditor, room: Option<&[u8]>) -> Result<Option<String>, Error> {
    let room = room.map(visible).unwrap_or_default();
    loop {
        return match editor.readline(&format!("{room}> ")) {
            Ok(line) => Ok(Some(line)),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                notice(&"that was not UTF-8, and is forgotten");
                continue;
            }
            Err(error) => Err(input_error(error)),
        };
    }
}

/// Sends a request, and reports what came of it unless it is fine; tells whether it is.
fn carry_out(request: &Request<'_>, link: &Mutex<Link>) -> Result<bool, Error> {
    let mut link = match link.try_lock() {
        Ok(link) => link,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // The watch has it while the server is away.
        Err(TryLockError::WouldBlock) => return Ok(report(request, Ok(Outcome::NotSent), &"")?),
    };
    // If it is lost, the watch makes it again, and the prompt goes on.
    let outcome = link.try_request(request);
    let sent = report(request, outcome, &"");
    if *request == Request::Quit || sent.is_err() {
        // The connection ends, and that is no news: whoever watches it waits for this lock now.
        mem::forget(link);
    }
    Ok(sent?)
}

/// Notices on a thread of its own when the server goes away, while the prompt waits: makes the
/// connection again, or ends the process.
fn watch(
    link: Arc<Mutex<Link>>,
    socket: TcpStream,
    settings: Settings,
    mut at_prompt: AtPrompt<impl ExternalPrinter + Send + 'static>,
) -> Result<(), Error> {
    let watch = move || {
        let error = mend_for_ever(&link, socket, &mut at_prompt);
        leave(&settings);
        let error = Error::from(error);
        error.print();
        std::process::exit(error.status().into());
    };
    thread::Builder::new().name("watch".into()).spawn(watch).map(drop).map_err(Error::Thread)
}

/// Makes the connection again whenever it is lost, until that fails.
fn mend_for_ever(
    link: &Mutex<Link>,
    mut socket: TcpStream,
    outage: &mut dyn Outage,
) -> ClientError {
    loop {
        // Without the lock: the prompt takes it for a sign that the server is away.
        if let Err(error) = wait_for_end(&socket) {
            return error;
        }
        let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
        let loss = link.connection.last_words();
        let mended = link.reopen(loss, outage).and_then(|()| link.connection.socket());
        match mended {
            Ok(next) => socket = next,
            Err(error) => return error,
        }
    }
}

/// Says things above the prompt, and leaves that as it is.
struct AtPrompt<P> {
    printer: Option<P>,
}

impl<P: ExternalPrinter> Outage for AtPrompt<P> {
    fn say(&mut self, what: &dyn Display) {
        match &mut self.printer {
            Some(printer) if io::stderr().is_terminal() => {
                let line = format!("{}: {what}", env!("CARGO_PKG_NAME"));
                let _ = printer.print(format!("{}\n", visible(line.as_bytes())));
            }
            _ => notice(what),
        }
    }
}

type LineEditor = Editor<Words, FileHistory>;

fn editor(link: &Link, settings: &Settings) -> rustyline::Result<LineEditor> {
    // A pasted line break is the end of a line, as if it were typed.
    let config = Config::builder().bracketed_paste(false).max_history_size(1000)?.build();
    let mut editor = Editor::with_config(config)?;
    let room = link.identity.room.iter();
    let rooms = room.map(|room| String::from_utf8_lossy(room).into()).collect();
    editor.set_helper(Some(Words { rooms }));
    editor.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(CtrlC)));
    let ctrl_z = CtrlZ { settings: settings.clone() };
    editor.bind_sequence(KeyEvent::ctrl('Z'), EventHandler::Conditional(Box::new(ctrl_z)));
    if let Some(file) = history_file() {
        // There is none the first time.
        let _ = editor.load_history(&file);
    }
    Ok(editor)
}

fn input_error(error: ReadlineError) -> Error {
    let error = match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    };
    TerminalError::Input(error).into()
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
            Some(start) => {
                let start = start.trim_start();
                (position - start.len(), matching(start, self.rooms.iter()))
            }
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
