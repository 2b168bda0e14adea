//! One turn of the writer: all that waits goes out together, and what comes back is published.

use std::sync::Arc;

use ::redis::Value;

use super::{ROOMS, Writer, seq_of_end};
use crate::server::chat::batch::Publisher;
use crate::server::chat::effects::Effect;
use crate::server::chat::replay::{Asked, Start};
use crate::server::redis::entry::Entry;
use crate::server::redis::link::{Commands, Link, Script, Trouble, number, parts, text};
use crate::wire::position::{Position, Resume};
use crate::wire::protocol::{Name, Stamp};

/// Entries that are fetched at a time.
const ENTRIES: usize = 64;

/// What Redis is asked in a turn.
#[derive(Clone, Copy)]
enum Question {
    /// Keep texts.
    Append,
    /// What is there after what was published?
    Fetch,
    /// What is there for a receiver?
    Open,
}

/// A reply that leads elsewhere.
enum Astray {
    /// The connection is of no use any more.
    Broken(Trouble),
    /// The epoch has to be found out.
    Elsewhere,
}

impl From<Trouble> for Astray {
    fn from(trouble: Trouble) -> Self {
        Astray::Broken(trouble)
    }
}

impl Writer {
    /// Asks what is to be asked, and does what the replies say.
    pub(super) fn turn(&mut self) {
        let Some(mut link) = self.presence.link.take() else { return };
        let (commands, questions) = self.questions(&link);
        if questions.is_empty() {
            self.presence.link = Some(link);
            return;
        }
        let mut replies = Vec::with_capacity(questions.len());
        let asked = link.ask(commands, |_, reply| replies.push(reply));
        let mut astray = None;
        let mut replies = replies.into_iter();
        for (question, name) in &questions {
            let done = match (replies.next(), question) {
                (None, _) => Err(None),
                (Some(reply), Question::Append) => self.appended(name, reply, &mut link),
                (Some(reply), Question::Fetch) => self.fetched(name, reply),
                (Some(reply), Question::Open) => self.opened(name, reply, &mut link),
            }
            .map_err(|new| astray = new.or(astray.take()));
            let has_more = self.rooms.get(name).is_some_and(|room| {
                room.is_behind() || !room.waiting.is_empty() || !room.opens.is_empty()
            });
            if done.is_err() || has_more {
                self.set_due(name);
            }
        }
        match (asked, astray) {
            (Err(trouble), _) | (Ok(()), Some(Astray::Broken(trouble))) => self.lose(&trouble),
            (Ok(()), Some(Astray::Elsewhere)) => {
                self.presence.link = Some(link);
                self.arrive_again();
            }
            (Ok(()), None) => self.presence.link = Some(link),
        }
    }

    /// What there is to ask, and which room it is about.
    fn questions(&mut self, link: &Link) -> (Commands, Vec<(Question, Name)>) {
        let (mut commands, mut questions) = (Commands::default(), Vec::new());
        let count = self.due.len().min(ROOMS);
        for name in self.due.drain(..count) {
            let Some(followed) = self.rooms.get_mut(&name) else { continue };
            followed.is_due = false;
            let target = &self.presence.target;
            let stream = target.stream(name.as_str());
            let have = followed.position.map_or("-1".into(), |position| position.seq.to_string());
            let (epoch, after) = (self.presence.epoch.to_string(), followed.after().to_string());
            if let Some(sent) = followed.send_next(&mut self.number) {
                let (number, texts) = (sent.number.to_string(), sent.texts().to_string());
                let keys = ["state", "ends"].map(|key| target.key(key));
                let (record, news) = (self.presence.record(), target.key("news"));
                let keys = [&*keys[0], &*keys[1], &record, &stream, &news];
                let words = [&*epoch, &link.run, name.as_str(), &number, &texts];
                let mut words = words.map(str::as_bytes).to_vec();
                let lines = sent.lines();
                words.extend([&*lines, have.as_bytes(), after.as_bytes()]);
                commands.call(link, Script::Append, &keys, &words);
                questions.push((Question::Append, name.clone()));
            } else if followed.is_behind() {
                commands.add(&fetch(&stream, &format!("({after}"), "+"));
                questions.push((Question::Fetch, name.clone()));
            }
            if let Some((_, resume, _)) = followed.opens.front() {
                let earlier = match resume {
                    Some(Resume::After(position)) => position.epoch.to_string(),
                    _ => String::new(),
                };
                let keys = ["ends", "epochs"].map(|key| target.key(key));
                let words = [name.as_str().as_bytes(), earlier.as_bytes()];
                commands.call(link, Script::Open, &[&keys[0], &stream, &keys[1]], &words);
                questions.push((Question::Open, name));
            }
        }
        (commands, questions)
    }

