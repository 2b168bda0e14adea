//! One client's connection: bytes in, lines out to the session, answers and deliveries back.
//!
//! Never blocks. What a client sends is read only as long as its answers can be written and its
//! room takes texts, so that neither can make the server keep more than a few buffers.
//!
//! Whether a connection is over is for [`Connection::is_over`] to say, and for its worker to ask
//! after anything that has changed the connection.

use std::io::{self, ErrorKind, Write};
use std::mem;

use mio::event::Event;

use super::door::Newcomer;
use super::got::Got;
use super::loss::Loss;
use super::transport::Transport;
use crate::server::chat::admission::Permit;
use crate::server::chat::outbox::Drained;
use crate::server::chat::session::Session;
use crate::server::chat::turn::{Step, Turn};
use crate::wire::lines::{Line, LineSplitter};
use crate::wire::protocol::MAX_REQUEST;

/// With this many bytes owed to a client, its next lines wait until they are written.
const OWED: usize = 16 * 1024;

/// With this many bytes of a client in a log that has not said what became of them, its next lines
/// wait until it has.
const AWAITED: usize = 64 * 1024;

/// The first bytes of a TLS client. Nothing that makes sense here begins like that.
const TLS: [u8; 2] = [0x16, 0x03];

/// One client's connection, and its session.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The way to the client. Closed before the session gives its place back.
    pub transport: Transport,
    /// What the client is to the chat.
    pub session: Session,
    lines: LineSplitter,
    /// How many bytes of [`TLS`] it began with, until that is known for sure.
    tls: Option<usize>,
    /// A line that has to wait until all answers are there.
    parked: Option<Box<[u8]>>,
    /// Bytes that were read and whose lines have to wait.
    held: Held,
    input: Input,
    output: Output,
    /// The system has said that the client neither sends nor takes anything any more.
    hung_up: bool,
}

/// Bytes that were read, the first of them used already.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    used: usize,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// All but so many at the end are used. Moves nothing: there may be many, and little used at a
    /// time.
    fn keep(mut self, left: usize) -> Self {
        self.used = self.bytes.len() - left;
        if left == 0 { Held::default() } else { self }
    }
}

/// The client's writing side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Nothing to read.
    Idle,
    /// Something to read.
    Ready,
    /// Something to read, and a short read may not be all of it.
    Thorough,
    /// It has ended, or nobody wants more of it.
    Ended,
}

/// The client's reading side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// It takes more.
    Open,
    /// It is full.
    Full,
    /// The client is gone. What it sent before is still carried out.
    Gone(Loss),
}

/// What has become of a client's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// No more of them are here.
    All,
    /// More of them may be here, to be carried out as soon as that is possible.
    Part,
    /// The session has to move to that worker first.
    Move(usize),
}

impl Connection {
    /// A client that has just connected.
    pub(crate) fn new(newcomer: Newcomer, permit: Permit) -> Self {
        let Newcomer { transport, peer, vouched } = newcomer;
        Connection {
            session: Session::new(peer, vouched, permit),
            transport,
            lines: LineSplitter::new(MAX_REQUEST),
            tls: Some(0),
            parked: None,
            held: Held::default(),
            input: Input::Idle,
            output: Output::Open,
            hung_up: false,
        }
    }

    /// Takes up what the system says of the socket.
    pub(crate) fn note(&mut self, event: &Event) {
        // A read stops short at urgent data, too.
        let thorough = event.is_read_closed() || event.is_error() || event.is_priority();
        match self.input {
            Input::Ended => {}
            _ if thorough => self.input = Input::Thorough,
            Input::Idle if event.is_readable() => self.input = Input::Ready,
            _ => {}
        }
        self.hung_up |= event.is_error() || event.is_write_closed();
        if self.hung_up {
            // What it sent is carried out, whether or not there is anybody to be answered.
            self.session.close_answers();
            if self.input == Input::Ended || !self.session.may_speak() {
                // Nothing is read any more that would tell why.
                let loss = self.transport.take_error().map_or(Loss::Closed, Loss::from);
                self.lose(loss);
            }
        }
        if self.output == Output::Full && event.is_writable() {
            self.output = Output::Open;
        }
    }

    /// Forgets what it knows of the socket, so that all of it is tried once more.
    pub(crate) fn doubt(&mut self) {
        if self.input != Input::Ended {
            self.input = Input::Thorough;
        }
        if self.output == Output::Full {
            self.output = Output::Open;
        }
    }

    /// The client is lost; how, is what was known first.
    fn lose(&mut self, loss: Loss) {
        if self.loss().is_none() {
            self.output = Output::Gone(loss);
            self.session.close_answers();
        }
    }

