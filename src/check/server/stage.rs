//! Where the cases of a server are tried: clients that come to it, under names of their own.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::guest::{Guest, lock};
use crate::check::case::Profile;
use crate::check::peer::{Patience, Peer, Place};
use crate::check::story::Story;
use crate::check::subject::{Running, Started, Subject};
use crate::check::trial::{Ground, in_letters, mark};
use crate::check::verdict::{Finding, Given, Step, Stop};
use crate::system::descriptors;

/// Where the cases of a server are tried.
pub(crate) struct Stage {
    subject: Subject,
    place: Place,
    profile: Profile,
    patience: Patience,
    story: Story,
    /// What makes this case's names different from all others.
    mark: String,
    /// How many such names there are.
    names: AtomicUsize,
    /// Names that rooms may have.
    rooms: Mutex<BTreeSet<String>>,
    /// Sockets of those who were in no room, to see the server close them.
    leaving: Arc<Mutex<Vec<TcpStream>>>,
    /// What is known of how it treats a newcomer, and one that leaves.
    manners: Manners,
    /// What has become of the server, if it is gone.
    lost: Option<String>,
    /// This case has ended it.
    taken: bool,
}

/// What a server was seen to do. What it never does is no sign of trouble.
#[derive(Clone, Copy, Debug)]
struct Manners {
    /// How it treats a newcomer; not known before the first.
    newcomer: Option<Newcomer>,
    /// It closes connections of those who have shut down their side.
    closes: bool,
}

/// How a server treats the login of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newcomer {
    Served,
    Refused,
    Unanswered,
}

/// What has become of a server.
struct Trouble {
    came: String,
    /// That is since nothing came in time.
    timed_out: bool,
    /// It does not serve anybody any more.
    lost: bool,
}

impl Stage {
    pub(crate) fn new(subject: Subject, profile: Profile, patience: Patience) -> Self {
        Stage {
            subject,
            place: Place::Inet(Vec::new()),
            profile,
            patience,
            story: Story::default(),
            mark: String::new(),
            names: AtomicUsize::new(0),
            rooms: Mutex::default(),
            leaving: Arc::default(),
            manners: Manners { newcomer: None, closes: true },
            lost: None,
            taken: false,
        }
    }

    /// Finds out where the server is, and starts it if need be.
    fn find_server(&mut self) -> Step {
        let not_there = |why| Stop::Error(Finding::new("a server that listens", why));
        self.place = self.subject.place().map_err(not_there)?;
        Ok(())
    }

    /// What has become of the server, if it does not serve newcomers any more.
    fn trouble(&mut self) -> Option<Trouble> {
        let served = self.manners.newcomer == Some(Newcomer::Served);
        if self.taken {
            return None;
        }
        let finding = if served { Some(self.greet().err()?) } else { None };
        let may_end = finding.as_ref().is_some_and(|finding| !finding.timed_out);
        let end = if may_end { self.subject.end_in_a_moment() } else { self.subject.end() };
        if let Some(end) = end {
            let came = format!("the server has ended, with {end}");
            return Some(Trouble { came, timed_out: false, lost: true });
        }
        let Finding { came, timed_out, .. } = finding?;
        let came =
            format!("the server does not answer a newcomer's login with ok any more: {came}");
        // Where it was out of step once, it goes on.
        let lost = timed_out || self.greet().is_err();
        Some(Trouble { came, timed_out, lost })
    }

    /// What a case comes to that the server has not survived.
    fn blamed(&self, outcome: Step, trouble: Trouble) -> Step {
        let Trouble { came, timed_out, .. } = trouble;
        match outcome {
            Err(Stop::Fail(mut finding)) => {
                finding.came += &format!("; {came}");
                finding.timed_out |= timed_out;
                Err(Stop::Fail(finding))
            }
            _ => {
                let expected = "a server that goes on, whatever clients do";
                let story = self.story.last(&[]);
                Err(Stop::Fail(Finding { story, timed_out, ..Finding::new(expected, came) }))
            }
        }
    }

