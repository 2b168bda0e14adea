//! Programs that are started, watched, and ended with all that they have started.
//!
//! Knows processes. Must not know what the programs are.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper,
    waitpid,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::peer::Patience;
use super::processes::{Calm, children};
use super::story::{Story, shown};
use super::verdict::{Finding, Step, Stop};
use crate::system::signals::{self, Effect, SignalsError};

/// Bytes of a program's output that are kept.
const KEPT: usize = 1 << 20;

/// Who sleeps for no longer than that looks for something to do. Who sleeps for longer, however long one
/// is ready to wait for him, has set himself a limit, and it may be a fault to make him reach it.
const POLL: Duration = Duration::from_secs(10);

/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(2);

/// The programs that run. Who holds this can be sure that no more are started.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Takes over whatever the programs leave behind, and ends all when a signal ends this process.
///
/// # Errors
///
/// If the system refuses, or [`SignalsError`].
pub(super) fn look_after() -> io::Result<Result<(), SignalsError>> {
    set_child_subreaper(Some(getpid()))?;
    Ok(signals::intercept(|effect| {
        if matches!(effect, Effect::Interrupt | Effect::End) {
            let running = running();
            for pid in running.iter().copied().filter_map(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            end_strays(&BTreeSet::new());
            // Nothing is started any more.
            std::mem::forget(running);
        }
        true
    }))
}

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the children of this process, and theirs, that are not among `running`: programs have left
/// them behind.
fn end_strays(running: &BTreeSet<i32>) {
    /// One that ends leaves its children to this process; so deep, nobody is.
    const ROUNDS: usize = 100;
    for _ in 0..ROUNDS {
        let mine = children(getpid().as_raw_pid()).into_iter();
        let strays: Vec<_> = mine.filter(|pid| !running.contains(pid)).collect();
        if strays.is_empty() {
            break;
        }
        for pid in strays.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}

/// What a program has written to one of its streams so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Output(Arc<(Mutex<Written>, Condvar)>);

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Takes all that comes out of `stream`, on a thread of its own.
    fn of(mut stream: impl Read + Send + 'static) -> io::Result<Self> {
        let output = Output::default();
        let writer = output.clone();
        thread::Builder::new().spawn(move || {
            let mut piece = [0; 64 * 1024];
            loop {
                let count = match stream.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => result.unwrap_or(0),
                };
                let mut written = writer.written();
                let room = KEPT.saturating_sub(written.bytes.len());
                written.bytes.extend_from_slice(&piece[..count.min(room)]);
                written.ended = count == 0;
                writer.0.1.notify_all();
                if written.ended {
                    break;
                }
            }
        })?;
        Ok(output)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `enough` says so of the bytes, or they end. Returns all that are there then.
    fn wait(&self, most: Duration, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let not_yet = |written: &mut Written| !written.ended && !enough(&written.bytes);
        let waited = self.0.1.wait_timeout_while(self.written(), most, not_yet);
        let (written, _) = waited.unwrap_or_else(PoisonError::into_inner);
        written.bytes.clone()
    }
}

/// What a program writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stdout {
    Pipe,
    Terminal,
}

/// What a program is given to read and write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// Its standard input is a pipe, that something is typed into.
    pub speaks: bool,
    pub stdout: Stdout,
}

/// A terminal: what is written to it comes out of the first, and programs write to the second.
fn terminal() -> io::Result<(File, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = open(name.as_c_str(), flags, Mode::empty())?;
    Ok((File::from(ours), File::from(theirs)))
}

/// A program that runs. It ends, with all that it has started, when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
    patience: Patience,
    story: Story,
    ended: Option<ExitStatus>,
    /// It did not come to rest when that was waited for.
    is_restless: bool,
}

impl Program {
    /// Starts `words` with `args` behind them.
    ///
    /// # Errors
    ///
    /// What the system says if it cannot be started.
    pub(super) fn start(
        words: &[String],
        args: &[String],
        streams: Streams,
        patience: Patience,
        story: &Story,
    ) -> io::Result<Self> {
        let [name, first @ ..] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut command = Command::new(name);
        let stdin = if streams.speaks { Stdio::piped() } else { Stdio::null() };
        command.args(first).args(args).process_group(0);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shown = None;
        if streams.stdout == Stdout::Terminal {
            let (ours, theirs) = terminal()?;
            command.stdout(theirs);
            shown = Some(ours);
        }
        let mut running = running();
        let mut child = command.spawn()?;
        // It has the only other end of its streams.
        drop(command);
        let pid = Pid::from_child(&child);
        running.insert(pid.as_raw_pid());
        drop(running);
        let stdin = child.stdin.take();
        let stdout = match (shown, child.stdout.take()) {
            (Some(terminal), _) => Output::of(terminal)?,
            (None, Some(pipe)) => Output::of(pipe)?,
            (None, None) => Output::default(),
        };
        let stderr = child.stderr.take().map_or_else(|| Ok(Output::default()), Output::of)?;
        let story = story.clone();
        let (ended, is_restless) = (None, false);
        Ok(Program { child, pid, stdin, stdout, stderr, patience, story, ended, is_restless })
    }

    /// From now on, it is part of this story.
    pub(super) fn enter(&mut self, story: &Story) {
        self.story = story.clone();
    }

