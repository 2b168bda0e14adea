//! One turn of the writer: all that waits goes out together, and what comes back is published.

use std::sync::Arc;

use ::redis::Value;

use super::appends::ROOMS_OF_A_CALL;
use super::astray::Astray;
use super::{ROOMS, Writer, seq_of_end};
use crate::server::chat::batch::Publisher;
use crate::server::chat::effects::Effect;
use crate::server::chat::replay::{Asked, Start};
use crate::server::redis::entry::Entries;
use crate::server::redis::link::{Commands, Link, Script, Trouble, parts, text};
use crate::server::redis::room::Open;
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::Name;

/// Entries that are fetched at a time.
const ENTRIES: usize = 64;

/// Of so many rooms; of others a few, for each may be large, and Redis holds what it was asked for.
const ROOMS_FETCHED: usize = 16;
const FEW_ENTRIES: usize = 4;

/// Bytes of a room that its receivers are to have before more comes of others.
const MUCH: usize = 64 * 1024;

/// What Redis is asked in a turn.
enum Question {
    /// Keep texts of these rooms.
    Append(Vec<Name>),
    /// What is there after what was published? So many entries of it.
    Fetch(Name, usize),
    /// What is there for a receiver?
    Open(Name),
}

impl Question {
    /// The rooms that it is about.
    fn rooms(&self) -> &[Name] {
        match self {
            Question::Append(rooms) => rooms,
            Question::Fetch(room, _) | Question::Open(room) => std::slice::from_ref(room),
        }
    }
}

impl Writer {
    /// Asks what is to be asked, and does what the replies say.
    pub(super) fn turn(&mut self) {
        let Some(mut link) = self.presence.link.take() else { return };
        let (commands, questions) = self.questions(&link);
        if questions.is_empty() {
            self.presence.link = Some(link);
            return self.is_back();
        }
        let (mut answered, mut later, mut astray) = (0, Vec::new(), None);
        // What was fetched may be much: it is published as it comes. The rest may need the connection.
        let asked = link.ask(commands, |place, reply| {
            answered = place + 1;
            match &questions[place] {
                question @ Question::Fetch(name, count) => {
                    let done = self.fetched(name, *count, reply);
                    self.settle(question, done, &mut astray);
                }
                question => later.push((question, reply)),
            }
        });
        for (question, reply) in later {
            let done = self.replied(question, reply, &mut link);
            self.settle(question, done, &mut astray);
        }
        for question in &questions[answered..] {
            self.settle(question, Err(None), &mut astray);
        }
        match (asked, astray) {
            (Err(trouble), _) | (Ok(()), Some(Astray::Broken(trouble))) => self.lose(&trouble),
            (Ok(()), Some(Astray::Elsewhere)) => {
                self.presence.link = Some(link);
                self.arrive_again();
            }
            (Ok(()), None) => {
                self.presence.link = Some(link);
                self.is_back();
            }
        }
    }

    fn replied(
        &mut self,
        question: &Question,
        reply: Result<Value, Trouble>,
        link: &mut Link,
    ) -> Result<(), Option<Astray>> {
        match question {
            Question::Append(names) => self.appended(names, reply, link),
            Question::Fetch(name, count) => self.fetched(name, *count, reply),
            Question::Open(name) => self.opened(name, reply, link),
        }
    }

    /// Its rooms are due again if it was not answered, or something of them is left.
    fn settle(
        &mut self,
        question: &Question,
        done: Result<(), Option<Astray>>,
        astray: &mut Option<Astray>,
    ) {
        let done = done.map_err(|new| *astray = new.or(astray.take()));
        for name in question.rooms() {
            let has_more = self.rooms.get(name).is_some_and(|room| {
                room.is_behind() || !room.waiting.is_empty() || !room.opens.is_empty()
            });
            if done.is_err() || has_more {
                self.set_due(name);
            }
        }
    }

