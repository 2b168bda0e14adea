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

/// Said of what cannot be sent yet.
const BUSY: &str = "still waiting for the answer to the line before";

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
                let result = carry_out(&network, &job, &reports);
                let mut state = shared.lock();
                *state = match mem::take(&mut *state) {
                    State::Left(line) => {
                        if let Some(lost) = what_became(&line, &result) {
                            reports.give_back(lost);
                        }
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
        let left = mem::take(&mut *self.progress.lock());
        // From now on, the thread has nothing to report.
        if let State::Left(line) = left {
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
            self.printer.give_back(not_sent(line, &BUSY));
            return Ok(Done::Lost);
        }
        let result = match self.hand_over(job, line, longest) {
            None => return Ok(Done::All),
            Some(Err(error)) if !matches!(error, ClientError::Unsendable(_)) => return Err(error),
            Some(result) => result,
        };
        if let Some(lost) = what_became(line, &result) {
            if self.room.is_empty() && room.is_none() {
                notice(&ENTER);
            }
            self.printer.give_back(lost);
            return Ok(Done::Lost);
        }
        if let Some(room) = room {
            if let Some(words) = prompt.completion() {
                words.add_room(&room);
            }
            self.room = room;
        }
        Ok(Done::All)
    }
}

/// Carries out a job, and says if that takes long.
fn carry_out(pair: &Pair, job: &Job, printer: &Printer) -> Result<Outcome> {
    let Some(mut sender) = pair.sender() else { return Ok(Outcome::NotSent) };
    if sender.has_ended() {
        return Ok(Outcome::NotSent);
    }
    match job {
        Job::Say(text) => match ask(&mut sender, &Request::SendAll(text), printer) {
            Err(loss) if loss.is_loss() => Ok(Outcome::Unsure),
            answer => answer.map(Outcome::Answered),
        },
        Job::Join(room) => match join(pair, &mut sender, room, printer) {
            Err(loss) if loss.is_loss() => Ok(Outcome::NotSent),
            answer => answer.map(Outcome::Answered),
        },
    }
}

fn ask(sender: &mut Connection, request: &Request<'_>, printer: &Printer) -> Result<Answer> {
    sender.request(request, &mut |what| printer.notice(what))
}

/// Moves both connections into a room, or neither.
fn join(pair: &Pair, sender: &mut Connection, room: &[u8], printer: &Printer) -> Result<Answer> {
    if let Err(reason) = ask(sender, &Request::Join(room), printer)? {
        return Ok(Err(reason));
    }
    let Ok(answer) = pair.order(room).recv_timeout(LONGEST) else {
        // Both are made again, in the room that the receiver is in.
        return Err(sender.give_up());
    };
    if let Err(reason) = answer {
        let back = pair.room();
        let back = back.as_deref().map_or(Request::Leave, Request::Join);
        if ask(sender, &back, printer)?.is_err() {
            return Err(sender.give_up());
        }
        return Ok(Err(reason));
    }
    Ok(answer)
}

/// What is to be entered again of a line, and said of it; `None` if all is well.
fn what_became(line: &str, result: &Result<Outcome>) -> Option<Returned> {
    match result {
        Ok(Outcome::Answered(Ok(_))) => None,
        Ok(Outcome::Answered(Err(reason))) => {
            let reason = visible(reason);
            let notice = notice_line(&format_args!("not sent: {line}: {reason}"));
            Some(Returned { line: line.into(), reason, notice })
        }
        Ok(Outcome::Unsure) => {
            let notice = notice_line(&format_args!("{UNSURE}: {line}"));
            Some(Returned { line: line.into(), reason: notice_line(&UNSURE), notice })
        }
        Ok(Outcome::NotSent) => {
            let notice = notice_line(&format_args!("not sent: {line}: the server is away"));
            Some(Returned { line: line.into(), reason: notice_line(&AWAY), notice })
        }
        Err(error) => Some(not_sent(line, error)),
    }
}

/// A line that was certainly not sent, and why.
fn not_sent(line: &str, reason: &dyn Display) -> Returned {
    let notice = notice_line(&format_args!("not sent: {line}: {reason}"));
    Returned { line: line.into(), reason: notice_line(reason), notice }
}
