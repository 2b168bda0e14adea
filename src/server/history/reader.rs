//! Gives texts back: one thread with a connection of its own.
//!
//! Reads a page at a time and no transaction across pages, so that one who takes long holds up
//! neither the others nor what writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{HistoryError, UNREADABLE};
use super::store::number;
use super::view::View;
use crate::server::chat::effects::Effect;
use crate::server::chat::frame::{Budget, Frame};
use crate::server::chat::id::SessionId;
use crate::server::chat::replay::{Asked, Page, PageRequest, Start};
use crate::server::outlet::{Outlet, page_size};
use crate::system::rate_limited::Warning;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::{Delivery, MAX_REQUEST, MAX_TEXT, Name, Reply, Stamp};

/// The longest name of a sender, in bytes, that fits the line with which one logs in.
const MAX_SENDER: usize = MAX_REQUEST - "slogin:\n".len();

/// What is wanted of the reader.
#[derive(Debug)]
pub(super) enum Job {
    /// From where a receiver can have a room's texts.
    Resolve(Name, Resume, SessionId),
    /// A page.
    Page(PageRequest),
}

/// Gives texts back.
#[derive(Debug)]
pub(super) struct Reader {
    view: View,
    outlet: Arc<Outlet>,
    failures: Warning,
}

impl Reader {
    /// A reader of the history at `path`.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Database`] if it cannot be opened.
    pub(super) fn new(path: &Path, outlet: Arc<Outlet>) -> Result<Self, HistoryError> {
        Ok(Reader { view: View::open(path)?, outlet, failures: Warning::default() })
    }

    /// Does what is wanted until nobody can want anything any more.
    pub(super) fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        for job in jobs {
            let effect = match job {
                Job::Resolve(room, resume, session) => {
                    let start = self.read(|texts| texts.resolve(&room, resume));
                    Effect::Opened(session, start.ok_or_else(|| UNREADABLE.into()))
                }
                Job::Page(request) => {
                    let page = self.read(|texts| texts.page(&request));
                    Effect::Page(request.session, request.number, page.flatten())
                }
            };
            self.outlet.carry_out(effect);
        }
    }

    /// Reads something; `None` if it cannot be read.
    fn read<T>(&mut self, read: impl Fn(&Texts<'_>) -> rusqlite::Result<T>) -> Option<T> {
        let outlet = &self.outlet;
        let result = self.view.read(|connection| {
            // What is read while another epoch begins is of this one, and will be asked for again.
            let epoch = outlet.epoch.load(Ordering::SeqCst);
            read(&Texts { connection, pages: &outlet.pages, epoch })
        });
        let warn = |error| {
            self.failures.warn(format_args!("cannot read the history: {error}"));
        };
        result.map_err(warn).ok()
    }
}

/// All texts that are kept, at a time when the published ones bear that epoch.
struct Texts<'a> {
    connection: &'a Connection,
    pages: &'a Arc<Budget>,
    epoch: u64,
}

