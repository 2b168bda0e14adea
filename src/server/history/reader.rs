//! Gives texts back: one thread with a connection of its own.
//!
//! Reads a page at a time and no transaction across pages, so that one who takes long holds up
//! neither the others nor what writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::HistoryError;
use super::outlet::Outlet;
use super::store::connect_to_read;
use crate::server::chat::effects::Effect;
use crate::server::chat::id::SessionId;
use crate::server::chat::replay::{Asked, Page, PageRequest, Start};
use crate::system::rate_limited::Warning;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::{Delivery, Name, Reply, Stamp};

/// Bytes of a page.
const PAGE: usize = 64 * 1024;

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
    connection: Connection,
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
        let connection = connect_to_read(path)
            .map_err(|source| HistoryError::Database { path: path.to_owned(), source })?;
        Ok(Reader { connection, outlet, failures: Warning::default() })
    }

    /// Does what is wanted until nobody can want anything any more.
    pub(super) fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Resolve(room, resume, session) => {
                    let start = self.resolve(&room, resume).map_err(|error| {
                        self.failures.warn(format_args!("cannot read the history: {error}"));
                        "the history cannot be read".into()
                    });
                    self.outlet.carry_out(Effect::Opened(session, start));
                }
                Job::Page(request) => {
                    let page = self.page(&request).unwrap_or_else(|error| {
                        self.failures.warn(format_args!("cannot read the history: {error}"));
                        None
                    });
                    self.outlet.carry_out(Effect::Page(request.session, request.number, page));
                }
            }
        }
    }

    fn epoch(&self) -> u64 {
        self.outlet.epoch.load(Ordering::SeqCst)
    }

    /// From where a receiver can have a room's texts.
    fn resolve(&self, room: &Name, resume: Resume) -> rusqlite::Result<Start> {
        // At one moment: texts may come meanwhile.
        let sql = "SELECT coalesce((SELECT min(seq) - 1 FROM texts WHERE room = ?1),
                                   (SELECT last FROM rooms WHERE room = ?1), 0)";
        let mut floor = self.connection.prepare_cached(sql)?;
        let floor = floor.query_row([room.as_str()], |row| row.get::<_, i64>(0))? as u64;
        let asked = match resume {
            Resume::Last(count) => Asked::Last(count),
            Resume::After(Position { epoch, seq }) if epoch == self.epoch() => Asked::After(seq),
            Resume::After(Position { epoch, seq }) => match self.end_of(epoch, room)? {
                Some(end) => Asked::After(seq.min(end)),
                None => Asked::First,
            },
        };
        Ok(Start { floor, asked })
    }

    /// Where an earlier epoch has ended in a room; `None` if there was no such epoch.
    fn end_of(&self, epoch: u64, room: &Name) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT coalesce((SELECT last FROM ends WHERE epoch = ?1 AND room = ?2), 0) \
                   FROM epochs WHERE epoch = ?1";
        let mut end = self.connection.prepare_cached(sql)?;
        let end = end.query_row(params![epoch as i64, room.as_str()], |row| row.get::<_, i64>(0));
        Ok(end.optional()?.map(|end| end as u64))
    }

    /// Texts of a room; `None` if the first of them is not there.
    fn page(&self, request: &PageRequest) -> rusqlite::Result<Option<Page>> {
        let (first, up_to) = (*request.seqs.start(), *request.seqs.end());
        let sql = "SELECT seq, time, sender, text FROM texts \
                   WHERE room = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq";
        let mut texts = self.connection.prepare_cached(sql)?;
        let room = request.room.as_str();
        let mut rows = texts.query(params![room, first as i64, up_to as i64])?;
        let mut page = Page { lines: Vec::new(), last: first.wrapping_sub(1) };
        while let Some(row) = rows.next()?
            && page.lines.len() < PAGE
        {
            let seq: i64 = row.get(0)?;
            if seq as u64 != page.last.wrapping_add(1) {
                break;
            }
            self.append(row, request, &mut page)?;
        }
        let count = page.last.wrapping_add(1).wrapping_sub(first);
        self.outlet.tally.deliveries.fetch_add(count, Ordering::Relaxed);
        Ok(Some(page).filter(|page| !page.lines.is_empty()))
    }

    fn append(
        &self,
        row: &Row<'_>,
        request: &PageRequest,
        page: &mut Page,
    ) -> rusqlite::Result<()> {
        page.last = page.last.wrapping_add(1);
        let sender = row.get_ref(2)?.as_bytes().unwrap_or_default();
        let text = row.get_ref(3)?.as_bytes().unwrap_or_default();
        let delivery = Delivery { room: request.room.as_str().as_bytes(), sender, text };
        // Somebody may have changed it by hand.
        let is_sound = !sender.contains(&b':') && ![sender, text].concat().contains(&b'\n');
        let delivery =
            if is_sound { delivery } else { Delivery { sender: b"0", text: b"", ..delivery } };
        let reply = if request.records {
            let position = Position { epoch: self.epoch(), seq: page.last };
            let time = row.get::<_, i64>(1)?.max(0) as u64;
            Reply::Record(Stamp { position, time }, delivery)
        } else {
            Reply::Delivery(delivery)
        };
        reply.encode(&mut page.lines);
        Ok(())
    }
}