    /// What this comes to if it was done with a server that was taken: should that have ended before
    /// its time, that is it.
    pub(crate) fn with_end_of(&self, server: &mut Running, outcome: Step) -> Step {
        let end = outcome.is_err().then(|| server.end_in_a_moment()).flatten();
        let Some(end) = end else { return outcome };
        let came = format!("the server has ended, with {end}");
        self.blamed(outcome, Trouble { came, timed_out: false, lost: true })
    }

    /// Logs a newcomer in.
    ///
    /// # Errors
    ///
    /// What came instead of `ok`.
    fn greet(&self) -> Result<(), Finding> {
        let user = format!("newcomer{}", self.mark);
        let asked = Peer::newcomer(&self.place, self.patience, &user);
        let answer = asked.and_then(|mut peer| peer.expect_ok());
        answer.map(drop).map_err(|stop| stop.finding().cloned().unwrap_or_default())
    }

    /// How the server treats a newcomer.
    fn newcomer(&self) -> Newcomer {
        match self.greet() {
            Ok(()) => Newcomer::Served,
            Err(finding) if finding.timed_out => Newcomer::Unanswered,
            Err(_) => Newcomer::Refused,
        }
    }

    /// Waits until the server has noticed who is gone, so that it is known which case it survives.
    fn say_goodbye(&mut self) {
        let leaving = std::mem::take(&mut *lock(&self.leaving));
        let deadline = Instant::now() + self.patience.0;
        for stream in leaving.iter().filter(|_| self.manners.closes) {
            let _ = stream.shutdown(Shutdown::Write);
        }
        for stream in leaving {
            self.manners.closes = self.manners.closes && is_closed(stream, deadline);
        }
    }

    /// Says something in all rooms, so that a server that runs on notices who is gone: it may look for
    /// that only when it writes.
    fn tell_rooms(&mut self) {
        let rooms = std::mem::take(&mut *lock(&self.rooms));
        if self.subject.is_started()
            || self.manners.newcomer != Some(Newcomer::Served)
            || rooms.is_empty()
        {
            return;
        }
        self.story = Story::default();
        let tell = || {
            let mut bob = self.sender("last")?;
            for room in &rooms {
                bob.ok(format!("join:{room}"))?;
                // The first is lost on the way, and what comes back of it is what is noticed.
                (0..3).try_for_each(|_| bob.ok("sendall:bye").map(drop))?;
            }
            bob.ok("quit:").map(drop)
        };
        // Whatever is wrong with that, there are cases for.
        let _: Step = tell();
    }

    /// Whether all of the protocol is asked.
    pub(crate) fn is_full(&self) -> bool {
        self.profile == Profile::Full
    }

    /// The story of this case.
    pub(crate) fn story(&self) -> &Story {
        &self.story
    }

    /// The name of a room or somebody that nobody else has.
    pub(crate) fn name(&self, word: &str) -> String {
        let name = format!("{word}{}", self.mark);
        lock(&self.rooms).insert(name.clone());
        name
    }

    /// The same, and nobody else in this case has it.
    pub(crate) fn new_name(&self, word: &str) -> String {
        self.name(&self.numbered(word))
    }

    /// The letters of a word, with a number that is another each time.
    fn numbered(&self, word: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let word: String = word.chars().filter(char::is_ascii_alphabetic).collect();
        format!("{word}{}x", in_letters(number as u64))
    }

    /// The command that starts servers.
    ///
    /// # Errors
    ///
    /// That there is none: skip.
    pub(crate) fn started(&self) -> Step<&Started> {
        match &self.subject {
            Subject::Started(started) => Ok(started),
            Subject::Running(_) => Err(Stop::Skip("needs a command that starts the server".into())),
        }
    }

    /// The server itself, for a case that ends it.
    ///
    /// # Errors
    ///
    /// That it was not started here: skip.
    pub(crate) fn take_server(&mut self) -> Step<Running> {
        self.started()?;
        let Subject::Started(started) = &mut self.subject else { return Err(nobody()) };
        let mut server = started.take().ok_or_else(nobody)?;
        server.program.enter(&self.story);
        self.taken = true;
        Ok(server)
    }

