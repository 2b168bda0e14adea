//! Asks the system what the accounts of clients are called, so that no worker waits for that.
//!
//! A thread of its own takes the questions. To answer one the system may have to ask other machines, so
//! each user is looked up on a thread for that alone, and whoever has waited for long is told that it
//! could not be found out.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::warn;

use super::chat::id::SessionId;
use super::chat::vouched::{Vouched, Voucher};
use crate::wire::protocol::Name;

/// How long a client may have to wait for its name.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(60);

/// Users that are looked up at a time.
const LOOK_UPS: usize = 16;

/// What users without an account, or with one whose name is none here, are called, before their number.
const NAMELESS: &str = "uid";

/// Finds out what the account of a user is called, if there is one.
pub(crate) type LookUp = fn(u32) -> io::Result<Option<String>>;

/// Takes questions.
#[derive(Clone, Debug)]
pub(crate) struct Accounts(mpsc::Sender<Note>);

/// What the one who answers is told.
#[derive(Debug)]
enum Note {
    /// The name of this user is wanted for that session.
    Question(u32, SessionId),
    /// What was found out about a user.
    Found(u32, io::Result<Option<String>>),
}

impl Accounts {
    /// Nobody is asked yet; and who is going to answer.
    pub(crate) fn new(look_up: LookUp) -> (Self, Desk) {
        let (sender, notes) = mpsc::channel();
        let accounts = Accounts(sender);
        let (known, asked) = (HashMap::new(), HashMap::new());
        let desk = Desk { notes, back: accounts.clone(), look_up, known, asked };
        (accounts, desk)
    }

    /// Asks under which name a user may log in, for a session.
    pub(crate) fn ask(&self, uid: u32, session: SessionId) {
        // Without anybody who answers, there is no server either.
        let _ = self.0.send(Note::Question(uid, session));
    }
}

/// Answers questions.
#[derive(Debug)]
pub(crate) struct Desk {
    notes: mpsc::Receiver<Note>,
    /// Where those who look something up say what they have found.
    back: Accounts,
    look_up: LookUp,
    /// What is known, and since when.
    known: HashMap<u32, (Instant, Vouched)>,
    /// Users who are being looked up, and who waits for each, until when.
    asked: HashMap<u32, VecDeque<(Instant, SessionId)>>,
}

impl Desk {
    /// Starts a thread that answers by calling `tell`, until that returns `false`.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub(crate) fn start(
        mut self,
        tell: impl Fn(SessionId, Vouched) -> bool + Send + 'static,
    ) -> io::Result<()> {
        let answer = move || while self.turn(&tell) {};
        thread::Builder::new().name("accounts".into()).spawn(answer).map(drop)
    }

    /// Waits for something to do, and does it; `false` if nobody wants answers any more.
    fn turn(&mut self, tell: &impl Fn(SessionId, Vouched) -> bool) -> bool {
        let waiting = self.asked.values().filter_map(VecDeque::front);
        let note = match waiting.map(|(until, _)| *until).min() {
            Some(until) => self.notes.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => self.notes.recv().map_err(RecvTimeoutError::from),
        };
        let told = match note {
            Ok(Note::Question(uid, session)) => {
                self.question(uid, session).is_none_or(|answer| tell(session, answer))
            }
            Ok(Note::Found(uid, found)) => self.found(uid, found, tell),
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        };
        told && self.give_up(Instant::now(), tell)
    }

    /// The answer, if it is known already.
    fn question(&mut self, uid: u32, session: SessionId) -> Option<Vouched> {
        let now = Instant::now();
        self.known.retain(|_, (since, _)| now.saturating_duration_since(*since) < HOLDS);
        if let Some((_, known)) = self.known.get(&uid) {
            return Some(known.clone());
        }
        if !self.asked.contains_key(&uid) && !self.begin(uid) {
            return Some(unknown());
        }
        self.asked.entry(uid).or_default().push_back((now + PATIENCE, session));
        None
    }

    /// Begins to look a user up, unless that is done for too many.
    fn begin(&self, uid: u32) -> bool {
        let (back, look_up) = (self.back.clone(), self.look_up);
        let find_out = move || drop(back.0.send(Note::Found(uid, look_up(uid))));
        self.asked.len() < LOOK_UPS
            && thread::Builder::new().name("account".into()).spawn(find_out).is_ok()
    }

    /// Tells those who have waited for a user.
    fn found(
        &mut self,
        uid: u32,
        found: io::Result<Option<String>>,
        tell: &impl Fn(SessionId, Vouched) -> bool,
    ) -> bool {
        let vouched = match found {
            Ok(name) => {
                let vouched = vouched(uid, name.as_deref());
                self.known.insert(uid, (Instant::now(), vouched.clone()));
                vouched
            }
            Err(error) => {
                warn!("cannot look up the account of uid {uid}: {error}");
                unknown()
            }
        };
        let waiting = self.asked.remove(&uid).unwrap_or_default();
        waiting.into_iter().all(|(_, session)| tell(session, vouched.clone()))
    }

    /// Tells those who have waited too long. The user goes on being looked up.
    fn give_up(&mut self, now: Instant, tell: &impl Fn(SessionId, Vouched) -> bool) -> bool {
        for waiting in self.asked.values_mut() {
            while let Some((until, session)) = waiting.front().copied()
                && until <= now
            {
                waiting.pop_front();
                if !tell(session, unknown()) {
                    return false;
                }
            }
        }
        true
    }
}

