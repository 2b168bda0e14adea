//! The receiver's side: shows what comes, joins when it is told to, and makes both connections again
//! when one of them is lost.
//!
//! Knows both connections. Must not know how texts look, nor what is typed.

use std::io::Read;
use std::mem;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::news::News;
use super::pair::{Order, Orders, Pair, connect_both};
use super::rooms::Rooms;
use crate::client::connection::{Answer, Connection};
use crate::client::error::ClientError;
use crate::client::hearing::{Heard, hear};
use crate::client::link::{Joined, Reconnect, keep_trying};
use crate::client::turn::Turn;
use crate::system::descriptors;
use crate::terminal::printer::Printer;
use crate::wire::position::Span;
use crate::wire::protocol::Request;

/// Who receives.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) pair: Pair,
    pub(super) orders: Orders,
    pub(super) rooms: Rooms,
    pub(super) news: News,
    pub(super) printer: Printer,
    pub(super) reconnect: bool,
}

/// The receiver's connection.
struct Receiver {
    connection: Connection,
    /// It gets records.
    records: bool,
    /// What it was asked to do.
    asked: Option<Asked>,
}

/// What the server was asked to do.
struct Asked {
    order: Order,
    /// So many answers are to come.
    answers: usize,
}

impl Receiving {
    /// Starts a thread, which calls `exit` when the server is gone for good.
    pub(super) fn start(
        mut self,
        receiver: Joined,
        exit: fn(ClientError) -> !,
    ) -> Result<(), ClientError> {
        let sender = self.pair.sender().map(|sender| sender.descriptor()).transpose()?;
        let receive = move || {
            let Some(sender) = sender else { return };
            let (receiver, _) = self.take_over(receiver);
            let error = self.run(receiver, sender);
            if !self.pair.is_over() {
                self.printer.finish();
                exit(error)
            }
        };
        let thread = thread::Builder::new().name("receiver".into());
        thread.spawn(receive).map(drop).map_err(ClientError::Thread)
    }

    fn run(&mut self, mut receiver: Receiver, mut sender: OwnedFd) -> ClientError {
        loop {
            let loss = self.receive(&mut receiver, &sender);
            if self.pair.is_over() || !self.reconnect || !loss.is_loss() {
                return loss;
            }
            // It does not go on alone.
            drop(receiver);
            match self.connect_again(loss, &sender) {
                Ok((again, descriptor)) => (receiver, sender) = (again, descriptor),
                Err(error) => return error,
            }
        }
    }

    /// Shows what comes. Returns how one of the connections was lost.
    fn receive(&mut self, receiver: &mut Receiver, sender: &OwnedFd) -> ClientError {
        let records = receiver.records;
        loop {
            self.show_all(receiver);
            if let Err(loss) = self.take_order(receiver) {
                return loss.of_receiver(records);
            }
            let mut fds = [
                PollFd::new(&receiver.connection, PollFlags::IN),
                PollFd::new(sender, PollFlags::RDHUP),
                PollFd::new(&self.orders.bell, PollFlags::IN),
            ];
            if let Err(error) = descriptors::wait(&mut fds, None) {
                return ClientError::Broken(error);
            }
            let [news, end, _] = fds.map(|fd| !fd.revents().is_empty());
            if news && let Err(loss) = receiver.connection.fill() {
                self.show_all(receiver);
                return loss.of_receiver(records);
            }
            if end {
                self.show_rest(receiver);
                return ClientError::Closed;
            }
        }
    }

    fn show_all(&mut self, receiver: &mut Receiver) {
        let Receiver { connection, records, asked } = receiver;
        while let Some(line) = connection.next_line() {
            // Nobody rings for what was said before one came.
            let live = !*records || self.rooms.here.is_at_end();
            match hear(line, records.then_some(&mut self.rooms.here)) {
                Heard::Text { delivery, stamp, gap } => {
                    gap.iter().for_each(|gap| self.printer.notice(gap));
                    self.news.show(&delivery, stamp, live);
                }
                Heard::Answer(answer) if asked.is_some() => {
                    *asked = asked.take().and_then(|asked| self.answer(asked, answer, *records));
                }
                _ => self.printer.notice(&"the server sent an unexpected line"),
            }
        }
    }

