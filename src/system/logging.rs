//! The log, on standard error.
//!
//! Knows how to write lines without holding up those who log. Must not know what is logged.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record, error};
use rustix::event::{PollFd, PollFlags};
use stderrlog::{ColorChoice, StdErrLog, Timestamp};

use super::descriptors;

const TARGET: &str = env!("CARGO_PKG_NAME");

/// The target of what somebody has asked for, and which is logged however little else is.
pub(crate) const ASKED_FOR: &str = concat!(env!("CARGO_PKG_NAME"), "::asked");

/// Lines that may wait to be written.
const QUEUED_LINES: usize = 1024;

/// How long to wait at the end for lines to be written, if there is no deadline.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How much is logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verbosity {
    /// The level if nothing is asked for.
    pub normal: LevelFilter,
    /// Levels more.
    pub more: u8,
    /// Errors alone.
    pub quiet: bool,
}

/// What the lines of the log look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// The time, the level, and what is logged.
    Dated,
    /// This writes what is logged.
    Told(fn(&dyn Display)),
}

/// Starts logging. A panic is an error, in one line.
pub(crate) fn start(verbosity: Verbosity, form: Form) -> Logging {
    let louder = |level: LevelFilter, _| level.increment_severity();
    let level = (0..verbosity.more).fold(verbosity.normal, louder);
    let level = if verbosity.quiet { LevelFilter::Error } else { level };
    let color =
        if std::io::stderr().is_terminal() { ColorChoice::Auto } else { ColorChoice::Never };
    // What is asked for is logged as information.
    let most = level.max(LevelFilter::Info);
    let mut writer = stderrlog::new();
    writer.module(TARGET).verbosity(most).color(color);
    writer.timestamp(Timestamp::Second);
    let logger = Logger { writer, level, form, queue: OnceLock::new(), dropped: AtomicU64::new(0) };
    let logger = Arc::new(logger);
    log::set_max_level(most);
    // Fails only if there is a logger already.
    let _ = log::set_boxed_logger(Box::new(Arc::clone(&logger)));
    std::panic::set_hook(Box::new(|bug| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("a thread");
        error!("a bug in {thread}, please report it: {}", bug.to_string().escape_debug());
    }));
    Logging { logger, deadline: None, timeout: FLUSH_TIMEOUT }
}

/// The log of this process. When it is dropped, what was logged is written, though not if that
/// takes for ever.
#[derive(Debug)]
pub(crate) struct Logging {
    logger: Arc<Logger>,
    /// Until when to wait at the end, if it is set.
    deadline: Option<Instant>,
    /// How long to wait otherwise.
    timeout: Duration,
}

impl Logging {
    /// From now on, a thread of its own writes the log: to log something never waits, also when
    /// standard error is not read. Lines for which there is no room are counted instead. If the
    /// thread cannot be started, all stays as it was.
    pub(crate) fn queue(&self) {
        let (queue, entries) = mpsc::sync_channel(QUEUED_LINES);
        let logger = Arc::clone(&self.logger);
        let write = move || logger.write_all(&entries);
        if thread::Builder::new().name("log".into()).spawn(write).is_ok() {
            let _ = self.logger.queue.set(queue);
        }
    }

    /// Sets until when to wait, at the end, for what was logged to be written.
    pub(crate) fn end_by(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let Some(queue) = self.logger.queue.get() else { return };
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + self.timeout);
        let (mark, reached) = mpsc::channel();
        let mut entry = Entry::Mark(mark);
        while let Err(TrySendError::Full(back)) = queue.try_send(entry) {
            if Instant::now() >= deadline {
                return;
            }
            entry = back;
            thread::sleep(Duration::from_millis(10));
        }
        // Either the mark is reached, and dropped, or it takes too long.
        let _ = reached.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// What the thread that writes gets.
#[derive(Debug)]
enum Entry {
    Line(Level, String),
    /// Dropped when all before it is written.
    Mark(mpsc::Sender<()>),
}

#[derive(Debug)]
struct Logger {
    writer: StdErrLog,
    level: LevelFilter,
    form: Form,
    /// The way to the thread that writes, if there is one.
    queue: OnceLock<SyncSender<Entry>>,
    /// Lines for which the queue had no room.
    dropped: AtomicU64,
}

impl Logger {
    fn write(&self, level: Level, text: &str) {
        let line = format_args!("{text}");
        self.write_record(&Record::builder().level(level).target(TARGET).args(line).build());
    }

    fn write_record(&self, record: &Record<'_>) {
        match self.form {
            Form::Told(tell) => tell(record.args()),
            Form::Dated => {
                // Whoever shares standard error may have made it fail where it would wait.
                let stderr = std::io::stderr();
                let _ = descriptors::wait(&mut [PollFd::new(&stderr, PollFlags::OUT)], None);
                self.writer.log(record);
            }
        }
    }

    fn write_all(&self, entries: &Receiver<Entry>) {
        for entry in entries {
            match entry {
                Entry::Line(level, text) => self.write(level, &text),
                Entry::Mark(mark) => drop(mark),
            }
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                self.write(Level::Warn, &format!("{dropped} lines could not be logged in time"));
            }
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = metadata.level() <= self.level || metadata.target() == ASKED_FOR;
        wanted && self.writer.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let Some(queue) = self.queue.get() else { return self.write_record(record) };
        let line = Entry::Line(record.level(), record.args().to_string());
        if queue.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends a log that nobody writes, with so many lines in its queue for one, when it had to have
    /// ended already. Returns whether it ends.
    fn ends_in_time(lines: usize) -> bool {
        let (queue, _entries) = mpsc::sync_channel(1);
        (0..lines).for_each(|_| queue.send(Entry::Line(Level::Info, "line".into())).unwrap());
        let queue = OnceLock::from(queue);
        let (writer, level, form) = (stderrlog::new(), LevelFilter::Info, Form::Dated);
        let logger = Logger { writer, level, form, queue, dropped: AtomicU64::new(0) };
        let never = Duration::from_secs(3600);
        let mut logging = Logging { logger: Arc::new(logger), deadline: None, timeout: never };
        logging.end_by(Instant::now());
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            drop(logging);
            let _ = done.send(());
        });
        ended.recv_timeout(Duration::from_secs(60)).is_ok()
    }

    #[test]
    fn a_log_that_is_stuck_is_not_waited_for_longer_than_until_its_deadline() {
        for lines in [0, 1] {
            assert!(ends_in_time(lines), "{lines} lines in its queue");
        }
    }
}