    /// What there is to ask.
    fn questions(&mut self, link: &Link) -> (Commands, Vec<Question>) {
        let (mut commands, mut questions) = (Commands::default(), Vec::new());
        let count = self.due.len().min(ROOMS);
        let due: Vec<_> = self.due.drain(..count).collect();
        let (mut keep, mut fetched, target) = (Vec::new(), 0, &self.presence.target);
        for name in &due {
            let Some(followed) = self.rooms.get_mut(name) else { continue };
            followed.is_due = false;
            if followed.send_next(&mut self.number).is_some() {
                keep.push(name.clone());
            } else if followed.is_behind() {
                let (stream, after) = (target.stream(name.as_str()), followed.after());
                let count = if fetched < ROOMS_FETCHED { ENTRIES } else { FEW_ENTRIES };
                fetched += 1;
                commands.add(&fetch(&stream, &format!("({after}"), "+", &count.to_string()));
                questions.push(Question::Fetch(name.clone(), count));
            }
        }
        for names in keep.chunks(ROOMS_OF_A_CALL) {
            self.ask_to_keep(names, link, &mut commands);
            questions.push(Question::Append(names.to_vec()));
        }
        for name in due {
            let Some(open) = self.rooms.get(&name).and_then(|room| room.opens.front()) else {
                continue;
            };
            let earlier = earlier_epoch(open).map_or(String::new(), |epoch| epoch.to_string());
            let stream = target.stream(name.as_str());
            let keys = ["ends", "epochs"].map(|key| target.key(key));
            let words = [name.as_str().as_bytes(), earlier.as_bytes()];
            commands.call(link, Script::Open, &[&keys[0], &stream, &keys[1]], &words);
            questions.push(Question::Open(name));
        }
        (commands, questions)
    }

    fn fetched(
        &mut self,
        name: &Name,
        count: usize,
        reply: Result<Value, Trouble>,
    ) -> Result<(), Option<Astray>> {
        let reply = match reply {
            Ok(reply) => reply,
            Err(trouble) if trouble.is_lasting() => {
                let address = &self.presence.target.address;
                self.refusals.warn(format_args!("Redis at {address} gives nothing: {trouble}"));
                self.postpone(name);
                return Ok(());
            }
            Err(trouble) => return Err(Some(trouble.into())),
        };
        let entries = Entries::read(reply);
        if let Some(followed) = self.rooms.get_mut(name)
            && entries.senseless.is_none()
            && entries.sound.len() < count
        {
            followed.heard = 0;
        }
        let bytes: usize = entries.sound.iter().map(|entry| entry.lines.len()).sum();
        let published = self.publish(name, entries);
        if bytes >= MUCH {
            self.carry_out();
        }
        published
    }

    pub(super) fn publish(&mut self, name: &Name, entries: Entries) -> Result<(), Option<Astray>> {
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        let (tally, budget) = (&*self.outlet.tally, &self.outlet.budget);
        let publisher = &mut Publisher { here: None, effects: &self.effects, tally, budget };
        let (before, read, is_sound) =
            (followed.after(), entries.last(), entries.senseless.is_none());
        for entry in entries.sound {
            self.presence.total = self.presence.total.max(entry.total);
            if followed.publish(entry, publisher).is_err() {
                return Err(Some(Astray::Elsewhere));
            }
        }
        // The same would be read again.
        if let Some(read) = read.filter(|_| !is_sound || followed.after() == before) {
            followed.pass(read, &self.effects);
        }
        if !is_sound {
            let (address, room) = (&self.presence.target.address, name.as_str());
            self.refusals.warn(format_args!(
                "Redis at {address} has something in room {room} that is no text"
            ));
        }
        Ok(())
    }

