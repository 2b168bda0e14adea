//! Texts are given to Redis: those of many rooms with one call of a script, for what a call costs is
//! paid once.

use ::redis::Value;

use super::Writer;
use super::astray::Astray;
use crate::server::chat::batch::Publisher;
use crate::server::redis::entry::Entries;
use crate::server::redis::link::{Commands, Link, Script, Trouble, number, parts, text};
use crate::wire::position::Position;
use crate::wire::protocol::{Name, Stamp};

/// So that a call does not hold up the other servers for long.
pub(super) const ROOMS_OF_A_CALL: usize = 32;

impl Writer {
    /// Adds a call that keeps what was taken out to be given to Redis in these rooms.
    pub(super) fn ask_to_keep(&self, names: &[Name], link: &Link, commands: &mut Commands) {
        let (presence, target) = (&self.presence, &self.presence.target);
        let key = |name| target.key(name);
        let mut keys = vec![key("state"), key("ends"), presence.record(), key("news")];
        keys.extend(names.iter().map(|name| target.stream(name.as_str())));
        let mut words = vec![presence.epoch.to_string(), link.run.clone(), presence.name.clone()];
        words.extend(names.iter().map(|name| name.as_str().to_owned()));
        let mut words: Vec<_> = words.into_iter().map(String::into_bytes).collect();
        for followed in names.iter().filter_map(|name| self.rooms.get(name)) {
            let Some(sent) = &followed.sent else { continue };
            let have = followed.position.map_or("-1".into(), |position| position.seq.to_string());
            words.extend([
                sent.number.to_string().into_bytes(),
                sent.texts().to_string().into_bytes(),
                sent.lines(),
                have.into_bytes(),
                followed.after().to_string().into_bytes(),
            ]);
        }
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let words: Vec<_> = words.iter().map(Vec::as_slice).collect();
        commands.call(link, Script::Append, &keys, &words);
    }

    /// What became of that.
    pub(super) fn appended(
        &mut self,
        names: &[Name],
        reply: Result<Value, Trouble>,
        link: &mut Link,
    ) -> Result<(), Option<Astray>> {
        let mut done = Ok(());
        match reply {
            Ok(Value::Array(mut replies)) if replies.len() >= names.len() => {
                if let Some(why) = replies.drain(names.len()..).next() {
                    let why = Trouble::refused(&text(why));
                    self.refusals.warn(format_args!("the other servers are not told: {why}"));
                }
                for (name, reply) in names.iter().zip(replies) {
                    done = self.room_appended(name, reply, link).and(done);
                }
            }
            Ok(word) => {
                self.presence.has_lost |= text(word) == "lost";
                for name in names {
                    done = self.elsewhere(name);
                }
            }
            Err(trouble) => {
                for name in names {
                    done = self.refused(name, &trouble).and(done);
                }
            }
        }
        done
    }

    fn room_appended(
        &mut self,
        name: &Name,
        reply: Value,
        link: &mut Link,
    ) -> Result<(), Option<Astray>> {
        let mut reply = parts(reply).into_iter();
        let mut next = || reply.next().unwrap_or_default();
        match &*text(next()) {
            "kept" => {}
            "used" => {
                let reason = "it is not known whether this text is kept".into();
                if let Some(followed) = self.rooms.get_mut(name) {
                    followed.refuse_sent(&reason, &self.effects);
                }
                return Ok(());
            }
            "refused" => return self.refused(name, &Trouble::refused(&text(next()))),
            word => {
                self.presence.has_lost |= word == "lost";
                return self.elsewhere(name);
            }
        }
        let (first, time, total) = (number(next()), number(next()), number(next()));
        let missing = Entries::read(next());
        self.presence.total = self.presence.total.max(total);
        self.publish(name, missing)?;
        self.catch_up(name, first - 1, link)?;
        let position = Position { epoch: self.presence.epoch, seq: first };
        let Some(followed) = self.rooms.get_mut(name) else { return Ok(()) };
        followed.is_touched = true;
        let (tally, budget) = (&*self.outlet.tally, &self.outlet.budget);
        let publisher = &mut Publisher { here: None, effects: &self.effects, tally, budget };
        followed.publish_sent(Stamp { position, time }, publisher);
        Ok(())
    }

    /// The texts of a room were not kept this time, and the epoch has to be found out.
    fn elsewhere(&mut self, name: &Name) -> Result<(), Option<Astray>> {
        if let Some(followed) = self.rooms.get_mut(name) {
            followed.take_back();
        }
        Err(Some(Astray::Elsewhere))
    }

    /// Redis has refused the texts of a room.
    fn refused(&mut self, name: &Name, trouble: &Trouble) -> Result<(), Option<Astray>> {
        let astray = || Err(Some(Astray::Broken(trouble.clone())));
        let followed = self.rooms.get_mut(name);
        if !trouble.is_lasting() {
            if let (Some(followed), true) = (followed, trouble.is_final()) {
                followed.take_back();
            }
            return astray();
        }
        let address = &self.presence.target.address;
        self.refusals.warn(format_args!("Redis at {address} keeps nothing: {trouble}"));
        let Some(followed) = followed else { return Ok(()) };
        // What it was given before may be kept, or be kept yet; those who have nothing there need not
        // wait for that.
        if followed.sent.as_ref().is_some_and(|sent| sent.is_in_doubt) {
            followed.refuse_texts(trouble, &self.effects);
            self.postpone(name);
        } else {
            followed.refuse_sent(&format!("not kept: {trouble}").into(), &self.effects);
        }
        // Another one may have taken over.
        if matches!(trouble, Trouble::Refused(words) if words.starts_with("READONLY")) {
            return astray();
        }
        Ok(())
    }
}
