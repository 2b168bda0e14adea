//! The sender's side: carries out what is entered, and brings back what is refused or lost.
//!
//! Knows requests and their answers. Must not know what the receiver hears: a text that appears is not
//! taken for one's own.

use std::fmt::Display;
use std::mem;
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
use crate::terminal::output::{notice, notice_line, pass_on};
use crate::terminal::printer::{Printer, Returned};
use crate::terminal::prompt::Prompt;
use crate::terminal::visible::visible;
use crate::wire::protocol::Request;

/// What to do first where there is no room.
pub(super) const ENTER: &str = "enter a room with /join ROOM";

/// So long is an answer waited for without a prompt.
const MOMENT: Duration = Duration::from_millis(200);

/// So long at most it takes to leave, but for the answer to that.
const SOON: Duration = Duration::from_secs(2);

/// So long may the answer to the receiver's join take.
const LONGEST: Duration = Duration::from_secs(30);

/// Said of what cannot be sent now.
const AWAY: &str = "the server is away: that was not sent";

/// Who carries out what is entered.
pub(super) struct Speaking {
    pair: Pair,
    room: Vec<u8>,
    jobs: Sender<Job>,
    progress: Arc<Progress>,
    printer: Printer,
}

/// A request, on its way to the thread that sends it.
enum Job {
    Say(Vec<u8>),
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
    /// It is being carried out, and not waited for any more. This was entered.
    Left(String),
    Done(Result<Outcome>),
}

impl State {
    /// A job is being carried out.
    fn is_busy(&self) -> bool {
        matches!(self, State::Running | State::Left(_))
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speaking {
    /// Starts the thread that sends.
    pub(super) fn start(pair: Pair, printer: Printer) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let progress = Arc::<Progress>::default();
        let (shared, network, reports) = (Arc::clone(&progress), pair.clone(), printer.clone());
        let work = move || {
            for job in queue {
                let result = carry_out(&network, &job);
                let mut state = shared.lock();
                *state = match mem::take(&mut *state) {
                    State::Left(line) => {
                        report_late(&reports, &line, result);
                        State::Idle
                    }
                    _ => State::Done(result),
                };
                shared.news.notify_all();
            }
        };
        let thread = thread::Builder::new().name("sender".into());
        thread.spawn(work).map_err(ClientError::Thread)?;
        let room = pair.room().unwrap_or_default();
        Ok(Speaking { pair, room, jobs, progress, printer })
    }

    /// Waits until no job is being carried out, but not for longer than that.
    fn wait(&self, longest: Duration) -> MutexGuard<'_, State> {
        let is_busy = |state: &mut State| state.is_busy();
        let waited = self.progress.news.wait_timeout_while(self.progress.lock(), longest, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Has a job carried out. Returns `None` if that takes longer than so long: then the thread reports
    /// the result.
    fn hand_over(&self, job: Job, line: &str, longest: Duration) -> Option<Result<Outcome>> {
        *self.progress.lock() = State::Running;
        // It fails if the thread is gone, which it is with the process.
        let _ = self.jobs.send(job);
        let mut state = self.wait(longest);
        match mem::take(&mut *state) {
            State::Done(result) => Some(result),
            _ => {
                *state = State::Left(line.into());
                None
            }
        }
    }

    /// Brings back a line that was not sent, for a reason that has been said.
    fn give_back(&self, line: &str) -> Done {
        give_back(&self.printer, line, None, &format_args!("not sent: {line}"));
        Done::Lost
    }

    fn quit(&self) -> Done {
        self.end();
        if let Some(mut sender) = self.pair.sender()
            && let Ok(Err(reason)) = sender.request(&Request::Quit, &mut |what| notice(what))
        {
            pass_on(&reason);
        }
        Done::Quit
    }

    /// Waits for what has been said so far, and says if nobody knows what became of a text. From now on,
    /// a connection that ends is no news.
    pub(super) fn end(&self) {
        if self.pair.is_over() {
            return;
        }
        drop(self.wait(SOON));
        self.pair.hear_out(SOON);
        self.pair.end();
        if let State::Left(line) = &*self.progress.lock() {
            notice(&format_args!("{UNSURE}: {line}"));
        }
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

    fn request(
        &mut self,
        prompt: &mut Prompt<Words>,
        request: &Request<'_>,
        line: &str,
        alone: bool,
    ) -> Result<Done> {
        let (job, room) = match request {
            Request::Quit => return Ok(self.quit()),
            Request::SendAll(text) => (Job::Say(text.to_vec()), None),
            Request::Join(room) => (Job::Join(room.to_vec()), Some(room.to_vec())),
            _ => {
                notice(&"unknown command, /help tells which there are");
                return Ok(Done::All);
            }
        };
        // Whoever joins wants to know where the next line goes.
        let longest = if alone && room.is_none() { MOMENT } else { Duration::from_secs(3600) };
        if self.wait(longest).is_busy() {
            notice(&"still waiting for the answer to the line before");
            return Ok(self.give_back(line));
        }
        let Some(result) = self.hand_over(job, line, longest) else { return Ok(Done::All) };
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
                    notice(&ENTER);
                }
            }
            Ok(Outcome::NotSent) => notice(&AWAY),
            Ok(Outcome::Unsure) => notice(&UNSURE),
            Err(ClientError::Unsendable(reason)) => notice(&reason),
            Err(error) => return Err(error),
        }
        Ok(self.give_back(line))
    }
}

/// Carries out a job.
fn carry_out(pair: &Pair, job: &Job) -> Result<Outcome> {
    let Some(mut sender) = pair.sender() else { return Ok(Outcome::NotSent) };
    if sender.has_ended() {
        return Ok(Outcome::NotSent);
    }
    match job {
        Job::Say(text) => match ask(&mut sender, &Request::SendAll(text)) {
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
        // Both are made again, in the room that the receiver is in.
        return Err(sender.give_up());
    };
    if let Err(reason) = answer {
        let back = pair.room();
        let back = back.as_deref().map_or(Request::Leave, Request::Join);
        if ask(sender, &back)?.is_err() {
            return Err(sender.give_up());
        }
        return Ok(Err(reason));
    }
    Ok(answer)
}

/// Says what became of a line that took long, and brings it back unless all is well.
fn report_late(printer: &Printer, line: &str, result: Result<Outcome>) {
    let (reason, notice) = match result {
        Ok(Outcome::Answered(Ok(_))) => return,
        Ok(Outcome::Answered(Err(reason))) => {
            let reason = visible(&reason);
            (reason.clone(), format!("not sent: {line}: {reason}"))
        }
        Ok(Outcome::Unsure) => (notice_line(&UNSURE), format!("{UNSURE}: {line}")),
        Ok(Outcome::NotSent) => (notice_line(&AWAY), format!("not sent: {line}")),
        Err(error) => (notice_line(&error), format!("not sent: {line}: {error}")),
    };
    give_back(printer, line, Some(reason), &notice);
}

/// Brings back a line that was not sent; `reason` is a line that says why, and `notice` says it all.
fn give_back(printer: &Printer, line: &str, reason: Option<String>, notice: &dyn Display) {
    printer.give_back(Returned { line: line.into(), reason, notice: notice_line(notice) });
}
