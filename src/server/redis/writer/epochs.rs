//! A new epoch: texts were lost, and the rooms go on after what is left.
//!
//! A server that was cut off may have missed more than one. Where the last began in a room is among the
//! ends; where one between began, its first entry in the stream says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{ROOMS, Writer, seq_of_end};
use crate::server::redis::entry::Entry;
use crate::server::redis::link::{Commands, Link, Trouble, parts, text};
use crate::wire::position::Position;
use crate::wire::protocol::Name;

/// Rooms whose entries are looked at together: each may be large.
const STREAMS: usize = 50;

impl Writer {
    /// Something was lost, and the rooms go on after what is left.
    pub(super) fn begin_epoch(&mut self, epoch: u64, total: u64) -> Result<(), Trouble> {
        let Some(mut link) = self.presence.link.take() else { return Ok(()) };
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        let ends = self.ends(&names, &mut link)?;
        let mut between = Vec::new();
        for names in names.chunks(STREAMS) {
            between.extend(self.begun_between(names, epoch, &mut link)?);
        }
        let reason: Arc<str> =
            "Redis has lost texts: it is not known whether this one is kept".into();
        for ((name, end), between) in names.iter().zip(&ends).zip(&between) {
            let Some(followed) = self.rooms.get_mut(name) else { continue };
            followed.refuse_sent(&reason, &self.effects);
            if followed.position.is_some() {
                followed.is_vague = end.is_empty();
                followed.begin_anew(Position { epoch, seq: begin_of(end, epoch) }, between);
            }
        }
        self.presence.warn_of(epoch);
        self.presence.enter(link.run.clone(), epoch, total);
        self.presence.link = Some(link);
        self.outlet.epoch.store(epoch, Ordering::SeqCst);
        Ok(())
    }

    /// What is among the ends of these rooms.
    fn ends(&self, names: &[Name], link: &mut Link) -> Result<Vec<String>, Trouble> {
        let mut ends = Vec::new();
        for names in names.chunks(ROOMS) {
            let key = self.presence.target.key("ends");
            let mut words: Vec<&[u8]> = vec![b"HMGET", key.as_bytes()];
            words.extend(names.iter().map(|name| name.as_str().as_bytes()));
            let mut commands = Commands::default();
            commands.add(&words);
            ends.extend(parts(link.ask_one(commands)?).into_iter().map(text));
        }
        Ok(ends)
    }

    /// For each of these rooms, where each epoch between the one that this server knows and that one
    /// has begun, as far as something of it is there.
    fn begun_between(
        &self,
        names: &[Name],
        epoch: u64,
        link: &mut Link,
    ) -> Result<Vec<Vec<Position>>, Trouble> {
        let mut begun = vec![Vec::new(); names.len()];
        let mut asked: Vec<_> = (0..names.len()).map(|room| (room, self.presence.epoch)).collect();
        while !asked.is_empty() {
            let mut commands = Commands::default();
            for &(room, after) in &asked {
                let stream = self.presence.target.stream(names[room].as_str());
                let (from, until) = (format!("{}-0", after + 1), format!("({epoch}-0"));
                let words = ["XRANGE", &stream, &from, &until, "COUNT", "1"];
                commands.add(&words.map(str::as_bytes));
            }
            let mut more = Vec::new();
            // A room that is refused is not read later, either.
            link.ask(commands, |place, reply| {
                let room = asked[place].0;
                if let Some(entry) = Entry::read_all(reply.unwrap_or_default()).first() {
                    let epoch = entry.last.epoch;
                    begun[room].push(Position { epoch, seq: entry.first - 1 });
                    more.push((room, epoch));
                }
            })?;
            asked = more;
        }
        Ok(begun)
    }
}

/// Where that epoch began in a room, out of `EPOCH-SEQ BEGIN`: something may have been said since.
fn begin_of(end: &str, epoch: u64) -> u64 {
    let is_new = end.split('-').next().and_then(|one| one.parse().ok()) == Some(epoch);
    let begin = end.split(' ').nth(1).and_then(|begin| begin.parse().ok());
    begin.filter(|_| is_new).unwrap_or_else(|| seq_of_end(end))
}
