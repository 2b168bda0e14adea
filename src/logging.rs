//! What goes to the log, on standard error.

use log::LevelFilter;
use stderrlog::Timestamp;

/// Starts logging. `normal` is what is logged if nothing is asked for; each of `more` adds a level
/// to it, and `quiet` leaves errors alone. With `times`, every line starts with the time.
pub fn start(normal: LevelFilter, more: u8, quiet: bool, times: bool) {
    let level = match quiet {
        true => LevelFilter::Error,
        false => (0..more).fold(normal, |level, _| level.increment_severity()),
    };
    let timestamp = if times {
        Timestamp::Second
    } else {
        Timestamp::Off
    };
    let mut logger = stderrlog::new();
    logger
        .module(env!("CARGO_PKG_NAME"))
        .verbosity(level)
        .timestamp(timestamp);
    // Fails only if a logger is there already, and then that one will do.
    let _ = logger.init();
}
