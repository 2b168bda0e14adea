//! The results of a load: as a table, as JSON, and as a histogram.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::plan::Plan;
use super::text::Arrival;

/// Percentiles that are reported.
const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// Columns of the longest bar in the histogram.
const BAR: usize = 60;

/// The results of a load, so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// From the first text to the last answer or delivery.
    pub seconds: f64,
    /// Texts sent.
    pub texts: u64,
    /// Texts of which a receiver got one, once each.
    pub deliveries: u64,
    /// Deliveries that did not come, of texts that were answered `ok`.
    pub lost: u64,
    /// Deliveries that came once more.
    pub duplicated: u64,
    /// Deliveries that came after a later one of the same sender.
    pub reordered: u64,
    /// Texts answered `err`.
    pub refused: u64,
    /// Texts that got no answer.
    pub unanswered: u64,
    /// Texts that the rate asked for, and that could not be sent in time.
    pub unsent: u64,
    /// Connections that the server closed.
    pub cut: u64,
    /// Lines that have no place in the protocol, or texts that were not sent.
    pub strays: u64,
    /// What came of a replay, if there was one.
    pub replayed: Option<Replayed>,
    /// From send to delivery.
    latency: Times,
    /// From send to answer.
    answer: Times,
}

/// What came of a replay of all rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Texts that came, once each.
    pub texts: u64,
    /// Texts that did not come, of those that were answered `ok`.
    pub lost: u64,
    /// Texts that came once more.
    pub duplicated: u64,
    /// Texts that came after a later one of the same sender.
    pub reordered: u64,
    /// Lines that are no records, texts that were not sent, or were refused, and positions that do not
    /// follow the one before.
    pub strays: u64,
}

impl Replayed {
    /// It was what had been sent.
    pub(super) fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.reordered + self.strays == 0
    }
}

/// How long things took, in nanoseconds, from a microsecond to an hour, to three digits.
#[derive(Debug)]
struct Times(Histogram<u64>);

impl Default for Times {
    #[allow(clippy::expect_used, reason = "the bounds are constants that make sense")]
    fn default() -> Self {
        let times = Histogram::new_with_bounds(1_000, 3_600_000_000_000, 3);
        Times(times.expect("bounds make sense"))
    }
}

impl Times {
    /// The percentiles that are reported.
    fn percentiles(&self) -> [(&'static str, u64); 5] {
        PERCENTILES.map(|(name, percentile)| (name, self.0.value_at_percentile(percentile)))
    }
}

impl Report {
    /// Records a delivery and how long it took, in nanoseconds.
    pub(super) fn record_delivery(&mut self, arrival: Arrival, took: u64) {
        match arrival {
            Arrival::Duplicate => self.duplicated += 1,
            Arrival::InOrder | Arrival::Reordered => {
                self.deliveries += 1;
                self.reordered += u64::from(arrival == Arrival::Reordered);
                self.latency.0.saturating_record(took);
            }
        }
    }

    /// Records an answer and how long it took, in nanoseconds.
    pub(super) fn record_answer(&mut self, took: u64) {
        self.answer.0.saturating_record(took);
    }

    /// Nothing was lost, duplicated or reordered, and the server was there to the end.
    pub(super) fn is_clean(&self) -> bool {
        let faults = self.lost + self.duplicated + self.reordered + self.unanswered + self.cut;
        faults == 0 && self.replayed.is_none_or(|replayed| replayed.is_clean())
    }

    fn a_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    /// One line about how far it is.
    pub(super) fn progress(&self) -> String {
        format!(
            "{:.1} s: {} texts, {} deliveries, {} a second",
            self.seconds,
            grouped(self.texts),
            grouped(self.deliveries),
            grouped(self.a_second(self.deliveries) as u64),
        )
    }

    /// The results as a table.
    pub(super) fn table(&self, plan: &Plan) -> String {
        let mut table = format!("{plan}\n\n");
        let mut row = |name: &str, count: u64| {
            let rate = grouped(self.a_second(count) as u64);
            let _ = writeln!(table, "{name:<12}{:>14}{rate:>14} a second", grouped(count));
        };
        row("texts", self.texts);
        row("deliveries", self.deliveries);
        table.push('\n');
        let heads = PERCENTILES.map(|(name, _)| format!("{name:>10}"));
        let _ = writeln!(table, "{:<22}{}", "", heads.concat());
        for (name, times) in [("send to delivery", &self.latency), ("send to answer", &self.answer)]
        {
            let values = times.percentiles().map(|(_, value)| format!("{:>10}", time(value)));
            let _ = writeln!(table, "{name:<22}{}", values.concat());
        }
        table.push('\n');
        for (name, count) in self.faults() {
            let _ = writeln!(table, "{name:<12}{:>14}", grouped(count));
        }
        if let Some(Replayed { texts, lost, duplicated, reordered, strays }) = self.replayed {
            let _ = writeln!(
                table,
                "\n{:<12}{:>14}; lost {lost}, duplicated {duplicated}, reordered {reordered}, strays {strays}",
                "replayed",
                grouped(texts)
            );
        }
        table
    }