impl Texts<'_> {
    /// From where a receiver can have a room's texts.
    fn resolve(&self, room: &Name, resume: Resume) -> rusqlite::Result<Start> {
        let asked = match resume {
            Resume::Last(count) => Asked::Last(count),
            Resume::After(Position { epoch, seq }) if epoch == self.epoch => Asked::After(seq),
            Resume::After(Position { epoch, seq }) => match self.end_of(epoch, room)? {
                Some(end) => Asked::After(seq.min(end)),
                None => Asked::First,
            },
        };
        Ok(Start { epoch: self.epoch, floor: self.floor(room, asked)?, asked })
    }

    /// The SEQ before the first text of a room that a receiver can have.
    fn floor(&self, room: &Name, asked: Asked) -> rusqlite::Result<u64> {
        let after = match asked {
            Asked::After(seq) => seq,
            _ => 0,
        };
        // At one moment: texts may come meanwhile.
        let sql = "SELECT (SELECT min(seq) - 1 FROM texts WHERE room = ?1 AND seq > ?2), \
                   (SELECT min(seq) - 1 FROM texts WHERE room = ?1), \
                   coalesce((SELECT last FROM rooms WHERE room = ?1), 0)";
        let mut floor = self.connection.prepare_cached(sql)?;
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?));
        let (next, first, last): (Option<i64>, Option<i64>, i64) =
            floor.query_row(params![room.as_str(), after as i64], row)?;
        let is_there = after <= number(last);
        Ok(number(next.or(first.filter(|_| !is_there)).unwrap_or(last)))
    }

    /// Where an earlier epoch has ended in a room; `None` if there was no such epoch.
    fn end_of(&self, epoch: u64, room: &Name) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT coalesce((SELECT last FROM ends WHERE epoch = ?1 AND room = ?2), 0) \
                   FROM epochs WHERE epoch = ?1";
        let mut end = self.connection.prepare_cached(sql)?;
        let end = end.query_row(params![epoch as i64, room.as_str()], |row| row.get::<_, i64>(0));
        Ok(end.optional()?.map(number))
    }

    /// Texts of a room; `None` if the first of them is not there.
    fn page(&self, request: &PageRequest) -> rusqlite::Result<Option<Page>> {
        let (first, up_to) = (*request.seqs.start(), *request.seqs.end());
        let sql = "SELECT seq, time, sender, text FROM texts \
                   WHERE room = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq";
        let mut texts = self.connection.prepare_cached(sql)?;
        let room = request.room.as_str();
        let mut rows = texts.query(params![room, first as i64, up_to as i64])?;
        let most = page_size(self.pages);
        let (mut lines, mut next) = (Vec::new(), first);
        while let Some(row) = rows.next()?
            && lines.len() < most
            && row.get::<_, i64>(0)? as u64 == next
        {
            self.append(row, request, next, &mut lines)?;
            next += 1;
        }
        let last = Position { epoch: self.epoch, seq: next - 1 };
        let page = || Page { lines: Frame::new(&lines, self.pages), last };
        Ok((next > first).then(page))
    }

    fn append(
        &self,
        row: &Row<'_>,
        request: &PageRequest,
        seq: u64,
        lines: &mut Vec<u8>,
    ) -> rusqlite::Result<()> {
        let sender = row.get_ref(2)?.as_bytes().unwrap_or_default();
        let text = row.get_ref(3)?.as_bytes().unwrap_or_default();
        let delivery = Delivery { room: request.room.as_str().as_bytes(), sender, text };
        // Somebody may have changed it by hand.
        let fits = sender.len() <= MAX_SENDER && text.len() <= MAX_TEXT;
        let is_sound = fits && !sender.contains(&b':') && ![sender, text].concat().contains(&b'\n');
        let delivery =
            if is_sound { delivery } else { Delivery { sender: b"0", text: b"", ..delivery } };
        let reply = if request.records {
            let position = Position { epoch: self.epoch, seq };
            let time = row.get(1).map_or(0, number);
            Reply::Record(Stamp { position, time }, delivery)
        } else {
            Reply::Delivery(delivery)
        };
        reply.encode(lines);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::history::store::Store;
    use crate::server::history::store_tests::{Scratch, batch};
    use crate::server::outlet::{PAGE, PAGES, SMALL_PAGE};

    /// A reader of a history with so many texts in room `a`.
    fn reader(scratch: &Scratch, texts: usize) -> (Store, Reader) {
        let mut store = scratch.store();
        store.commit(&[batch("a", texts)], Duration::ZERO).unwrap();
        let outlet = Outlet::new(|_| {}, Arc::default(), Arc::new(Budget::new(1)), Arc::default());
        outlet.epoch.store(store.epoch(), Ordering::SeqCst);
        let reader = Reader::new(&scratch.file(), Arc::new(outlet)).unwrap();
        (store, reader)
    }

    fn page(reader: &mut Reader, seqs: std::ops::RangeInclusive<u64>) -> Option<Page> {
        let room = Name::parse(b"a").unwrap();
        let session = SessionId { worker: 0, token: 0, serial: 0 };
        let request = PageRequest { room, seqs, records: false, session, number: 1 };
        reader.read(|texts| texts.page(&request)).unwrap()
    }

    fn change(scratch: &Scratch, sql: &str) {
        rusqlite::Connection::open(scratch.file()).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn however_many_receivers_lag_their_pages_take_little() {
        let scratch = Scratch::new("pages");
        let (_store, mut reader) = reader(&scratch, 5000);
        let many = 3000;
        let pages: Vec<_> = (0..many).map(|_| page(&mut reader, 1..=5000).unwrap()).collect();
        assert!(pages[0].lines.len() >= PAGE);
        let used = reader.outlet.pages.used();
        // A line more than is wanted, and what it takes to have a page.
        let most = PAGES + 2 * PAGE + many * (SMALL_PAGE + 1024);
        assert!((PAGES..most).contains(&used), "{used} bytes");
        drop(pages);
        assert_eq!(reader.outlet.pages.used(), 0);
        assert!(page(&mut reader, 1..=5000).unwrap().lines.len() >= PAGE);
    }

    #[test]
    fn what_was_changed_by_hand_is_a_line_all_the_same() {
        let scratch = Scratch::new("changed");
        let (_store, mut reader) = reader(&scratch, 1);
        for (change_to, line) in [
            ("text = ''", "delivery:a:bob:\n"),
            ("text = 'a:b'", "delivery:a:bob:a:b\n"),
            ("sender = 'Bob B.'", "delivery:a:Bob B.:hi\n"),
            ("text = printf('%.*c', 247, 'x')", "delivery:a:0:\n"),
            ("sender = printf('%.*c', 248, 'x')", "delivery:a:0:\n"),
            ("sender = 'a:b'", "delivery:a:0:\n"),
            ("sender = 'a' || char(10)", "delivery:a:0:\n"),
            ("text = 'a' || char(10) || 'b'", "delivery:a:0:\n"),
            ("sender = 5, text = 6.5", "delivery:a:5:6.5\n"),
            ("time = 'noon'", "delivery:a:bob:hi\n"),
        ] {
            change(&scratch, "UPDATE texts SET sender = 'bob', text = 'hi'");
            change(&scratch, &format!("UPDATE texts SET {change_to}"));
            let lines = page(&mut reader, 1..=1).unwrap().lines;
            assert_eq!(String::from_utf8_lossy(&lines), line, "{change_to}");
        }
        let longest = "UPDATE texts SET sender = printf('%.*c', 247, 'x'), \
                       text = printf('%.*c', 246, 'y')";
        change(&scratch, longest);
        let lines = page(&mut reader, 1..=1).unwrap().lines;
        assert_eq!(lines.len(), "delivery:a::\n".len() + 247 + 246);
    }

    /// Somebody has deleted texts 4 to 6, and from 9 on.
    #[test]
    fn a_receiver_gets_past_a_hole() {
        let scratch = Scratch::new("hole");
        let (_store, mut reader) = reader(&scratch, 10);
        change(&scratch, "DELETE FROM texts WHERE seq BETWEEN 4 AND 6 OR seq > 8");
        assert_eq!(page(&mut reader, 1..=10).unwrap().last.seq, 3);
        assert!(page(&mut reader, 4..=10).is_none());
        let room = Name::parse(b"a").unwrap();
        let epoch = reader.outlet.epoch.load(Ordering::SeqCst);
        for (after, floor) in [(0, 0), (2, 2), (3, 6), (5, 6), (7, 7), (8, 10), (10, 10), (11, 0)] {
            let after = Position { epoch, seq: after };
            let start = reader.read(|texts| texts.resolve(&room, Resume::After(after))).unwrap();
            assert_eq!(start, Start { epoch, floor, asked: Asked::After(after.seq) });
        }
    }
}