    fn appended(
        &mut self,
        name: &Name,
        reply: Result<Value, Trouble>,
        link: &mut Link,
    ) -> Result<(), Option<Astray>> {
        let value = match reply {
            Ok(value) => value,
            Err(trouble) => return self.refused(name, trouble),
        };
        let mut reply = parts(value).into_iter();
        let mut next = || reply.next().unwrap_or_default();
        let word = text(next());
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        match &*word {
            "kept" => {}
            "used" => {
                let reason = "it is not known whether this text is kept".into();
                followed.refuse_sent(&reason, &self.effects);
                return Ok(());
            }
            word => {
                followed.take_back();
                self.presence.has_lost |= word == "lost";
                return Err(Some(Astray::Elsewhere));
            }
        }
        let (first, time, total) = (number(next()), number(next()), number(next()));
        let missing = Entry::read_all(next());
        followed.is_touched = true;
        self.presence.total = self.presence.total.max(total);
        self.publish(name, missing)?;
        self.catch_up(name, first - 1, link)?;
        let position = Position { epoch: self.presence.epoch, seq: first };
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        let (tally, budget) = (&*self.outlet.tally, &self.outlet.budget);
        let publisher = &mut Publisher { here: None, effects: &self.effects, tally, budget };
        followed.publish_sent(Stamp { position, time }, publisher);
        Ok(())
    }

    /// Redis has refused texts.
    fn refused(&mut self, name: &Name, trouble: Trouble) -> Result<(), Option<Astray>> {
        let Trouble::Refused(words) = &trouble else {
            return Err(Some(trouble.into()));
        };
        if !trouble.is_final() {
            return Err(Some(trouble.into()));
        }
        let address = &self.presence.target.address;
        self.refusals.warn(format_args!("Redis at {address} keeps nothing: {words}"));
        if let Some(followed) = self.rooms.get_mut(name) {
            followed.refuse_sent(&format!("not kept: {trouble}").into(), &self.effects);
        }
        // Another one may have taken over.
        if words.starts_with("READONLY") || words.starts_with("MASTERDOWN") {
            return Err(Some(trouble.into()));
        }
        Ok(())
    }

    fn fetched(
        &mut self,
        name: &Name,
        reply: Result<Value, Trouble>,
    ) -> Result<(), Option<Astray>> {
        let entries = Entry::read_all(reply.map_err(|trouble| Some(trouble.into()))?);
        if let Some(followed) = self.rooms.get_mut(name)
            && entries.len() < ENTRIES
        {
            followed.heard = 0;
        }
        self.publish(name, entries)
    }

    fn publish(&mut self, name: &Name, entries: Vec<Entry>) -> Result<(), Option<Astray>> {
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        let (tally, budget) = (&*self.outlet.tally, &self.outlet.budget);
        let publisher = &mut Publisher { here: None, effects: &self.effects, tally, budget };
        for entry in entries {
            self.presence.total = self.presence.total.max(entry.total);
            if followed.publish(entry, publisher).is_err() {
                return Err(Some(Astray::Elsewhere));
            }
        }
        Ok(())
    }

    /// Publishes what is there up to that SEQ, if the room is followed.
    fn catch_up(&mut self, name: &Name, up_to: u64, link: &mut Link) -> Result<(), Option<Astray>> {
        loop {
            let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
            if followed.position.is_none_or(|position| position.seq >= up_to) {
                return Ok(());
            }
            let stream = self.presence.target.stream(name.as_str());
            let epoch = self.presence.epoch.to_string();
            let mut commands = Commands::default();
            let after = format!("({}", followed.after());
            commands.add(&fetch(&stream, &after, &format!("{epoch}-{up_to}")));
            let reply = link.ask_one(commands).map_err(|trouble| Some(trouble.into()))?;
            let entries = Entry::read_all(reply);
            if entries.is_empty() {
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
            Err(trouble) if trouble.is_final() => {
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
        let epoch = self.presence.epoch;
        let seq = seq_of_end(&end);
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        if end.split('-').next().and_then(|one| one.parse().ok()).unwrap_or(0) > epoch {
            return Err(Some(Astray::Elsewhere));
        }
        let position = *followed.position.get_or_insert(Position { epoch, seq });
        if let Some(room) = followed.room() {
            room.set_published(position);
        }
        self.catch_up(name, seq, link)?;
        let kept = first.parse().map_or(seq, |first: u64| first.saturating_sub(1));
        let most = self.presence.keep.texts.map_or(0, |most| seq.saturating_sub(most as u64));
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        let Some((_, resume, session)) = followed.opens.pop_front() else { return Ok(()) };
        let asked = match resume {
            None => Asked::Now,
            Some(Resume::Last(count)) => Asked::Last(count),
            Some(Resume::After(position)) if position.epoch == epoch => Asked::After(position.seq),
            Some(Resume::After(position)) if is_known => {
                Asked::After(position.seq.min(seq_of_end(&ended)))
            }
            Some(Resume::After(_)) => Asked::First,
        };
        let start = Start { epoch, floor: kept.max(most), asked };
        self.effects.add(Effect::Opened(session, Ok(start)));
        Ok(())
    }
}

/// The command that fetches entries.
fn fetch<'a>(stream: &'a str, after: &'a str, up_to: &'a str) -> [&'a [u8]; 6] {
    let words = ["XRANGE", stream, after, up_to, "COUNT", "64"];
    words.map(str::as_bytes)
}