    fn faults(&self) -> Vec<(&'static str, u64)> {
        let mut faults = vec![
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("refused", self.refused),
        ];
        // Shown only if there are any.
        let rare = [
            ("not sent", self.unsent),
            ("unanswered", self.unanswered),
            ("cut off", self.cut),
            ("strays", self.strays),
        ];
        faults.extend(rare.into_iter().filter(|(_, count)| *count > 0));
        faults
    }

    /// The results as one object. Times are in microseconds.
    pub(super) fn json(&self, plan: &Plan) -> Value {
        let times = |times: &Times| {
            let values = times.percentiles();
            let values = values.map(|(name, value)| (name.to_owned(), json!(value as f64 / 1e3)));
            Value::Object(values.into_iter().collect())
        };
        json!({
            "senders": plan.senders,
            "receivers": plan.receivers,
            "rooms": plan.rooms,
            "size": plan.size,
            "window": plan.window,
            "rate": plan.rate,
            "seconds": self.seconds,
            "texts": self.texts,
            "texts_per_second": self.a_second(self.texts),
            "deliveries": self.deliveries,
            "deliveries_per_second": self.a_second(self.deliveries),
            "delivery_us": times(&self.latency),
            "answer_us": times(&self.answer),
            "lost": self.lost,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "refused": self.refused,
            "unsent": self.unsent,
            "unanswered": self.unanswered,
            "cut_off": self.cut,
            "strays": self.strays,
            "replay": self.replayed.map(|replayed| json!({
                "texts": replayed.texts,
                "lost": replayed.lost,
                "duplicated": replayed.duplicated,
                "reordered": replayed.reordered,
                "strays": replayed.strays,
            })),
        })
    }

    /// How the times from send to delivery are distributed, as bars.
    pub(super) fn histogram(&self) -> String {
        let mut histogram = String::from("send to delivery\n");
        // Four bars a doubling make a histogram that fits on a screen.
        let mut bars = Vec::new();
        let latency = &self.latency.0;
        for bar in latency.iter_log(latency.min().max(1_000), 2f64.powf(0.25)) {
            bars.push((bar.value_iterated_to(), bar.count_since_last_iteration()));
        }
        let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        for (upto, count) in bars {
            let columns = (count as f64 * BAR as f64 / most as f64).ceil() as usize;
            let share = 100.0 * count as f64 / latency.len().max(1) as f64;
            let line = format!("{:>9} {share:>6.2} % {}", time(upto), "#".repeat(columns));
            let _ = writeln!(histogram, "{}", line.trim_end());
        }
        histogram
    }
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time given in nanoseconds, to three digits.
fn time(nanoseconds: u64) -> String {
    let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
    let (value, unit) = match nanoseconds {
        0..1_000_000 => (seconds * 1e6, "us"),
        1_000_000..1_000_000_000 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        let numbers = [0, 12, 123, 1234, 123_456, 1_234_567];
        let want = ["0", "12", "123", "1,234", "123,456", "1,234,567"];
        assert_eq!(numbers.map(grouped), want);
        let times = [0, 1_500, 99_940, 999_000, 1_000_000, 12_300_000, 3_000_000_000];
        let want = ["0.00 us", "1.50 us", "99.9 us", "999 us", "1.00 ms", "12.3 ms", "3.00 s"];
        assert_eq!(times.map(time), want);
    }

    #[test]
    fn faults_are_counted_as_what_they_are() {
        let mut report = Report::default();
        assert!(report.is_clean());
        report.record_delivery(Arrival::InOrder, 5_000);
        assert!(report.is_clean() && report.deliveries == 1);
        report.record_delivery(Arrival::Duplicate, 5_000);
        assert_eq!((report.deliveries, report.duplicated, report.is_clean()), (1, 1, false));
        report.record_delivery(Arrival::Reordered, 5_000);
        assert_eq!((report.deliveries, report.reordered), (2, 1));
    }
}
