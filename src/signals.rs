//! Signals, as the applets want to hear of them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGTSTP, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::error::Error;
use crate::server::Event;
use crate::terminal::Settings;

/// What signals ask of a server. To be called before any thread is started.
///
/// SIGINT, SIGTERM and SIGHUP ask it to stop; the second of them ends the process at once, the way
/// the signal would have without all this. SIGHUP asks for nothing if it was ignored from the start,
/// as `nohup` does. SIGUSR1 asks for a report. SIGPIPE and SIGXFSZ ask for nothing: a client that
/// goes away, or a log that is full, is the business of the write that notices.
///
/// # Errors
///
/// If the system refuses a handler.
pub fn server_events() -> io::Result<impl Iterator<Item = Event>> {
    let stopping = Arc::new(AtomicBool::new(false));
    let mut stops = vec![SIGINT, SIGTERM];
    stops.extend((!is_ignored(SIGHUP)).then_some(SIGHUP));
    for &signal in &stops {
        // In this order: the first signal finds the flag unset and sets it.
        flag::register_conditional_default(signal, Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    for signal in [SIGPIPE, SIGXFSZ] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut signals = Signals::new(stops.iter().chain([&SIGUSR1]))?;
    let arrived = std::iter::repeat_with(move || signals.wait().collect::<Vec<_>>()).flatten();
    Ok(arrived.map(|signal| if signal == SIGUSR1 { Event::Report } else { Event::Stop }))
}

/// The process was started with this signal ignored, as far as the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Makes sure that the terminal is set as it was when a signal ends or stops the process.
///
/// # Errors
///
/// If the system refuses a handler, or a thread.
pub fn restore_terminal_at_end(settings: Settings) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGTSTP])?;
    let restore = move || {
        for signal in signals.forever() {
            if signal == SIGTSTP {
                stop_with_terminal(&settings);
                continue;
            }
            settings.restore();
            // The prompt stands on the line.
            let _ = io::stderr().write_all(b"\n");
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(restore).map(drop)
}

/// Stops the process, with the terminal set as `settings` say until it goes on.
pub fn stop_with_terminal(settings: &Settings) {
    let now = Settings::of_stdin();
    settings.restore();
    let _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
    if let Ok(now) = now {
        now.restore();
    }
}

/// Ends the process the way SIGPIPE does if it is for a broken pipe that standard output cannot be
/// written: that is what a shell expects of a program whose output nobody reads any more.
pub fn or_end_as_by_sigpipe(error: Error) -> Error {
    match error {
        Error::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => {
            let ended = signal_hook::low_level::emulate_default_handler(SIGPIPE);
            Error::Output(ended.err().unwrap_or(source))
        }
        error => error,
    }
}
