//! Words of a command line → values, where several commands take the same.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Reads the port of a server.
pub(crate) fn port_to_connect_to(word: &str) -> Result<u16, String> {
    number(word).filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535".into())
}

/// Reads the port to listen on; 0 is any that is free.
pub(crate) fn port_to_listen_on(word: &str) -> Result<u16, String> {
    number(word).ok_or("a port is a number from 1 to 65535, or 0 for any".into())
}

/// Reads a whole number above 0.
pub(crate) fn positive(word: &str) -> Result<usize, String> {
    number(word).filter(|number| *number > 0).ok_or("a whole number from 1 is needed".into())
}

/// Reads digits, and nothing else.
pub(crate) fn number<T: FromStr>(word: &str) -> Option<T> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

/// Reads the name of a file.
pub(crate) fn file(word: &str) -> Result<PathBuf, String> {
    if word.is_empty() { Err("the name of a file is needed".into()) } else { Ok(word.into()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_in_one_way() {
        for word in ["+5", "-5", " 5", "5 ", "", "0x5", "5.0", "65536", "\u{665}"] {
            assert!(port_to_connect_to(word).is_err(), "{word:?}");
            assert!(port_to_listen_on(word).is_err(), "{word:?}");
        }
        for (word, port) in [("5", 5), ("05", 5), ("65535", 65535)] {
            assert_eq!(port_to_connect_to(word), Ok(port));
            assert_eq!(port_to_listen_on(word), Ok(port));
        }
        assert!(port_to_connect_to("0").is_err());
        assert_eq!(port_to_listen_on("0"), Ok(0));
        assert!(positive("+1").is_err() && positive("0").is_err());
    }
}
