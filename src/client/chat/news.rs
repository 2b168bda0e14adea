//! Deliveries → lines above the prompt, with the day where it changes, and a bell.
//!
//! Knows deliveries and the clock. Must not know connections.

use std::str::FromStr;
use std::time::{Duration, Instant};

use chrono::{Local, NaiveDate};

use super::words::Words;
use crate::terminal::format::{Format, mentions, time_of};
use crate::terminal::printer::Printer;
use crate::wire::protocol::{Delivery, Stamp};

/// It rings once in so long at most.
const QUIET: Duration = Duration::from_secs(1);

/// When to ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bell {
    /// When one's own name is mentioned.
    Mention,
    /// Whenever somebody else speaks.
    All,
    /// In no case.
    Never,
}

impl FromStr for Bell {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "mention" => Ok(Bell::Mention),
            "all" => Ok(Bell::All),
            "never" => Ok(Bell::Never),
            _ => Err("mention, all or never is needed"),
        }
    }
}

/// What is said, as it is shown.
#[derive(Debug)]
pub(super) struct News {
    format: Format,
    bell: Bell,
    printer: Printer,
    words: Words,
    /// The day of the line before.
    day: NaiveDate,
    rang: Option<Instant>,
}

impl News {
    /// Nothing yet.
    pub(super) fn new(format: Format, bell: Bell, printer: Printer, words: Words) -> Self {
        News { format, bell, printer, words, day: Local::now().date_naive(), rang: None }
    }

    /// Shows what has been said, with what the server says of it, if it does. `live`: while one was there.
    pub(super) fn show(&mut self, delivery: &Delivery<'_>, stamp: Option<Stamp>, live: bool) {
        let day = || stamp.and_then(time_of).unwrap_or_else(Local::now).date_naive();
        if self.format.timestamps.is_some()
            && let Some(line) = new_day(&mut self.day, day())
        {
            self.printer.text(line);
        }
        let mut line = Vec::new();
        self.format.append(&mut line, delivery, stamp);
        if live && self.rings(delivery, Instant::now()) {
            line.insert(0, b'\x07');
        }
        self.printer.text(String::from_utf8_lossy(&line).into());
        self.words.spoke(delivery.sender);
    }

    fn rings(&mut self, delivery: &Delivery<'_>, now: Instant) -> bool {
        let user = self.format.user.as_bytes();
        let wanted = match self.bell {
            Bell::Never => false,
            Bell::All => true,
            Bell::Mention => mentions(delivery.text, user),
        };
        let is_quiet = self.rang.is_none_or(|rang| now.duration_since(rang) >= QUIET);
        let rings = wanted && is_quiet && delivery.sender != user && self.printer.edits();
        if rings {
            self.rang = Some(now);
        }
        rings
    }
}

/// The line that says which day it is, if that is another than `day`, which becomes it.
fn new_day(day: &mut NaiveDate, today: NaiveDate) -> Option<String> {
    let changed = std::mem::replace(day, today) != today;
    changed.then(|| format!("--- {} ---\n", today.format("%A, %Y-%m-%d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_day_is_told_once() {
        let date = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let mut day = date(27);
        assert_eq!(new_day(&mut day, date(27)), None);
        assert_eq!(new_day(&mut day, date(28)).as_deref(), Some("--- Saturday, 2026-11-28 ---\n"));
        assert_eq!(new_day(&mut day, date(28)), None);
    }
}