    /// There may be lines to carry out now.
    pub(crate) fn is_servable(&self) -> bool {
        let is_read = self.parked.is_some() || !self.held.is_empty();
        let some = is_read || matches!(self.input, Input::Ready | Input::Thorough);
        some && self.output != Output::Full && !self.has_to_pause()
    }

    /// Bytes that the client has not been given yet, in whatever buffer they lie.
    pub(crate) fn owed(&self) -> usize {
        self.session.owed() + self.transport.pending()
    }

    /// Bytes that were read and wait.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.bytes.capacity()
    }

    /// Something has to be written, or to be said by a log, before the next line is carried out.
    fn has_to_pause(&self) -> bool {
        let session = &self.session;
        self.owed() >= OWED
            || session.awaited() >= AWAITED
            || session.is_opening()
            || session.is_waiting()
            || self.parked.is_some()
                && (session.is_awaiting() || session.is_in_debt() || session.is_nameless())
    }

    /// Reads once, into `buffer`, unless some of what was read is still held, and carries out the
    /// lines that are whole, `most` of them at most.
    pub(crate) fn serve(&mut self, buffer: &mut [u8], most: usize, turn: &mut Turn<'_>) -> Served {
        let held = mem::take(&mut self.held);
        let mut rest = if held.is_empty() {
            // What is read and cannot be carried out has to be kept.
            let most_bytes = buffer.len().min(MAX_REQUEST * most);
            let count = self.read(&mut buffer[..most_bytes]);
            &buffer[..count]
        } else {
            held.rest()
        };
        if self.is_tls(rest) {
            self.input = Input::Ended;
            self.lose(Loss::Tls);
            return Served::All;
        }
        let served = self.carry_out(&mut rest, most, turn);
        let left = rest.len();
        self.held = if held.is_empty() && left > 0 {
            Held { bytes: rest.to_vec(), used: 0 }
        } else {
            held.keep(left)
        };
        self.session.queue_answers();
        match served {
            Served::All if self.is_servable() => Served::Part,
            served => served,
        }
    }

    /// The client speaks TLS, after these bytes.
    fn is_tls(&mut self, bytes: &[u8]) -> bool {
        let Some(seen) = &mut self.tls else {
            return false;
        };
        let same = TLS[*seen..].iter().zip(bytes).take_while(|(tls, byte)| tls == byte).count();
        *seen += same;
        let is_tls = *seen == TLS.len();
        if same < bytes.len() {
            self.tls = None;
        }
        is_tls
    }

    fn carry_out(&mut self, input: &mut &[u8], most: usize, turn: &mut Turn<'_>) -> Served {
        for _ in 0..most {
            if self.has_to_pause() {
                return Served::Part;
            }
            let parked = self.parked.take();
            let line = match &parked {
                Some(line) => Line::Whole(line),
                None => match self.lines.next(input) {
                    Some(line) => line,
                    None => return Served::All,
                },
            };
            match self.session.carry_out(line, turn) {
                Step::Go => {}
                Step::Later => {
                    self.parked = Some(line.bytes().into());
                    return Served::Part;
                }
                Step::Move(worker) => return Served::Move(worker),
                Step::Quit => {
                    *input = &[];
                    self.input = Input::Ended;
                    return Served::All;
                }
            }
        }
        Served::Part
    }

    /// Reads what is there, once; returns how many bytes.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let got = self.transport.read(buffer, self.input == Input::Thorough);
        self.know_client();
        if self.loss() == Some(Loss::Revoked) {
            return 0;
        }
        match got {
            Ok(Got::Some(count)) => count,
            Ok(Got::Last(count)) => {
                self.input = Input::Idle;
                count
            }
            Ok(Got::Nothing) => {
                self.input = Input::Idle;
                0
            }
            Ok(Got::End) => {
                self.input = Input::Ended;
                if self.hung_up {
                    self.lose(Loss::Closed);
                }
                0
            }
            Err(error) => {
                self.input = Input::Ended;
                self.lose(error.into());
                0
            }
        }
    }

    /// Takes up what the transport has found out about who it is, as long as that may be news.
    fn know_client(&mut self) {
        if self.session.is_logged_in() {
            return;
        }
        if self.transport.is_tls() {
            self.session.comes_over_tls();
        }
        if self.session.is_nameless() {
            match self.transport.vouched() {
                None => {}
                Some(Ok(vouched)) => self.session.vouch(vouched),
                Some(Err(loss)) => {
                    self.input = Input::Ended;
                    self.lose(loss);
                }
            }
        }
    }

    /// There may be something to read that the system has not told of yet.
    pub(crate) fn expect_input(&mut self) {
        if self.input == Input::Idle {
            self.input = Input::Ready;
        }
    }

    /// What is wrong with the client's TLS, if anything is.
    pub(crate) fn trouble(&self) -> Option<&str> {
        match self.loss()? {
            Loss::Tls => Some(self.transport.why_no_tls()),
            Loss::BadTls => self.transport.trouble(),
            _ => None,
        }
    }

    /// Writes answers and deliveries until there are no more or the client takes no more.
    pub(crate) fn flush(&mut self) {
        let Connection { session, transport, output, .. } = self;
        if *output == Output::Open {
            let all = match session.outbox() {
                Some(outbox) => outbox.drain(transport).map(|drained| drained == Drained::All),
                None => write_off(transport, session.answers()),
            };
            // There may be something to send also when nothing was written.
            match all.and_then(|all| transport.flush().map(|()| all)) {
                Ok(true) => {}
                Ok(false) => *output = Output::Full,
                Err(error) if error.kind() == ErrorKind::WouldBlock => *output = Output::Full,
                Err(error) => self.lose(error.into()),
            }
        }
    }

    /// Tries to write although the system has not said that the client takes more: it says so only
    /// when a good part of its buffer is free, and a slow reader gets there late.
    pub(crate) fn flush_anyway(&mut self) {
        if self.output == Output::Full {
            self.output = Output::Open;
        }
        self.flush();
    }

    /// Bytes that the client has taken so far, if it takes no more now, and nobody else sees to it that
    /// it does in time.
    pub(crate) fn stuck_at(&self) -> Option<u64> {
        if self.output == Output::Full { self.transport.taken() } else { None }
    }

    /// The client takes nothing any more. What it sent before is still carried out.
    pub(crate) fn time_out(&mut self) {
        self.lose(Loss::TimedOut);
        self.finish();
    }

    /// Nothing more can come of this connection.
    pub(crate) fn is_over(&self) -> bool {
        let heard = self.is_finished() && !self.session.is_waiting();
        match self.output {
            Output::Gone(_) => heard || self.session.backlog().is_some(),
            // A receiver that has shut down its writing side may be listening.
            Output::Open => heard && !self.session.is_receiving() && self.all_written(),
            Output::Full => false,
        }
    }

    /// A receiver that has shut down its writing side, and may be listening or gone.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.input == Input::Ended && self.session.is_receiving()
    }

    /// How the client got lost, if it is.
    pub(crate) fn loss(&self) -> Option<Loss> {
        match self.output {
            Output::Gone(loss) => Some(loss),
            _ => None,
        }
    }

    /// Every answer and delivery is on its way.
    pub(crate) fn all_written(&self) -> bool {
        self.loss().is_some() || self.owed() == 0 && !self.session.lags()
    }

    /// From now on reads only what has already been received.
    pub(crate) fn finish(&mut self) {
        self.transport.limit_to_received();
        if self.input != Input::Ended {
            self.input = Input::Ready;
        }
    }

    /// All that had been received when [`Connection::finish`] was called is carried out.
    pub(crate) fn is_finished(&self) -> bool {
        let is_carried_out = self.parked.is_none() && self.held.is_empty();
        self.input == Input::Ended && is_carried_out && !self.session.is_awaiting()
    }

    /// Tells the client why it has to go, if it takes that.
    pub(crate) fn tell(&mut self, reason: &[u8]) {
        self.session.tell(reason);
        self.flush();
    }
}

/// Writes from the front of `bytes` and takes off what is written; `true` if that is all.
fn write_off(out: &mut impl Write, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut written = 0;
    let result = loop {
        if written == bytes.len() {
            break Ok(true);
        }
        match out.write(&bytes[written..]) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    bytes.drain(..written);
    // Most clients are quiet most of the time: no large buffer is kept for them.
    if bytes.is_empty() && bytes.capacity() > OWED {
        *bytes = Vec::new();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There may be much of it, of which little is used at a time.
    #[test]
    fn what_is_held_is_not_moved_when_some_of_it_is_used() {
        let held = Held { bytes: b"0123456789".to_vec(), used: 0 };
        let start = held.rest().as_ptr();
        let held = held.keep(7).keep(4);
        assert_eq!(held.rest(), b"6789");
        assert_eq!(held.rest().as_ptr(), start.wrapping_add(6));
        assert_eq!(held.keep(0).bytes.capacity(), 0);
    }
}