    /// From now on, it has at least so much time for everything.
    pub(super) fn has_time(&mut self, least: Duration) {
        self.patience.0 = self.patience.0.max(least);
    }

    /// Writes to its standard input. What it does not read any more is lost.
    pub(super) fn type_in(&mut self, bytes: impl AsRef<[u8]>) {
        self.story.tell("its input", bytes.as_ref());
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(bytes.as_ref()).and_then(|()| stdin.flush());
        }
    }

    /// Ends its standard input.
    pub(super) fn end_input(&mut self) {
        self.story.tell("its input", b" [end] ");
        self.stdin = None;
    }

    /// Sends a signal to it and what it has started, as a terminal does: it may be a script.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    /// How it has ended, if it has.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// How it ends, if it does so in time.
    pub(super) fn status_soon(&mut self) -> Option<ExitStatus> {
        self.finish("").ok()
    }

    /// Waits until it has ended.
    pub(super) fn finish(&mut self, expected: &str) -> Step<ExitStatus> {
        let deadline = Instant::now() + self.patience.0;
        loop {
            if let Some(status) = self.status() {
                self.stdout.wait(self.patience.0, |_| false);
                self.stderr.wait(self.patience.0, |_| false);
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out(expected));
            }
            thread::sleep(LOOK);
        }
    }

    /// All that is on standard output once `enough` says so, or it has ended, or it rests.
    pub(super) fn stdout(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        self.written(&self.stdout.clone(), enough)
    }

    /// The same of standard error.
    pub(super) fn stderr(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        self.written(&self.stderr.clone(), enough)
    }

    fn written(&mut self, output: &Output, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        /// What is missing is a failure, so it is made quite sure that it does not come.
        const LOOKS: usize = 20;
        self.rest_unless(LOOKS, || enough(&output.written().bytes));
        let most = if self.status().is_some() { self.patience.0 } else { Duration::ZERO };
        output.wait(most, enough)
    }

    /// Waits until neither it nor what it has started has anything to do, as [`Calm`] has it. So what
    /// it has not done by then, it does not do by itself; no speed of a machine comes into it, as
    /// whoever has something to do does not sleep, or looks for it when he wakes. One that never rests
    /// is waited for no longer than for anything else.
    pub(super) fn rest(&mut self) {
        self.rest_unless(4, || false);
    }

    /// Waits until it has taken in what was there for it, and waits for more, if only for a second.
    pub(super) fn take_in(&mut self) {
        self.sleep_unless(Duration::ZERO, 4, || false);
    }

    /// Waits until it was found at rest so often in a row, or has ended, or this is over.
    fn rest_unless(&mut self, looks: usize, is_over: impl Fn() -> bool) {
        self.sleep_unless(self.patience.0.min(POLL), looks, is_over);
    }

    /// The same; who sleeps for no longer than `soon` has to look around before.
    fn sleep_unless(&mut self, soon: Duration, looks: usize, is_over: impl Fn() -> bool) {
        let deadline = Instant::now() + self.patience.0;
        let mut calm = Calm::of(self.pid.as_raw_pid(), soon);
        self.is_restless = false;
        while !is_over() && self.status().is_none() {
            let written = self.stdout.written().bytes.len() + self.stderr.written().bytes.len();
            if calm.is_there(looks, written) {
                break;
            }
            if Instant::now() >= deadline {
                self.is_restless = true;
                break;
            }
            thread::sleep(5 * LOOK);
        }
    }

    /// A failure, with what it has written so far.
    pub(super) fn fail(&self, expected: impl Into<String>, came: impl Into<String>) -> Stop {
        Stop::Fail(self.finding(expected, came))
    }

    /// A failure, as it has not done it in time, and still runs.
    pub(super) fn timed_out(&self, expected: impl Into<String>) -> Stop {
        let came = format!("it still runs; {}", self.patience.over());
        Stop::Fail(Finding { timed_out: true, ..self.finding(expected, came) })
    }

    fn finding(&self, expected: impl Into<String>, came: impl Into<String>) -> Finding {
        for (name, output) in [("its stdout", &self.stdout), ("its stderr", &self.stderr)] {
            let bytes = output.wait(Duration::ZERO, |_| true);
            if !bytes.is_empty() {
                self.story.tell(name, &bytes);
            }
        }
        let about = ["its input", "its stdout", "its stderr"];
        let mut finding = Finding::new(expected, came);
        if self.is_restless {
            finding.came += &format!("; it never rests, and there was {}", self.patience.over());
        }
        Finding { story: self.story.last(&about), timed_out: self.is_restless, ..finding }
    }

    /// The end of what is on standard error, for those who wonder why it has ended. What it has started
    /// is ended, too: nobody writes there any more.
    pub(super) fn last_words(&mut self) -> String {
        self.end();
        let bytes = self.stderr.wait(self.patience.0, |_| false);
        let bytes = bytes.trim_ascii_end();
        let last = bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        if last.is_empty() { String::new() } else { format!("; its last words: {}", shown(last)) }
    }

    /// Ends it, and all that it has started.
    pub(super) fn end(&mut self) {
        self.stdin = None;
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
        let mut running = running();
        running.remove(&self.pid.as_raw_pid());
        end_strays(&running);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// An end in words: `exit status 1`, `signal 11`.
pub(super) fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("the end by signal {signal}{}", name_of(signal)),
        (None, None) => "an end of some kind".into(),
    }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        2 => " (SIGINT)",
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
