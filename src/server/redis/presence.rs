//! Being there for Redis: connected, in an epoch, and one of the servers of this chat.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use log::warn;

use super::link::{Commands, Link, Script, Target, Trouble, number, parts, text};
use crate::server::config::Keep;

/// How long the other servers may take to say whether all is there, when Redis was started anew.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection and an epoch.
#[derive(Debug)]
pub(super) struct Presence {
    pub target: Target,
    /// Names this server.
    pub name: String,
    pub keep: Keep,
    /// A reply may take so long.
    patience: Duration,
    pub link: Option<Link>,
    /// A connection is being made, on a thread of its own: whoever waits meanwhile can be told so.
    connecting: Option<mpsc::Receiver<Result<Link, Trouble>>>,
    /// What came of making it.
    made: Option<Result<Link, Trouble>>,
    /// 0 at the start.
    pub epoch: u64,
    /// The run of Redis in which it was here last.
    run: String,
    /// Texts in all rooms, as far as this server has seen them.
    pub total: u64,
    /// Something is not there that has been there in this epoch.
    pub has_lost: bool,
}

/// What came of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// All is as it was, in the same epoch, or this server has just started.
    Same,
    /// This is another epoch, with so many texts so far.
    Other(u64, u64),
    /// The other servers have to come first.
    Early,
    /// They keep more or less, so much.
    Disagree(String),
}

impl Presence {
    pub(super) fn new(target: Target, keep: Keep, patience: Duration) -> Self {
        Presence {
            target,
            name: unique_name(),
            keep,
            patience,
            link: None,
            connecting: None,
            made: None,
            epoch: 0,
            run: String::new(),
            total: 0,
            has_lost: false,
        }
    }

    /// From now on, a reply may take so long.
    ///
    /// # Errors
    ///
    /// [`Trouble::Silent`] if the system does not see to that.
    pub(super) fn set_patience(&mut self, patience: Duration) -> Result<(), Trouble> {
        self.patience = patience;
        self.link.as_ref().map_or(Ok(()), |link| link.set_patience(patience))
    }

    /// How much is kept, in words.
    pub(super) fn keeps(&self) -> String {
        let texts = self.keep.texts.unwrap_or(usize::MAX);
        let days = self.keep.days.map_or("for ever".into(), |days| format!("for {days} days"));
        format!("{texts} texts of each room, {days}")
    }

    /// The key of what this server has given to Redis.
    pub(super) fn record(&self) -> String {
        self.target.key(&format!("writer:{}", self.name))
    }

    /// A connection is being made. If there is none, begins with that.
    pub(super) fn is_connecting(&mut self) -> bool {
        if self.link.is_some() {
            return false;
        }
        let connecting = self.connecting.get_or_insert_with(|| {
            let (made, connecting) = mpsc::channel();
            let (target, patience) = (self.target.clone(), self.patience);
            let connect = move || drop(made.send(Link::open(&target, patience)));
            // If there is no thread, nobody sends anything.
            drop(thread::Builder::new().name("redis connector".into()).spawn(connect));
            connecting
        });
        match connecting.try_recv() {
            Err(mpsc::TryRecvError::Empty) => return true,
            Ok(made) => self.made = Some(made),
            Err(mpsc::TryRecvError::Disconnected) => {}
        }
        self.connecting = None;
        self.made.is_none()
    }

    /// Connects, unless that is done, and finds out which epoch it is.
    ///
    /// # Errors
    ///
    /// What Redis does not do. Then there is no connection.
    pub(super) fn arrive(&mut self) -> Result<Arrival, Trouble> {
        let mut link = match (self.link.take(), self.made.take()) {
            (Some(link), _) => link,
            (None, Some(made)) => made?,
            (None, None) => Link::open(&self.target, self.patience)?,
        };
        let arrival = self.arrive_over(&mut link)?;
        self.link = Some(link);
        Ok(arrival)
    }

    fn arrive_over(&mut self, link: &mut Link) -> Result<Arrival, Trouble> {
        let known = if self.epoch == 0 { String::new() } else { self.epoch.to_string() };
        let lost = if self.has_lost { known.clone() } else { String::new() };
        let record = format!("writer:{}", self.name);
        let keys = ["state", "servers", "votes", "ends", "epochs", "news", &*record];
        let keys = keys.map(|key| self.target.key(key));
        let (total, patience) = (self.total.to_string(), PATIENCE.as_millis().to_string());
        let keeps = self.keeps();
        let words = [&*link.run, &self.name, &known, &self.run, &total, &keeps, &lost, &patience];
        let mut commands = Commands::default();
        let words = words.map(str::as_bytes);
        commands.call(link, Script::Arrive, &keys.each_ref().map(|key| &**key), &words);
        let mut reply = parts(link.ask_one(commands)?).into_iter();
        let mut next = || reply.next().unwrap_or_default();
        let word = text(next());
        match &*word {
            "keeps" => return Ok(Arrival::Disagree(text(next()))),
            "wait" => return Ok(Arrival::Early),
            _ => {}
        }
        let (epoch, total) = (number(next()), number(next()));
        if epoch == 0 {
            return Err(Trouble::Silent("it makes no sense".into()));
        }
        if self.epoch != 0 && epoch != self.epoch {
            return Ok(Arrival::Other(epoch, total));
        }
        if word == "new" && !text(next()).is_empty() {
            self.warn_of(epoch);
        }
        self.enter(link.run.clone(), epoch, total);
        Ok(Arrival::Same)
    }

    /// That epoch has begun, because something was lost, or nobody can know.
    pub(super) fn warn_of(&self, epoch: u64) {
        let address = &self.target.address;
        warn!("Redis at {address} does not have all that it has had: a new epoch begins, {epoch}");
    }

    /// It is in that epoch now.
    pub(super) fn enter(&mut self, run: String, epoch: u64, total: u64) {
        (self.run, self.epoch, self.total, self.has_lost) = (run, epoch, total, false);
    }
}

/// A name that no other server has.
fn unique_name() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