    /// The server itself, started afresh with a terminal to write to: nothing is held back then that a
    /// program writes.
    pub(crate) fn restart_on_terminal(&mut self) -> Step<Running> {
        self.started()?;
        if let Subject::Started(started) = &mut self.subject {
            started.restart_on_terminal();
        }
        self.find_server()?;
        self.take_server()
    }

    /// A client that has connected.
    pub(crate) fn connect(&self, word: &str) -> Step<Guest> {
        self.connect_to(&self.place, word)
    }

    /// The same, to one server of several.
    pub(crate) fn connect_to(&self, place: &Place, word: &str) -> Step<Guest> {
        let names = [format!("{word} sends"), format!("{word} gets")];
        let peer = Peer::connect(place, names, self.patience, &self.story)?;
        let user = format!("{}{}", self.numbered(word), self.mark);
        Ok(Guest::new(peer, user, &self.leaving))
    }

    /// A client that has logged in as a sender.
    pub(crate) fn sender(&self, word: &str) -> Step<Guest> {
        self.logged_in("slogin", word)
    }

    /// A client that has logged in as a receiver.
    pub(crate) fn receiver(&self, word: &str) -> Step<Guest> {
        self.logged_in("rlogin", word)
    }

    fn logged_in(&self, tag: &str, word: &str) -> Step<Guest> {
        let mut guest = self.connect(word)?;
        guest.log_in(tag).given()?;
        Ok(guest)
    }

    /// A sender in a room.
    pub(crate) fn sender_in(&self, word: &str, room: &str) -> Step<Guest> {
        let mut guest = self.sender(word)?;
        guest.ok(format!("join:{room}")).given()?;
        Ok(guest)
    }

    /// A receiver in a room.
    pub(crate) fn receiver_in(&self, word: &str, room: &str) -> Step<Guest> {
        let mut guest = self.receiver(word)?;
        guest.ok(format!("join:{room}")).given()?;
        Ok(guest)
    }
}

impl Ground for Stage {
    fn begin(&mut self) -> Step {
        self.taken = false;
        self.story = Story::default();
        self.mark = mark();
        self.find_server()?;
        if self.manners.newcomer.is_none() {
            let newcomer = self.newcomer();
            if newcomer == Newcomer::Served || self.subject.end().is_none() {
                self.manners.newcomer = Some(newcomer);
            } else {
                // It has not survived that. What the case comes to is for the case to see.
                self.subject.renew();
                self.find_server()?;
            }
        }
        Ok(())
    }

    /// A server that has not survived is what the case comes to. After any trouble, the next case has
    /// a fresh one.
    fn end(&mut self, outcome: Step) -> Step {
        let is_late = matches!(&outcome, Err(Stop::Fail(finding)) if finding.timed_out);
        if is_late && self.subject.is_started() && self.subject.end().is_none() {
            // This one is not needed any more: nothing is gained by waiting for it once more.
            lock(&self.leaving).clear();
            self.subject.renew();
            return outcome;
        }
        self.say_goodbye();
        self.tell_rooms();
        let outcome = match self.trouble() {
            Some(trouble) => {
                self.lost = trouble.lost.then(|| trouble.came.clone());
                self.blamed(outcome, trouble)
            }
            None => outcome,
        };
        if !matches!(outcome, Ok(()) | Err(Stop::Skip(_))) {
            self.subject.renew();
        }
        outcome
    }

    fn is_lost(&self) -> Option<String> {
        self.lost.clone().filter(|_| !self.subject.is_started())
    }

    fn is_renewable(&self) -> bool {
        self.subject.is_started()
    }

    fn is_mute(&self) -> bool {
        self.manners.newcomer == Some(Newcomer::Unanswered)
    }
}

/// Whether the other end closes before the deadline.
fn is_closed(mut stream: TcpStream, deadline: Instant) -> bool {
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 && Instant::now() < deadline => {}
            Ok(count) if count > 0 => return false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(Instant::now());
                let mut fds = [PollFd::new(&stream, PollFlags::IN)];
                if !descriptors::wait(&mut fds, Some(left)).unwrap_or(false) {
                    return false;
                }
            }
            _ => return true,
        }
    }
}

/// There is no server.
pub(super) fn nobody() -> Stop {
    Stop::Error(Finding::new("a server that runs", "none"))
}
