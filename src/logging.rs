//! What goes to the log, on standard error.

use log::{LevelFilter, error};
use stderrlog::Timestamp;

/// Starts logging. `normal` is what is logged if nothing is asked for; each of `more` adds a level
/// to it, and `quiet` leaves errors alone. With `times`, every line starts with the time. A panic is
/// an error, in one line.
pub fn start(normal: LevelFilter, more: u8, quiet: bool, times: bool) {
    let level = match quiet {
        true => LevelFilter::Error,
        false => (0..more).fold(normal, |level, _| level.increment_severity()),
    };
    let timestamp = if times { Timestamp::Second } else { Timestamp::Off };
    let mut logger = stderrlog::new();
    logger.module(env!("CARGO_PKG_NAME")).verbosity(level).timestamp(timestamp);
    std::panic::set_hook(Box::new(|bug| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("a thread");
        error!("a bug in {thread}, please report it: {}", bug.to_string().escape_debug());
    }));
    // Fails only if a logger is there already, and then that one will do.
    let _ = logger.init();
}
