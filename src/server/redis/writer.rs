//! The thread that gives texts to Redis, fetches those of other servers, and publishes both.
//!
//! All that waits goes out together, one entry for each room; when the replies are there, it is
//! published, each room in the order of its stream. Nobody else publishes, so there is no other order.
//! What has had no reply is in doubt. It is given to Redis again, under the same number, until there is
//! one.

mod appends;
mod astray;
mod turn;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use log::warn;

use super::link::{Commands, Link, Script, Trouble, parts, text};
use super::presence::{Arrival, Presence};
use super::room::Followed;
use super::status::Status;
use super::want::Want;
use crate::server::chat::effects::{Effect, Effects};
use crate::server::chat::log::STOPS;
use crate::server::outlet::Outlet;
use crate::system::rate_limited::Warning;
use crate::wire::position::Position;
use crate::wire::protocol::Name;

/// Between two attempts to reach Redis.
const RETRY: Duration = Duration::from_millis(100);

/// How often to let go of old texts.
const TRIM: Duration = Duration::from_secs(1);

/// How often to tell the others that this server is there.
const BEAT: Duration = Duration::from_secs(5);

/// Wants that are taken in before something is done.
const WANTS: usize = 4096;

/// Rooms that one question to Redis is about.
const ROOMS: usize = 500;

/// The thread that gives texts to Redis.
#[derive(Debug)]
pub(super) struct Writer {
    presence: Presence,
    /// Redis may be away so long before texts are refused.
    timeout: Duration,
    outlet: Arc<Outlet>,
    status: Arc<Status>,
    wants: mpsc::Receiver<Want>,
    effects: Effects,
    effected: mpsc::Receiver<Effect>,
    rooms: HashMap<Name, Followed>,
    /// Rooms for which something is to be done.
    due: VecDeque<Name>,
    /// The number of the last entry that was given to Redis.
    number: u64,
    away: Option<Away>,
    refusals: Warning,
    finish: Option<(Instant, mpsc::Sender<()>)>,
    trimmed: Instant,
    beaten: Instant,
    /// How far the look through all rooms for old texts is.
    cursor: String,
}

/// Redis is away.
#[derive(Debug)]
struct Away {
    since: Instant,
    reason: String,
    /// What is said is refused.
    is_long: bool,
}

impl Writer {
    /// One that has arrived.
    pub(super) fn new(
        presence: Presence,
        timeout: Duration,
        outlet: Arc<Outlet>,
        status: Arc<Status>,
        wants: mpsc::Receiver<Want>,
    ) -> Self {
        let (effects, effected) = Effects::new();
        let now = Instant::now();
        outlet.epoch.store(presence.epoch, std::sync::atomic::Ordering::SeqCst);
        Writer {
            presence,
            timeout,
            outlet,
            status,
            wants,
            effects,
            effected,
            rooms: HashMap::new(),
            due: VecDeque::new(),
            number: 0,
            away: None,
            refusals: Warning::default(),
            finish: None,
            trimmed: now,
            beaten: now,
            cursor: "0".into(),
        }
    }

    /// Does what is wanted until it is to finish.
    pub(super) fn run(mut self) {
        loop {
            self.take_wants();
            self.refuse_if_long();
            if self.away.is_some() {
                self.try_to_return();
            }
            if self.away.is_none() {
                self.turn();
            }
            if self.away.is_none() {
                self.look_after();
            }
            self.refuse_if_long();
            let is_over = self.is_over();
            self.effected.try_iter().for_each(|effect| self.outlet.carry_out(effect));
            if is_over {
                return self.end();
            }
        }
    }

