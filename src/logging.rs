//! What goes to standard error beside errors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record, error};
use stderrlog::{ColorChoice, StdErrLog, Timestamp};

/// Lines that may wait to be written.
const LINES: usize = 1024;

/// How long to wait at the end for lines to be written.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much is logged.
#[derive(Clone, Copy, Debug)]
pub struct Verbosity {
    /// The level if nothing is asked for.
    pub normal: LevelFilter,
    /// Levels more.
    pub more: u8,
    /// Errors alone.
    pub quiet: bool,
}

impl Verbosity {
    fn level(self) -> LevelFilter {
        match self.quiet {
            true => LevelFilter::Error,
            false => (0..self.more).fold(self.normal, |level, _| level.increment_severity()),
        }
    }
}

/// Starts logging. A panic is an error, in one line.
pub fn start(verbosity: Verbosity) {
    let log = standard_error(verbosity, Timestamp::Off);
    install(Box::new(log), verbosity);
}

/// Starts logging from a thread of its own, with the time in every line: whoever logs goes on at
/// once, also when nobody reads standard error. Lines for which there is no room are counted.
/// What the log is made of ends when the returned value is dropped.
pub fn start_queued(verbosity: Verbosity) -> Queued {
    let log = standard_error(verbosity, Timestamp::Second);
    let (sender, lines) = mpsc::sync_channel(LINES);
    let write = move || write_lines(&log, &lines);
    match thread::Builder::new().name("log".into()).spawn(write) {
        Ok(_) => {
            let queue = Queue { lines: sender.clone(), dropped: AtomicU64::new(0) };
            install(Box::new(queue), verbosity);
        }
        // The thread is a luxury.
        Err(_) => install(Box::new(standard_error(verbosity, Timestamp::Second)), verbosity),
    }
    Queued { lines: sender }
}

fn install(log: Box<dyn Log>, verbosity: Verbosity) {
    std::panic::set_hook(Box::new(|bug| {
        let thread = thread::current();
        let thread = thread.name().unwrap_or("a thread");
        error!("a bug in {thread}, please report it: {}", bug.to_string().escape_debug());
    }));
    log::set_max_level(verbosity.level());
    // Fails only if a logger is there already, and then that one will do.
    let _ = log::set_boxed_logger(log);
}

fn standard_error(verbosity: Verbosity, timestamp: Timestamp) -> StdErrLog {
    let color = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => ColorChoice::Auto,
        false => ColorChoice::Never,
    };
    let mut log = stderrlog::new();
    log.module(env!("CARGO_PKG_NAME")).verbosity(verbosity.level());
    log.timestamp(timestamp).color(color);
    log
}

/// What is logged, on its way to the thread that writes it.
#[derive(Debug)]
enum Entry {
    /// A line of this level, and how many were dropped before it.
    Line(Level, String, u64),
    /// Say so through the sender when all before this is written.
    Flush(mpsc::Sender<()>),
}

struct Queue {
    lines: SyncSender<Entry>,
    /// Lines for which there was no room.
    dropped: AtomicU64,
}

impl Log for Queue {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        // The thread that writes decides.
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !record.target().starts_with(env!("CARGO_PKG_NAME")) {
            return;
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let line = Entry::Line(record.level(), record.args().to_string(), dropped);
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

fn write_lines(log: &StdErrLog, lines: &Receiver<Entry>) {
    let write = |level, text: std::fmt::Arguments<'_>| {
        let target = env!("CARGO_PKG_NAME");
        log.log(&Record::builder().level(level).target(target).args(text).build());
    };
    for entry in lines {
        match entry {
            Entry::Flush(done) => drop(done),
            Entry::Line(level, text, dropped) => {
                if dropped > 0 {
                    write(Level::Warn, format_args!("{dropped} lines could not be logged in time"));
                }
                write(level, format_args!("{text}"));
            }
        }
    }
}

/// Waits, when dropped, until what was logged is written, though not for ever.
#[derive(Debug)]
pub struct Queued {
    lines: SyncSender<Entry>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let deadline = Instant::now() + FAREWELL;
        let (done, written) = mpsc::channel();
        let mut entry = Entry::Flush(done);
        while let Err(mpsc::TrySendError::Full(back)) = self.lines.try_send(entry) {
            if Instant::now() >= deadline {
                return;
            }
            entry = back;
            thread::sleep(Duration::from_millis(10));
        }
        // Either the flush is done and its sender dropped, or it takes too long.
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}
