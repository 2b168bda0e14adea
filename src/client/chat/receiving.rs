//! The receiver's side: shows what comes, joins when it is told to, and makes both connections again
//! when one of them is lost.
//!
//! Knows both connections. Must not know how texts look, nor what is typed.

use std::io::Read;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::news::News;
use super::pair::{Orders, Pair};
use crate::client::connection::{Answer, Connection};
use crate::client::error::ClientError;
use crate::client::link::{Reconnect, keep_trying};
use crate::system::descriptors;
use crate::terminal::printer::Printer;
use crate::wire::lines::Line;
use crate::wire::protocol::{Reply, Request};

/// Who receives.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) pair: Pair,
    pub(super) orders: Orders,
    pub(super) news: News,
    pub(super) printer: Printer,
    pub(super) reconnect: bool,
}

impl Receiving {
    /// Starts a thread, which calls `exit` when the server is gone for good.
    pub(super) fn start(
        mut self,
        receiver: Connection,
        exit: fn(ClientError) -> !,
    ) -> Result<(), ClientError> {
        let sender = self.pair.sender().map(|sender| sender.descriptor()).transpose()?;
        let receive = move || {
            let Some(sender) = sender else { return };
            let error = self.run(receiver, sender);
            if self.pair.is_over() {
                return;
            }
            /// The terminal may be stopped.
            const LONGEST: Duration = Duration::from_secs(1);
            self.printer.wait_until_printed(LONGEST);
            exit(error)
        };
        let thread = thread::Builder::new().name("receiver".into());
        thread.spawn(receive).map(drop).map_err(ClientError::Thread)
    }

    fn run(&mut self, mut receiver: Connection, mut sender: OwnedFd) -> ClientError {
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
    fn receive(&mut self, receiver: &mut Connection, sender: &OwnedFd) -> ClientError {
        let mut asked: Option<Sender<Answer>> = None;
        loop {
            self.show_all(receiver, &mut asked);
            let mut fds = [
                PollFd::new(receiver, PollFlags::IN),
                PollFd::new(sender, PollFlags::RDHUP),
                PollFd::new(&self.orders.bell, PollFlags::IN),
            ];
            if let Err(error) = descriptors::wait(&mut fds, None) {
                return ClientError::Broken(error);
            }
            let [news, end, order] = fds.map(|fd| !fd.revents().is_empty());
            if news && let Err(loss) = receiver.fill() {
                self.show_all(receiver, &mut asked);
                return loss.of_receiver(false);
            }
            if end {
                self.show_rest(receiver, &mut asked);
                return ClientError::Closed;
            }
            if order {
                match self.carry_out(receiver) {
                    Ok(answer) => asked = answer.or(asked),
                    Err(loss) => return loss.of_receiver(false),
                }
            }
        }
    }

    fn show_all(&mut self, receiver: &mut Connection, asked: &mut Option<Sender<Answer>>) {
        while let Some(line) = receiver.next_line() {
            let reply = match line {
                Line::Whole(whole) => Reply::parse(whole).ok(),
                Line::TooLong(_) => None,
            };
            let answer = match reply {
                Some(Reply::Delivery(delivery)) => {
                    self.news.show(&delivery);
                    continue;
                }
                Some(Reply::Ok(text)) => Some(Ok(text.to_vec())),
                Some(Reply::Err(text)) => Some(Err(text.to_vec())),
                Some(Reply::Record(..)) | None => None,
            };
            match (asked.take_if(|_| answer.is_some()), answer) {
                (Some(asked), Some(answer)) => drop(asked.send(answer)),
                _ => self.printer.notice(&"the server sent an unexpected line"),
            }
        }
    }

    /// Shows what was on its way when the sender's connection was lost: a server that stops closes both,
    /// one after the other.
    fn show_rest(&mut self, receiver: &mut Connection, asked: &mut Option<Sender<Answer>>) {
        const LONGEST: Duration = Duration::from_secs(1);
        const QUIET: Duration = Duration::from_millis(100);
        let begun = Instant::now();
        loop {
            self.show_all(receiver, asked);
            let mut fds = [PollFd::new(receiver, PollFlags::IN)];
            let more = matches!(descriptors::wait(&mut fds, Some(QUIET)), Ok(true));
            if !more || begun.elapsed() > LONGEST || receiver.fill().is_err() {
                break;
            }
        }
        self.show_all(receiver, asked);
    }

    /// Asks for what was ordered. Returns who waits for the answer.
    fn carry_out(&self, receiver: &mut Connection) -> Result<Option<Sender<Answer>>, ClientError> {
        // It is read until there is nothing to read.
        while let Ok(1..) = (&self.orders.bell).read(&mut [0; 16]) {}
        let Ok(order) = self.orders.orders.try_recv() else { return Ok(None) };
        let mut line = Vec::new();
        Request::Join(&order.room).encode(&mut line)?;
        let mut rest = &line[..];
        while !rest.is_empty() {
            let count = receiver.write(rest)?;
            rest = &rest[count..];
            if count == 0 {
                let mut fds = [PollFd::new(receiver, PollFlags::OUT)];
                descriptors::wait(&mut fds, None).map_err(ClientError::Broken)?;
            }
        }
        Ok(Some(order.answer))
    }

    /// Makes both connections again.
    fn connect_again(
        &mut self,
        loss: ClientError,
        sender: &OwnedFd,
    ) -> Result<(Connection, OwnedFd), ClientError> {
        let give_up = || while self.orders.orders.try_recv().is_ok() {};
        let mut held = self.pair.take_sender(sender, give_up);
        let place = self.pair.place().clone();
        let again = |news: &mut dyn Reconnect| place.connect(news);
        let (sender, receiver) = keep_trying(again, loss, |_| true, &mut self.printer)?;
        self.printer.notice(&"what was said meanwhile may be missing");
        let descriptor = sender.as_fd().try_clone_to_owned().map_err(ClientError::Broken)?;
        drop(mem::replace(&mut *held, sender));
        Ok((receiver, descriptor))
    }
}