fn unknown() -> Vouched {
    Vouched::Unknown("your account cannot be looked up just now, try again later")
}

/// Under which name a user may log in whose account is called so.
fn vouched(uid: u32, account: Option<&str>) -> Vouched {
    let digits = account.and_then(|name| name.strip_prefix(NAMELESS));
    let is_anothers = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_some_and(|digits| !digits.is_empty() && is_anothers(digits)) {
        return Vouched::Unknown("your account is called like that of somebody without a name");
    }
    let own = account.and_then(|name| Name::parse(name.as_bytes()).ok());
    let name = own.or_else(|| Name::parse(format!("{NAMELESS}{uid}").as_bytes()).ok());
    name.map_or_else(unknown, |name| Vouched::By(Voucher::Account, Arc::from([name])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(token: usize) -> SessionId {
        SessionId { worker: 0, token, serial: token as u64 }
    }

    fn named(name: &str) -> Vouched {
        Vouched::By(Voucher::Account, Arc::from([Name::parse(name.as_bytes()).unwrap()]))
    }

    #[test]
    fn an_account_that_is_no_name_is_a_number_and_nobody_else_can_be_that() {
        for (account, name) in [
            (Some("bob"), "bob"),
            (Some("Bob2"), "Bob2"),
            (Some("www-data"), "uid33"),
            (Some("b\u{e4}r"), "uid33"),
            (Some(""), "uid33"),
            (Some("uid"), "uid"),
            (Some("uid33x"), "uid33x"),
            (None, "uid33"),
        ] {
            assert_eq!(vouched(33, account), named(name), "{account:?}");
        }
        for account in ["uid33", "uid1000", "uid0"] {
            assert!(matches!(vouched(33, Some(account)), Vouched::Unknown(_)), "{account}");
        }
    }

    /// Starts a desk; returns where to ask, and where the answers come.
    fn desk(look_up: LookUp) -> (Accounts, mpsc::Receiver<(SessionId, Vouched)>) {
        let (accounts, desk) = Accounts::new(look_up);
        let (tell, told) = mpsc::channel();
        desk.start(move |session, vouched| tell.send((session, vouched)).is_ok()).unwrap();
        (accounts, told)
    }

    #[test]
    fn a_user_who_cannot_be_looked_up_holds_up_nobody_else_and_is_told_so() {
        let (accounts, told) = desk(|uid| {
            if uid == 7 {
                thread::park();
            }
            Ok(Some(format!("u{uid}")))
        });
        let begun = Instant::now();
        accounts.ask(7, session(1));
        accounts.ask(8, session(2));
        assert_eq!(told.recv().unwrap(), (session(2), named("u8")));
        // The second question need not wait for the first one's end.
        accounts.ask(7, session(3));
        for token in [1, 3] {
            let (told, vouched) = told.recv_timeout(10 * PATIENCE).unwrap();
            assert_eq!(told, session(token));
            assert!(matches!(vouched, Vouched::Unknown(_)), "{vouched:?}");
        }
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
    }

    #[test]
    fn only_so_many_are_looked_up_at_a_time() {
        let (accounts, told) = desk(|_| {
            thread::park();
            Ok(None)
        });
        for uid in 0..=LOOK_UPS {
            accounts.ask(uid as u32, session(uid));
        }
        // The last of them is told at once, before any of the others.
        assert_eq!(told.recv_timeout(10 * PATIENCE).unwrap(), (session(LOOK_UPS), unknown()));
    }
}
