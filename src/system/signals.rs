//! Signals: as events for a program that serves, and as an end or a stop that can be prepared.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{
    SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGPROF, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1,
    SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use thiserror::Error;

/// Signals cannot be handled.
#[derive(Debug, Error)]
#[error("cannot handle signals: {0}")]
pub(crate) struct SignalsError(#[from] io::Error);

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To stop.
    Stop,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
}

/// The signals for a program that serves, as they arrive. To be called before any thread is started.
///
/// SIGINT, SIGTERM and SIGHUP ask it to stop. A second SIGINT or SIGTERM ends the process at once, the
/// way the signal would have without all this; SIGHUP counts for neither, since it may come together
/// with one of the others. SIGHUP asks for nothing if it was ignored from the start, as `nohup` does.
/// SIGPIPE and SIGXFSZ ask for nothing: a client that goes away, or a log that is full, is an error
/// of the write that notices.
///
/// # Errors
///
/// [`SignalsError`] if the system refuses a handler.
pub(crate) fn for_server() -> Result<impl Iterator<Item = Signal>, SignalsError> {
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset and sets it.
        if is_first_process() {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
        } else {
            flag::register_conditional_default(signal, Arc::clone(&stopping))?;
        }
        flag::register(signal, Arc::clone(&stopping))?;
    }
    for signal in [SIGPIPE, SIGXFSZ] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2].into_iter().chain(hangup))?;
    let arrived = std::iter::repeat_with(move || signals.wait().collect::<Vec<_>>()).flatten();
    Ok(arrived.map(|signal| match signal {
        SIGUSR1 => Signal::User1,
        SIGUSR2 => Signal::User2,
        _ => Signal::Stop,
    }))
}

/// The process was started with this signal ignored, as far as the system tells.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// What a signal does to the process by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It ends the process, as Ctrl-C does.
    Interrupt,
    /// It ends the process.
    End,
    /// It stops the process, as Ctrl-Z does.
    Stop,
    /// It has continued the process.
    Continue,
}

/// From now on, a thread of its own calls `before` when a signal is about to end or stop the process,
/// and that happens if it returns `true`; and when a signal has continued the process, whatever it
/// returns.
///
/// # Errors
///
/// [`SignalsError`] if the system refuses a handler, or a thread.
pub(crate) fn intercept(
    mut before: impl FnMut(Effect) -> bool + Send + 'static,
) -> Result<(), SignalsError> {
    END_AT_ONCE.store(false, Ordering::SeqCst);
    // All that end a process by default and that nobody else here waits for.
    const ENDING: [i32; 10] =
        [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF, SIGXCPU];
    let mut signals = Signals::new(ENDING.into_iter().chain([SIGTSTP, SIGCONT]))?;
    let intercept = move || {
        for signal in signals.forever() {
            let effect = match signal {
                SIGINT => Effect::Interrupt,
                SIGTSTP => Effect::Stop,
                SIGCONT => Effect::Continue,
                _ => Effect::End,
            };
            // The system does not stop the first process of a container.
            let cannot_be = effect == Effect::Stop && is_first_process();
            if !cannot_be && before(effect) {
                end_by(signal);
            }
        }
    };
    Ok(thread::Builder::new().name("signals".into()).spawn(intercept).map(drop)?)
}

/// The first process of a container is to end in the handler of a signal.
static END_AT_ONCE: AtomicBool = AtomicBool::new(true);

/// Lets SIGHUP, SIGINT and SIGTERM end the process with 128 and their number if it is the first of a
/// container, for which the system ignores what is not handled. They end any other process anyway.
///
/// # Errors
///
/// [`SignalsError`] if the system refuses a handler.
pub(crate) fn end_first_process() -> Result<(), SignalsError> {
    if is_first_process() {
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)) {
            flag::register_conditional_shutdown(signal, 128 + signal, &END_AT_ONCE)?;
        }
    }
    Ok(())
}

fn is_first_process() -> bool {
    std::process::id() == 1
}

/// Ends the process as a signal does that is not handled.
fn end_by(signal: i32) {
    if is_first_process() {
        // The system ignores that signal.
        std::process::exit(128 + signal);
    }
    let _ = emulate_default_handler(signal);
}

/// Stops the process as SIGTSTP does. Returns when it continues.
pub(crate) fn stop_process() {
    let _ = emulate_default_handler(SIGTSTP);
}

/// Ends the process as SIGPIPE does: that is what a shell expects of a program whose output is not
/// read any more.
pub(crate) fn end_by_sigpipe() {
    end_by(SIGPIPE);
}
