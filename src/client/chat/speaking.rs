//! The sender's side: carries out what is entered, and brings back what is refused or lost.
//!
//! Knows requests and their answers. Must not know what the receiver hears: a text that appears is not
//! taken for one's own.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::pair::Pair;
use super::words::Words;
use crate::client::connection::{Answer, Connection};
use crate::client::dialogue::{Done, Speaker};
use crate::client::error::ClientError;
use crate::client::link::Outcome;
use crate::client::send::UNSURE;
use crate::terminal::output::{notice, pass_on};
use crate::terminal::printer::Printer;
use crate::terminal::prompt::Prompt;
use crate::wire::protocol::Request;

/// So long is an answer waited for without a prompt.
const MOMENT: Duration = Duration::from_millis(200);

/// So long may the answer to the receiver's join take.
const LONGEST: Duration = Duration::from_secs(30);

/// Who carries out what is entered.
pub(super) struct Speaking {
    pair: Pair,
    room: Vec<u8>,
    jobs: Sender<Job>,
    progress: Arc<Progress>,
    unfinished: String,
    edits: bool,
}

/// A request, on its way to the thread that sends it.
enum Job {
    Say { text: Vec<u8>, line: String },
    Join(Vec<u8>),
}

type Result<T> = std::result::Result<T, ClientError>;

/// How far the last job is.
#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// It is being carried out, and waited for.
    Running,
    /// It is being carried out, and not waited for any more.
    Left,
    Done(Result<Outcome>),
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speaking {
    /// Starts the thread that sends.
    pub(super) fn start(pair: Pair, printer: Printer, room: Option<Vec<u8>>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let progress = Arc::<Progress>::default();
        let (shared, network, edits) = (Arc::clone(&progress), pair.clone(), printer.edits());
        let work = move || {
            for job in queue {
                let result = carry_out(&network, &job);
                let mut state = shared.lock();
                *state = match *state {
                    State::Left => {
                        report_late(&printer, &job, result);
                        State::Idle
                    }
                    _ => State::Done(result),
                };
                shared.news.notify_all();
            }
        };
        let thread = thread::Builder::new().name("sender".into());
        thread.spawn(work).map_err(ClientError::Thread)?;
        let (room, unfinished) = (room.unwrap_or_default(), String::new());
        Ok(Speaking { pair, room, jobs, progress, unfinished, edits })
    }

    /// Has a job carried out. Returns `None` if that takes long: then the thread reports the result.
    fn hand_over(&mut self, job: Job, hurry: bool) -> Option<Result<Outcome>> {
        let longest = if hurry { MOMENT } else { Duration::from_secs(3600) };
        let running = |state: &mut State| matches!(state, State::Running | State::Left);
        let state = self.progress.lock();
        let waited = self.progress.news.wait_timeout_while(state, longest, running);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if running(&mut state) {
            notice(&"still waiting for the answer to the line before");
            return Some(Ok(Outcome::NotSent));
        }
        *state = State::Running;
        // It fails if the thread is gone, which it is with the process.
        let _ = self.jobs.send(job);
        let waited = self.progress.news.wait_timeout_while(state, longest, running);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *state) {
            State::Done(result) => Some(result),
            _ => {
                *state = State::Left;
                None
            }
        }
    }

    fn quit(&self) -> Done {
        self.pair.end();
        if let Some(mut sender) = self.pair.sender()
            && let Ok(Err(reason)) = sender.request(&Request::Quit, &mut |what| notice(what))
        {
            pass_on(&reason);
        }
        Done::Quit
    }

    /// Brings back a line that was not sent.
    fn bring_back(&mut self, line: &str) -> Done {
        if self.edits {
            self.unfinished = line.to_owned();
        } else {
            notice(&format_args!("not sent: {line}"));
        }
        Done::Lost
    }
}

impl Speaker for Speaking {
    type Words = Words;

    const HELP: &str = "\
/join ROOM   enter a room, and leave the one before
/quit        end; so do Ctrl-D, and Ctrl-C on an empty line
/help        show this
//...        send a text that starts with a slash: //etc sends /etc
Anything else is sent to the room. Tab completes commands, rooms and names.
";