    /// Publishes what is there up to that SEQ, if the room is followed.
    pub(super) fn catch_up(
        &mut self,
        name: &Name,
        up_to: u64,
        link: &mut Link,
    ) -> Result<(), Option<Astray>> {
        loop {
            let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
            if followed.position.is_none_or(|position| position.seq >= up_to) {
                return Ok(());
            }
            let stream = self.presence.target.stream(name.as_str());
            let epoch = self.presence.epoch.to_string();
            let mut commands = Commands::default();
            let after = format!("({}", followed.after());
            let up_to_it = format!("{epoch}-{up_to}");
            commands.add(&fetch(&stream, &after, &up_to_it, &ENTRIES.to_string()));
            let reply = link.ask_one(commands).map_err(|trouble| Some(trouble.into()))?;
            let entries = Entries::read(reply);
            if entries.last().is_none() {
                followed.overtaken(up_to, &self.effects);
                return Ok(());
            }
            self.publish(name, entries)?;
        }
    }

    /// A receiver can be let in, as soon as its room has all that is there.
    fn opened(
        &mut self,
        name: &Name,
        reply: Result<Value, Trouble>,
        link: &mut Link,
    ) -> Result<(), Option<Astray>> {
        let reply = match reply {
            Ok(reply) => reply,
            Err(trouble) if trouble.is_lasting() => {
                let reason: Arc<str> = format!("{trouble}").into();
                let open = self.rooms.get_mut(name).and_then(|room| room.opens.pop_front());
                if let Some((_, _, session)) = open {
                    self.effects.add(Effect::Opened(session, Err(reason)));
                }
                return Ok(());
            }
            Err(trouble) => return Err(Some(trouble.into())),
        };
        let mut reply = parts(reply).into_iter().map(text);
        let mut next = || reply.next().unwrap_or_default();
        let (end, first, is_known, ended) = (next(), next(), next() == "1", next());
        self.check_ends(&next())?;
        let epoch = self.presence.epoch;
        let seq = seq_of_end(&end);
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        let position = *followed.position.get_or_insert(Position { epoch, seq });
        if let Some(room) = followed.room() {
            room.set_published(position);
        }
        self.catch_up(name, seq, link)?;
        let kept = first.parse().map_or(seq, |first: u64| first.saturating_sub(1));
        let most = self.presence.keep.texts.map_or(0, |most| seq.saturating_sub(most as u64));
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        let earlier = followed.opens.front().and_then(earlier_epoch);
        // The reply is one for all who asked for the same, or for nothing of an earlier epoch.
        while let Some(open) = followed.opens.front()
            && [None, earlier].contains(&earlier_epoch(open))
        {
            let Some((_, resume, session)) = followed.opens.pop_front() else { break };
            let asked = match resume {
                None => Asked::Now,
                Some(Resume::Last(count)) => Asked::Last(count),
                Some(Resume::After(after)) if after.epoch == epoch => Asked::After(after.seq),
                Some(Resume::After(after)) if is_known => {
                    Asked::After(after.seq.min(seq_of_end(&ended)))
                }
                Some(Resume::After(_)) => Asked::First,
            };
            let start = Start { epoch, floor: kept.max(most), asked };
            self.effects.add(Effect::Opened(session, Ok(start)));
        }
        Ok(())
    }

    /// The ends are of that epoch: if of another, somebody has deleted them, or has begun another.
    fn check_ends(&mut self, epoch: &str) -> Result<(), Option<Astray>> {
        if epoch == self.presence.epoch.to_string() {
            return Ok(());
        }
        self.presence.has_lost = true;
        Err(Some(Astray::Elsewhere))
    }
}

/// The epoch of the position that a receiver comes with, if it comes with one.
fn earlier_epoch((_, resume, _): &Open) -> Option<u64> {
    match resume {
        Some(Resume::After(position)) => Some(position.epoch),
        _ => None,
    }
}

/// The command that fetches so many entries.
fn fetch<'a>(stream: &'a str, after: &'a str, up_to: &'a str, count: &'a str) -> [&'a [u8]; 6] {
    ["XRANGE", stream, after, up_to, "COUNT", count].map(str::as_bytes)
}
