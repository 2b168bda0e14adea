//! Gives texts back: one thread with a connection of its own, so that one who asks for much holds up
//! nobody who says something.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::entry::Entry;
use super::link::{Commands, Link, Target, Trouble, number, parts, text};
use super::status::Status;
use super::writer::seq_of_end;
use crate::server::chat::effects::Effect;
use crate::server::chat::frame::Frame;
use crate::server::chat::replay::{Page, PageRequest};
use crate::server::outlet::{Outlet, page_size};
use crate::system::rate_limited::Warning;
use crate::wire::position::Position;
use crate::wire::protocol::{Stamp, append_record};

/// Entries that are fetched for one.
const ENTRIES: &[u8] = b"16";

/// Between two attempts to reach Redis.
const RETRY: Duration = Duration::from_millis(100);

/// Gives texts back.
#[derive(Debug)]
pub(super) struct Pages {
    target: Target,
    patience: Duration,
    outlet: Arc<Outlet>,
    link: Option<Link>,
    status: Arc<Status>,
    /// How long Redis may give nothing before that is said.
    timeout: Duration,
    /// Since when it gives nothing.
    since: Option<Instant>,
    warning: Warning,
}

impl Pages {
    pub(super) fn new(
        target: Target,
        (patience, timeout): (Duration, Duration),
        outlet: Arc<Outlet>,
        status: Arc<Status>,
    ) -> Self {
        let (link, since, warning) = (None, None, Warning::default());
        Pages { target, patience, outlet, link, status, timeout, since, warning }
    }

    /// Gives what is wanted until nobody can want anything any more. While Redis is away, those who
    /// want something wait.
    pub(super) fn run(mut self, wanted: &mpsc::Receiver<PageRequest>) {
        for request in wanted {
            let page = loop {
                match self.page(&request) {
                    Ok(page) => break page,
                    // It would be refused again: those who want something else do not wait for that.
                    Err(trouble) if trouble.is_of_a_key() => break None,
                    Err(trouble) => {
                        self.link = None;
                        self.warn(&trouble);
                        thread::sleep(RETRY);
                    }
                }
            };
            self.since = None;
            self.outlet.carry_out(Effect::Page(request.session, request.number, page));
        }
    }

    /// Says why those who want something wait, unless Redis is away, which is said elsewhere.
    fn warn(&mut self, trouble: &Trouble) {
        let is_late = self.since.get_or_insert_with(Instant::now).elapsed() >= self.timeout;
        if trouble.is_lasting() || is_late && !self.status.is_away() {
            let address = &self.target.address;
            self.warning.warn(format_args!("Redis at {address} gives nothing back: {trouble}"));
        }
    }

    /// Texts of a room; `None` if the first of them is not there.
    fn page(&mut self, request: &PageRequest) -> Result<Option<Page>, Trouble> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.target, self.patience)?,
        };
        let first = *request.seqs.start();
        let epoch = self.outlet.epoch.load(Ordering::SeqCst);
        let (mut entries, mut up_to) =
            (self.fetch(&mut link, request, epoch)?, *request.seqs.end());
        if !has(&entries, first, epoch) {
            let (earlier, end) = self.fetch_earlier(&mut link, request)?;
            (entries, up_to) = (earlier, up_to.min(end));
        }
        self.link = Some(link);
        let pages = &self.outlet.pages;
        let (lines, seq) = cut_page(&entries, request, epoch, up_to, page_size(pages));
        let page = || Page { lines: Frame::new(&lines, pages), last: Position { epoch, seq } };
        Ok((!lines.is_empty()).then(page))
    }

    /// The same of an earlier epoch, the newest of which is the last; and up to where it counts.
    fn fetch_earlier(
        &self,
        link: &mut Link,
        request: &PageRequest,
    ) -> Result<(Vec<Entry>, u64), Trouble> {
        let first = *request.seqs.start();
        let mut commands = Commands::default();
        commands.add(&[b"LRANGE", self.target.key("epochs").as_bytes(), b"0", b"-1"]);
        for epoch in parts(link.ask_one(commands)?).into_iter().rev().map(number) {
            let entries = self.fetch(link, request, epoch)?;
            if has(&entries, first, epoch) {
                let end = self.end(link, request, epoch)?;
                if first <= end {
                    return Ok((entries, end));
                }
            }
        }
        Ok((Vec::new(), 0))
    }

    /// What was left of an earlier epoch: what is beyond that was lost, though it may be there again.
    fn end(&self, link: &mut Link, request: &PageRequest, epoch: u64) -> Result<u64, Trouble> {
        let ends = self.target.key(&format!("ends:{epoch}"));
        let mut commands = Commands::default();
        commands.add(&[b"HGET", ends.as_bytes(), request.room.as_str().as_bytes()]);
        let end = text(link.ask_one(commands)?);
        // Where nobody knows any more, all of it may be.
        Ok(if end.is_empty() { u64::MAX } else { seq_of_end(&end) })
    }

    /// Entries from the one on that has the first text, if it is of that epoch.
    fn fetch(
        &self,
        link: &mut Link,
        request: &PageRequest,
        epoch: u64,
    ) -> Result<Vec<Entry>, Trouble> {
        let stream = self.target.stream(request.room.as_str());
        let from = format!("{epoch}-{}", request.seqs.start());
        let mut commands = Commands::default();
        commands.add(&[b"XRANGE", stream.as_bytes(), from.as_bytes(), b"+", b"COUNT", ENTRIES]);
        Ok(Entry::read_all(link.ask_one(commands)?))
    }
}

/// The first of the entries has that text, and is not of a later epoch.
fn has(entries: &[Entry], seq: u64, epoch: u64) -> bool {
    let is_it = |entry: &Entry| (entry.first..=entry.last.seq).contains(&seq);
    entries.first().is_some_and(|entry| entry.last.epoch <= epoch && is_it(entry))
}

/// What comes in these entries up to that SEQ without a hole, so many bytes or a line more, and the SEQ
/// of the last.
fn cut_page(
    entries: &[Entry],
    request: &PageRequest,
    epoch: u64,
    up_to: u64,
    most: usize,
) -> (Vec<u8>, u64) {
    let first = *request.seqs.start();
    let (mut page, mut last) = (Vec::new(), first - 1);
    for entry in entries.iter().take_while(|entry| entry.last.epoch <= epoch) {
        let lines = entry.lines.split_inclusive(|&byte| byte == b'\n');
        for (seq, line) in (entry.first..).zip(lines) {
            if seq < first {
                continue;
            }
            if seq != last + 1 || seq > up_to || page.len() >= most {
                return (page, last);
            }
            if request.records {
                let position = Position { epoch, seq };
                let stamp = Stamp { position, time: entry.time };
                append_record(&mut page, stamp, line.strip_suffix(b"\n").unwrap_or(line));
            } else {
                page.extend_from_slice(line);
            }
            last = seq;
        }
    }
    (page, last)
}