    /// Takes what is wanted, and waits for that if there is nothing to do.
    fn take_wants(&mut self) {
        let wait = match (&self.away, self.due.is_empty()) {
            (Some(_), _) => RETRY,
            (None, true) if self.finish.is_some() => RETRY,
            (None, true) => TRIM,
            (None, false) => Duration::ZERO,
        };
        match self.wants.recv_timeout(wait) {
            Ok(want) => self.take(want),
            Err(mpsc::RecvTimeoutError::Timeout) => return,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let (done, _) = mpsc::channel();
                self.finish.get_or_insert((Instant::now(), done));
                return;
            }
        }
        for _ in 1..WANTS {
            let Ok(want) = self.wants.try_recv() else { return };
            self.take(want);
        }
    }

    fn take(&mut self, want: Want) {
        match want {
            Want::Keep(batches) => {
                for batch in batches {
                    let name = batch.room().name().clone();
                    let followed = self.rooms.entry(name.clone()).or_default();
                    followed.follow(batch.room());
                    followed.waiting.push_back(batch);
                    self.set_due(&name);
                }
            }
            Want::Open(open) => {
                let name = open.0.name().clone();
                let followed = self.rooms.entry(name.clone()).or_default();
                followed.follow(&open.0);
                followed.opens.push_back(open);
                self.set_due(&name);
            }
            Want::Heard(news) => news.iter().for_each(|(name, seq)| self.hear(name, *seq)),
            Want::Look => self.rooms.keys().cloned().collect::<Vec<_>>().iter().for_each(|name| {
                self.hear(name, u64::MAX);
            }),
            Want::Arrive => self.arrive_again(),
            Want::Finish(until, done) => self.finish = Some((until, done)),
        }
    }

    fn hear(&mut self, name: &Name, seq: u64) {
        if let Some(followed) = self.rooms.get_mut(name) {
            followed.heard = followed.heard.max(seq);
            if followed.is_behind() {
                self.set_due(name);
            }
        }
    }

    fn set_due(&mut self, name: &Name) {
        if let Some(followed) = self.rooms.get_mut(name)
            && !followed.is_due
        {
            followed.is_due = true;
            self.due.push_back(name.clone());
        }
    }

    /// Redis does not do what it should: it has to be reached anew.
    fn lose(&mut self, trouble: &Trouble) {
        self.presence.link = None;
        self.rooms.values_mut().for_each(Followed::doubt);
        let reason = trouble.to_string();
        let since = Instant::now();
        let away = self.away.get_or_insert(Away { since, reason: String::new(), is_long: false });
        away.reason = reason;
        self.status.set_away(Some(away.since));
    }

    /// The epoch may be another one.
    fn arrive_again(&mut self) {
        if self.away.is_none() {
            let link = self.presence.link.take();
            self.lose(&Trouble::Silent("another epoch may have begun".into()));
            self.presence.link = link;
            self.try_to_return();
        }
    }

    fn try_to_return(&mut self) {
        if self.presence.is_connecting() {
            return self.note();
        }
        let arrived = match self.presence.arrive() {
            Ok(Arrival::Same) => Ok(()),
            Ok(Arrival::Other(epoch, total)) => self.begin_epoch(epoch, total),
            Ok(Arrival::Early) => return,
            Ok(Arrival::Disagree(theirs)) => {
                Err(Trouble::Silent(format!("the other servers keep {theirs}")))
            }
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = arrived {
            return self.lose(&trouble);
        }
        self.status.set_away(None);
        if let Some(Away { since, is_long: true, .. }) = self.away.take() {
            let address = &self.presence.target.address;
            warn!("Redis at {address} is back after {} s", since.elapsed().as_secs());
        }
        self.take(Want::Look);
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        names.iter().for_each(|name| self.set_due(name));
    }

    /// Something was lost, and the rooms go on after what is left.
    fn begin_epoch(&mut self, epoch: u64, total: u64) -> Result<(), Trouble> {
        let Some(mut link) = self.presence.link.take() else { return Ok(()) };
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        let mut ends = Vec::new();
        for names in names.chunks(ROOMS) {
            let key = self.presence.target.key("ends");
            let mut words: Vec<&[u8]> = vec![b"HMGET", key.as_bytes()];
            words.extend(names.iter().map(|name| name.as_str().as_bytes()));
            let mut commands = Commands::default();
            commands.add(&words);
            ends.extend(parts(link.ask_one(commands)?).into_iter().map(text));
        }
        let reason: Arc<str> =
            "Redis has lost texts: it is not known whether this one is kept".into();
        for (name, end) in names.iter().zip(&ends) {
            let Some(followed) = self.rooms.get_mut(name) else { continue };
            followed.refuse_sent(&reason, &self.effects);
            if followed.position.is_some() {
                followed.is_vague = end.is_empty();
                followed.begin_anew(Position { epoch, seq: begin_of(end, epoch) });
            }
        }
        warn!(
            "Redis at {} does not have all that it has had: a new epoch begins, {epoch}",
            self.presence.target.address
        );
        self.presence.enter(link.run.clone(), epoch, total);
        self.presence.link = Some(link);
        self.outlet.epoch.store(epoch, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }

    /// If Redis has been away for long, refuses what is surely not kept.
    fn refuse_if_long(&mut self) {
        let Some(away) = &mut self.away else { return };
        if away.since.elapsed() < self.timeout {
            return;
        }
        if !away.is_long {
            away.is_long = true;
            warn!(
                "Redis at {} is away: {}; until it is back, what is said is refused",
                self.presence.target.address, away.reason
            );
        }
        let reason = format!("Redis is away: {}", away.reason).into();
        for followed in self.rooms.values_mut() {
            followed.refuse_waiting(&reason, &self.effects);
        }
    }

    /// Now and then: lets old texts go, and tells the others that this server is there.
    fn look_after(&mut self) {
        if self.trimmed.elapsed() < TRIM {
            return;
        }
        self.trimmed = Instant::now();
        self.note();
        let Some(mut link) = self.presence.link.take() else { return };
        match self.look_after_over(&mut link) {
            Ok(()) => self.presence.link = Some(link),
            Err(trouble) => self.lose(&trouble),
        }
    }

    fn look_after_over(&mut self, link: &mut Link) -> Result<(), Trouble> {
        let touched = self.rooms.iter_mut().filter(|(_, followed)| followed.is_touched);
        let mut names: Vec<_> = touched
            .map(|(name, followed)| {
                followed.is_touched = false;
                name.as_str().to_owned()
            })
            .collect();
        if self.presence.keep.days.is_some() {
            names.extend(self.some_rooms(link)?);
        }
        let target = &self.presence.target;
        let keep = |most: Option<usize>| most.unwrap_or(0).to_string();
        let (texts, days) = (keep(self.presence.keep.texts), keep(self.presence.keep.days));
        let mut commands = Commands::default();
        for name in &names {
            let (ends, stream) = (target.key("ends"), target.stream(name));
            let words = [name.as_bytes(), texts.as_bytes(), days.as_bytes()];
            commands.call(link, Script::Trim, &[&ends, &stream], &words);
        }
        if self.beaten.elapsed() >= BEAT {
            self.beaten = Instant::now();
            self.rooms.retain(|_, followed| followed.is_due || !followed.is_over());
            let (servers, record) = (target.key("servers"), self.presence.record());
            let name = self.presence.name.as_bytes();
            commands.call(link, Script::Beat, &[&servers, &record], &[name]);
        }
        if commands.is_empty() {
            return Ok(());
        }
        // If it refuses, texts are kept for longer.
        link.ask(commands, |_, _| {})
    }

    /// Some rooms after those of the last time.
    fn some_rooms(&mut self, link: &mut Link) -> Result<Vec<String>, Trouble> {
        let ends = self.presence.target.key("ends");
        let mut commands = Commands::default();
        let cursor = self.cursor.as_bytes();
        commands.add(&[b"HSCAN", ends.as_bytes(), cursor, b"COUNT", b"100"]);
        let Ok(reply) = link.ask_one(commands) else { return Ok(Vec::new()) };
        let mut reply = parts(reply).into_iter();
        self.cursor = reply.next().map_or("0".into(), text);
        let rooms = reply.next().map(parts).unwrap_or_default();
        Ok(rooms.into_iter().step_by(2).map(text).collect())
    }

    fn note(&self) {
        let waiting = self.rooms.values().map(Followed::texts).sum();
        self.status.set(self.rooms.len() as u64, waiting);
    }

    /// It was to finish, and has, or has no more time. Then what is surely not kept is refused.
    fn is_over(&mut self) -> bool {
        let Some((until, _)) = self.finish else { return false };
        if self.rooms.values().all(|room| room.texts() == 0 && room.opens.is_empty()) {
            return true;
        }
        if Instant::now() < until {
            return false;
        }
        let reason = STOPS.into();
        for followed in self.rooms.values_mut() {
            followed.refuse_waiting(&reason, &self.effects);
        }
        true
    }

    /// The others need not wait for this server.
    fn end(mut self) {
        if let Some(mut link) = self.presence.link.take() {
            let servers = self.presence.target.key("servers");
            let mut commands = Commands::default();
            commands.add(&[b"HDEL", servers.as_bytes(), self.presence.name.as_bytes()]);
            let _ = link.ask_one(commands);
        }
        if let Some((_, done)) = self.finish {
            let _ = done.send(());
        }
    }
}

/// The SEQ in `EPOCH-SEQ BEGIN`; 0 if there is none.
fn seq_of_end(end: &str) -> u64 {
    let id = end.split(' ').next().unwrap_or_default();
    Position::parse(id.as_bytes()).map_or(0, |position| position.seq)
}

/// Where that epoch began in a room, out of `EPOCH-SEQ BEGIN`: something may have been said since.
fn begin_of(end: &str, epoch: u64) -> u64 {
    let is_new = end.split('-').next().and_then(|one| one.parse().ok()) == Some(epoch);
    let begin = end.split(' ').nth(1).and_then(|begin| begin.parse().ok());
    begin.filter(|_| is_new).unwrap_or_else(|| seq_of_end(end))
}
