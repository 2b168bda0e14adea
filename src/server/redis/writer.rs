//! The thread that gives texts to Redis, fetches those of other servers, and publishes both.
//!
//! All that waits goes out together, one entry for each room; when the replies are there, it is
//! published, each room in the order of its stream. Nobody else publishes, so there is no other order.
//! What has had no reply is in doubt. It is given to Redis again, under the same number, until there is
//! one.

mod appends;
mod astray;
mod epochs;
mod turn;
mod upkeep;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use log::warn;

use super::link::{Commands, Trouble};
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

/// How often to look after what is to be done now and then.
const UPKEEP: Duration = Duration::from_secs(1);

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
    /// More of those, for which that is to be done a little later, and since when they wait.
    postponed: (Vec<Name>, Instant),
    /// The number of the last entry that was given to Redis.
    number: u64,
    away: Option<Away>,
    refusals: Warning,
    finish: Option<(Instant, mpsc::Sender<()>)>,
    looked_after: Instant,
    beaten: Instant,
    /// When the others could last not tell of something.
    untold: String,
    /// When the last look through all rooms for old texts has ended, and how far the one now is.
    walked: Option<Instant>,
    cursor: String,
}

/// Redis is away.
#[derive(Debug)]
struct Away {
    since: Instant,
    reason: String,
    /// It says so itself, and what is said is refused at once.
    is_refusing: bool,
    /// What is said is refused, and the log has said so.
    is_long: bool,
    /// It has let this server in again, and has yet to show that it does more than that.
    has_arrived: bool,
}

impl Away {
    fn now() -> Self {
        let (since, reason) = (Instant::now(), String::new());
        Away { since, reason, is_refusing: false, is_long: false, has_arrived: false }
    }
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
            postponed: (Vec::new(), now),
            number: 0,
            away: None,
            refusals: Warning::default(),
            finish: None,
            looked_after: now,
            beaten: now,
            untold: String::new(),
            walked: None,
            cursor: "0".into(),
        }
    }

    /// Does what is wanted until it is to finish.
    pub(super) fn run(mut self) {
        loop {
            self.take_wants();
            self.refuse_if_long();
            if self.away.as_ref().is_some_and(|away| !away.has_arrived) {
                self.try_to_return();
            }
            if self.away.as_ref().is_none_or(|away| away.has_arrived) {
                self.turn();
            }
            self.carry_out();
            if self.away.is_none() {
                self.look_after();
            }
            self.refuse_if_long();
            let is_over = self.is_over();
            self.carry_out();
            if is_over {
                return self.end();
            }
        }
    }

    fn carry_out(&mut self) {
        self.effected.try_iter().for_each(|effect| self.outlet.carry_out(effect));
    }

    /// Takes what is wanted, and waits for that if there is nothing to do.
    fn take_wants(&mut self) {
        if self.postponed.1.elapsed() >= RETRY {
            self.due.extend(self.postponed.0.drain(..));
        }
        let is_waited_for = self.finish.is_some() || !self.postponed.0.is_empty();
        let wait = match (&self.away, self.due.is_empty()) {
            (Some(Away { has_arrived: false, .. }), _) => RETRY,
            (_, true) if is_waited_for => RETRY,
            (_, true) => UPKEEP,
            (_, false) => Duration::ZERO,
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

    /// Redis refuses something of a room, and is asked for it again a little later.
    fn postpone(&mut self, name: &Name) {
        if let Some(followed) = self.rooms.get_mut(name)
            && !followed.is_due
        {
            followed.is_due = true;
            if self.postponed.0.is_empty() {
                self.postponed.1 = Instant::now();
            }
            self.postponed.0.push(name.clone());
        }
    }

    /// Redis does not do what it should: it has to be reached anew.
    fn lose(&mut self, trouble: &Trouble) {
        self.presence.link = None;
        self.rooms.values_mut().for_each(Followed::doubt);
        let away = self.away.get_or_insert_with(Away::now);
        away.has_arrived = false;
        away.reason = trouble.to_string();
        away.is_refusing = trouble.is_lasting();
        if away.is_refusing {
            let address = &self.presence.target.address;
            self.refusals.warn(format_args!("Redis at {address} keeps nothing: {trouble}"));
        }
        self.status.set_away(Some(away.since));
    }

    /// Redis has answered all that it was asked: if it was away, it is back.
    fn is_back(&mut self) {
        if let Some(away) = self.away.take() {
            self.status.set_away(None);
            if away.is_long {
                let (address, seconds) =
                    (&self.presence.target.address, away.since.elapsed().as_secs());
                warn!("Redis at {address} is back after {seconds} s");
            }
        }
    }

    /// The epoch may be another one.
    fn arrive_again(&mut self) {
        if self.away.as_ref().is_none_or(|away| away.has_arrived) {
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
        if let Some(away) = &mut self.away {
            away.has_arrived = true;
        }
        self.take(Want::Look);
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        names.iter().for_each(|name| self.set_due(name));
    }

    /// If Redis has been away for long, refuses what is surely not kept.
    fn refuse_if_long(&mut self) {
        let Some(away) = &mut self.away else { return };
        let is_long = away.since.elapsed() >= self.timeout;
        if !is_long && !away.is_refusing {
            return;
        }
        if is_long && !away.is_long {
            away.is_long = true;
            warn!(
                "Redis at {} is away: {}; until it is back, what is said is refused",
                self.presence.target.address, away.reason
            );
        }
        let what = if away.is_refusing { "" } else { "Redis is away: " };
        let reason = format!("{what}{}", away.reason).into();
        for followed in self.rooms.values_mut() {
            followed.refuse_waiting(&reason, &self.effects);
        }
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
            // What may yet come of it is not kept without its record.
            commands.add(&[b"DEL", self.presence.record().as_bytes()]);
            let _ = link.ask(commands, |_, _| {});
        }
        if let Some((_, done)) = self.finish {
            let _ = done.send(());
        }
    }
}

/// The SEQ in `EPOCH-SEQ BEGIN`; 0 if there is none.
pub(super) fn seq_of_end(end: &str) -> u64 {
    let id = end.split(' ').next().unwrap_or_default();
    Position::parse(id.as_bytes()).map_or(0, |position| position.seq)
}
