//! Words of a command line → values, where several commands take the same.

use std::time::Duration;

/// Reads the port of a server.
pub(crate) fn port_to_connect_to(word: &str) -> Result<u16, String> {
    match word.parse() {
        Ok(port @ 1..) if !word.starts_with('+') => Ok(port),
        _ => Err("a port is a number from 1 to 65535".into()),
    }
}

/// Reads the port to listen on; 0 is any that is free.
pub(crate) fn port_to_listen_on(word: &str) -> Result<u16, String> {
    word.parse().map_err(|_| "a port is a number from 1 to 65535, or 0 for any".into())
}

/// Reads a whole number above 0.
pub(crate) fn positive(word: &str) -> Result<usize, String> {
    match word.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 is needed".into()),
        Ok(number) => Ok(number),
    }
}

/// Reads seconds, with a fraction if need be.
pub(crate) fn seconds(word: &str) -> Result<Duration, String> {
    /// Ten years; far enough from where calculations with times overflow.
    const MOST: f64 = 3.2e8;
    match word.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MOST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds above 0 is needed".into()),
    }
}