    fn room(&self) -> &[u8] {
        &self.room
    }

    fn unfinished(&mut self) -> String {
        std::mem::take(&mut self.unfinished)
    }

    fn request(
        &mut self,
        prompt: &mut Prompt<Words>,
        request: &Request<'_>,
        line: &str,
        alone: bool,
    ) -> Result<Done> {
        let (job, room) = match request {
            Request::Quit => return Ok(self.quit()),
            Request::SendAll(text) => (Job::Say { text: text.to_vec(), line: line.into() }, None),
            Request::Join(room) => (Job::Join(room.to_vec()), Some(room.to_vec())),
            _ => {
                notice(&"unknown command, /help tells which there are");
                return Ok(Done::All);
            }
        };
        // Whoever joins wants to know where the next line goes.
        let hurry = alone && room.is_none();
        let Some(result) = self.hand_over(job, hurry) else { return Ok(Done::All) };
        match result {
            Ok(Outcome::Answered(Ok(_))) => {
                if let Some(room) = room {
                    if let Some(words) = prompt.completion() {
                        words.add_room(&room);
                    }
                    self.room = room;
                }
                return Ok(Done::All);
            }
            Ok(Outcome::Answered(Err(reason))) => {
                pass_on(&reason);
                if self.room.is_empty() && room.is_none() {
                    notice(&"enter one with /join ROOM");
                }
            }
            Ok(Outcome::NotSent) => notice(&"the server is away: that was not sent"),
            Ok(Outcome::Unsure) => notice(&UNSURE),
            Err(ClientError::Unsendable(reason)) => notice(&reason),
            Err(error) => return Err(error),
        }
        Ok(self.bring_back(line))
    }
}

/// Carries out a job.
fn carry_out(pair: &Pair, job: &Job) -> Result<Outcome> {
    let Some(mut sender) = pair.sender() else { return Ok(Outcome::NotSent) };
    if sender.has_ended() {
        return Ok(Outcome::NotSent);
    }
    match job {
        Job::Say { text, .. } => match ask(&mut sender, &Request::SendAll(text)) {
            Err(loss) if loss.is_loss() => Ok(Outcome::Unsure),
            answer => answer.map(Outcome::Answered),
        },
        Job::Join(room) => match join(pair, &mut sender, room) {
            Err(loss) if loss.is_loss() => Ok(Outcome::NotSent),
            answer => answer.map(Outcome::Answered),
        },
    }
}

fn ask(sender: &mut Connection, request: &Request<'_>) -> Result<Answer> {
    sender.request(request, &mut |_| ())
}

/// Moves both connections into a room, or neither.
fn join(pair: &Pair, sender: &mut Connection, room: &[u8]) -> Result<Answer> {
    if let Err(reason) = ask(sender, &Request::Join(room))? {
        return Ok(Err(reason));
    }
    let Ok(answer) = pair.order(room).recv_timeout(LONGEST) else {
        // Both are made again, in the room that they were in.
        return Err(sender.give_up());
    };
    if let Err(reason) = answer {
        let back = pair.place().room.clone();
        let back = back.as_deref().map_or(Request::Leave, Request::Join);
        drop(ask(sender, &back)?);
        return Ok(Err(reason));
    }
    pair.place().room = Some(room.to_vec());
    Ok(answer)
}

/// Says what became of a job that took long.
fn report_late(printer: &Printer, job: &Job, result: Result<Outcome>) {
    let Job::Say { line, .. } = job else { return };
    match result {
        Ok(Outcome::Answered(Ok(_))) => {}
        Ok(Outcome::Answered(Err(reason))) => {
            printer.notice(&format_args!("not sent: {line}: {}", String::from_utf8_lossy(&reason)));
        }
        Ok(Outcome::Unsure) => printer.notice(&format_args!("{UNSURE}: {line}")),
        Ok(Outcome::NotSent) => printer.notice(&format_args!("not sent: {line}")),
        Err(error) => printer.notice(&format_args!("not sent: {line}: {error}")),
    }
}