    /// Shows what was on its way when the sender's connection was lost: a server that stops closes both,
    /// one after the other.
    fn show_rest(&mut self, receiver: &mut Receiver) {
        const LONGEST: Duration = Duration::from_secs(1);
        const QUIET: Duration = Duration::from_millis(100);
        let begun = Instant::now();
        loop {
            self.show_all(receiver);
            let mut fds = [PollFd::new(&receiver.connection, PollFlags::IN)];
            let more = matches!(descriptors::wait(&mut fds, Some(QUIET)), Ok(true));
            if !more || begun.elapsed() > LONGEST || receiver.connection.fill().is_err() {
                break;
            }
        }
        self.show_all(receiver);
    }

    /// Asks for what is ordered next, once the order before is carried out.
    fn take_order(&self, receiver: &mut Receiver) -> Result<(), ClientError> {
        // It is read until there is nothing to read.
        while let Ok(1..) = (&self.orders.bell).read(&mut [0; 16]) {}
        if receiver.asked.is_some() {
            return Ok(());
        }
        let Ok(order) = self.orders.orders.try_recv() else { return Ok(()) };
        let mut lines = Vec::new();
        let mut answers = 1;
        if receiver.records {
            let from = self.rooms.resume(&order.room);
            let from = from.map(|from| from.to_string()).unwrap_or_default();
            Request::History(from.as_bytes()).encode(&mut lines)?;
            answers += 1;
        }
        Request::Join(&order.room).encode(&mut lines)?;
        receiver.asked = Some(Asked { order, answers });
        write_all(&mut receiver.connection, &lines)
    }

    /// Takes an answer. Returns what there are other answers to come for.
    fn answer(&mut self, asked: Asked, answer: Answer, records: bool) -> Option<Asked> {
        let Asked { order, answers } = asked;
        // The first one is only that there will be records.
        if answers > 1 {
            return Some(Asked { order, answers: answers - 1 });
        }
        if let Ok(text) = &answer
            && self.pair.room().as_ref() != Some(&order.room)
        {
            self.enter(&order.room, Span::find(text).filter(|_| records));
        }
        // It fails if nobody waits for it any more.
        let _ = order.answer.send(answer);
        None
    }

    /// A room has been entered, there in its history. Says what is missing. Returns whether that is known.
    fn enter(&mut self, room: &[u8], span: Option<Span>) -> bool {
        self.pair.identity().room = Some(room.into());
        let gap = self.rooms.enter(room, span);
        gap.iter().for_each(|gap| self.printer.notice(gap));
        span.is_some() || gap.is_some()
    }

    /// Makes both connections again.
    fn connect_again(
        &mut self,
        loss: ClientError,
        sender: &OwnedFd,
    ) -> Result<(Receiver, OwnedFd), ClientError> {
        let give_up = || while self.orders.orders.try_recv().is_ok() {};
        let pair = self.pair.clone();
        let mut held = pair.take_sender(sender, give_up);
        let mut identity = pair.identity().clone();
        identity.history = self.rooms.ask();
        let again = |turn: &mut Turn, news: &mut dyn Reconnect| connect_both(&identity, turn, news);
        let turn = Turn::default();
        let (sender, receiver) = keep_trying(again, turn, loss, |_| true, &mut self.printer)?;
        let (receiver, is_known) = self.take_over(receiver);
        if !is_known {
            self.printer.notice(&"what was said meanwhile may be missing");
        }
        let descriptor = sender.descriptor()?;
        drop(mem::replace(&mut *held, sender));
        Ok((receiver, descriptor))
    }

    /// Takes a connection that is in its room, if there is one. Returns whether it is known what is
    /// missing there.
    fn take_over(&mut self, receiver: Joined) -> (Receiver, bool) {
        let Joined { connection, records, span } = receiver;
        let room = self.pair.room();
        let is_known = room.is_none_or(|room| self.enter(&room, span));
        (Receiver { connection, records, asked: None }, is_known)
    }
}

/// Writes all of `bytes`, and waits where that is needed.
fn write_all(connection: &mut Connection, mut bytes: &[u8]) -> Result<(), ClientError> {
    while !bytes.is_empty() {
        let count = connection.write(bytes)?;
        bytes = &bytes[count..];
        if count == 0 {
            let mut fds = [PollFd::new(connection, PollFlags::OUT)];
            descriptors::wait(&mut fds, None).map_err(ClientError::Broken)?;
        }
    }
    Ok(())
}
