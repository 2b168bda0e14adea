//! What is done now and then: old texts go, the others hear that this server is there, and the report
//! is brought up to date.

use std::time::{Duration, Instant};

use super::{UPKEEP, Writer};
use crate::server::redis::link::{Commands, Link, Script, Trouble, parts, text};
use crate::server::redis::room::Followed;
use crate::server::redis::want::Want;

/// How often to tell the others that this server is there.
const BEAT: Duration = Duration::from_secs(5);

/// Between two looks through all rooms for old texts.
const WALK: Duration = Duration::from_secs(10);

impl Writer {
    /// Does what is due.
    pub(super) fn look_after(&mut self) {
        if self.looked_after.elapsed() < UPKEEP {
            return;
        }
        self.looked_after = Instant::now();
        self.note();
        let Some(mut link) = self.presence.link.take() else { return };
        match self.look_after_over(&mut link) {
            Ok(()) => self.presence.link = Some(link),
            Err(trouble) => self.lose(&trouble),
        }
    }

    fn look_after_over(&mut self, link: &mut Link) -> Result<(), Trouble> {
        let mut commands = Commands::default();
        self.trim(link, &mut commands)?;
        if self.beaten.elapsed() >= BEAT {
            self.beaten = Instant::now();
            self.rooms.retain(|_, followed| followed.is_due || !followed.is_over());
            self.beat(link)?;
        }
        if commands.is_empty() {
            return Ok(());
        }
        // If it refuses, texts are kept for longer.
        link.ask(commands, |_, _| {})
    }

    /// Tells the others that this server is there, and looks whether they could not tell something.
    fn beat(&mut self, link: &mut Link) -> Result<(), Trouble> {
        let [servers, state] = ["servers", "state"].map(|key| self.presence.target.key(key));
        let mut commands = Commands::default();
        let name = self.presence.name.as_bytes();
        commands.call(link, Script::Beat, &[&servers, &state], &[name]);
        let mut untold = None;
        link.ask(commands, |_, reply| untold = reply.ok().map(text))?;
        if let Some(untold) = untold.filter(|untold| *untold != self.untold) {
            self.untold = untold;
            self.take(Want::Look);
        }
        Ok(())
    }

    /// Asks for what is too much, or too old, to go.
    fn trim(&mut self, link: &mut Link, commands: &mut Commands) -> Result<(), Trouble> {
        let (texts, days) = (self.presence.keep.texts, self.presence.keep.days);
        let may_be_trimmed = |followed: &Followed| {
            let seq = followed.position.map_or(u64::MAX, |position| position.seq);
            days.is_some() || texts.is_some_and(|texts| seq > texts as u64)
        };
        let mut names = Vec::new();
        for (name, followed) in self.rooms.iter_mut().filter(|(_, followed)| followed.is_touched) {
            followed.is_touched = false;
            if may_be_trimmed(followed) {
                names.push(name.as_str().to_owned());
            }
        }
        if days.is_some() {
            names.extend(self.some_rooms(link)?);
        }
        let target = &self.presence.target;
        let keep = |most: Option<usize>| most.unwrap_or(0).to_string();
        let (texts, days) = (keep(texts), keep(days));
        for name in &names {
            let (ends, stream) = (target.key("ends"), target.stream(name));
            let words = [name.as_bytes(), texts.as_bytes(), days.as_bytes()];
            commands.call(link, Script::Trim, &[&ends, &stream], &words);
        }
        Ok(())
    }

    /// Some rooms after those of the last time; none if a look through all has just ended.
    fn some_rooms(&mut self, link: &mut Link) -> Result<Vec<String>, Trouble> {
        if self.walked.is_some_and(|walked| walked.elapsed() < WALK) {
            return Ok(Vec::new());
        }
        let ends = self.presence.target.key("ends");
        let mut commands = Commands::default();
        let cursor = self.cursor.as_bytes();
        commands.add(&[b"HSCAN", ends.as_bytes(), cursor, b"COUNT", b"100"]);
        let Ok(reply) = link.ask_one(commands) else { return Ok(Vec::new()) };
        let mut reply = parts(reply).into_iter();
        self.cursor = reply.next().map_or("0".into(), text);
        self.walked = Some(Instant::now()).filter(|_| self.cursor == "0");
        let rooms = reply.next().map(parts).unwrap_or_default();
        let names = rooms.into_iter().step_by(2).map(text);
        // The mark is none.
        Ok(names.filter(|name| !name.starts_with(':')).collect())
    }

    /// Brings the report up to date.
    pub(super) fn note(&self) {
        let sum = |count: fn(&Followed) -> u64| self.rooms.values().map(count).sum();
        let (waiting, behind) = (sum(Followed::texts), sum(Followed::behind));
        self.status.set(self.rooms.len() as u64, waiting, behind);
    }
}
