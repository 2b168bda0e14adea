//! One client's socket: bytes in, lines out to the session, answers and deliveries back.
//!
//! Never blocks. What a client sends is read only as long as its answers can be written and its
//! room takes texts, so that neither can make the server keep more than a few buffers.
//!
//! Whether a connection is over is for [`Connection::is_over`] to say, and for its worker to ask
//! after anything that has changed the connection.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use rustix::net::sockopt;

use super::outbox::Drained;
use super::places::Place;
use super::session::{Session, Step, Turn};
use super::stall::Stall;
use crate::lines::LineSplitter;
use crate::protocol::MAX_REQUEST;

/// With this many bytes owed to a client, its next lines wait until they are written.
const OWED: usize = 16 * 1024;

/// The first bytes of a TLS client. Nothing that makes sense here begins like that.
const TLS: [u8; 2] = [0x16, 0x03];

/// One client's socket, and its session.
#[derive(Debug)]
pub struct Connection {
    /// Counts all connections.
    pub serial: u64,
    /// The socket. Closed before the session gives its place back.
    pub stream: TcpStream,
    /// What the client is to the chat.
    pub session: Session,
    /// When the client has to have logged in.
    pub login_deadline: Option<Instant>,
    /// The receiver's queue is above its mark, or has been of late. Then its worker looks at it now
    /// and then.
    pub stall: Option<Box<Stall>>,
    /// It stands in the line of those who wait for its room.
    pub waiting: bool,
    /// Its worker has it on the list of those to be served.
    pub listed: bool,
    /// Its worker has it on the list of those that something has happened to.
    pub changed: bool,
    lines: LineSplitter,
    /// How many bytes of [`TLS`] it began with, until that is known for sure.
    tls: Option<usize>,
    /// Bytes that were read and whose lines have to wait.
    held: Vec<u8>,
    input: Input,
    output: Output,
    /// The system has said that the client neither sends nor takes anything any more.
    hung_up: bool,
    /// Bytes that may still be read, once the server is stopping.
    quota: Option<usize>,
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
    /// The socket takes more.
    Open,
    /// The socket is full.
    Full,
    /// The client is gone. What it sent before is still carried out.
    Gone(Loss),
}

/// How a client got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It closed, or its system did.
    Closed,
    /// Its system has not answered for long, or not taken what it was sent.
    TimedOut,
    /// It speaks TLS, which we do not.
    Tls,
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Loss::TimedOut,
            _ => Loss::Closed,
        }
    }
}

/// What has become of a client's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// No more of them are here.
    All,
    /// More of them may be here.
    Part,
    /// They wait until the client's room takes texts again.
    Waits,
    /// The session has to move to that worker first.
    Move(usize),
}

impl Connection {
    /// A client that has just connected.
    pub fn new(serial: u64, stream: TcpStream, peer: SocketAddr, place: Place) -> Self {
        Connection {
            serial,
            session: Session::new(peer, place),
            stream,
            login_deadline: None,
            stall: None,
            waiting: false,
            listed: false,
            changed: false,
            hung_up: false,
            lines: LineSplitter::new(MAX_REQUEST),
            tls: Some(0),
            held: Vec::new(),
            input: Input::Idle,
            output: Output::Open,
            quota: None,
        }
    }

    /// Takes down what the system says of the socket.
    pub fn note(&mut self, event: &Event) {
        // A read stops short at urgent data, too.
        let thorough = event.is_read_closed() || event.is_error() || event.is_priority();
        match self.input {
            Input::Ended => {}
            _ if thorough => self.input = Input::Thorough,
            Input::Idle if event.is_readable() => self.input = Input::Ready,
            _ => {}
        }
        self.hung_up |= event.is_error() || event.is_write_closed();
        if self.hung_up && self.input == Input::Ended {
            self.lose(Loss::Closed);
        }
        if self.output == Output::Full && event.is_writable() {
            self.output = Output::Open;
        }
    }

    /// Forgets what it knows of the socket, so that all of it is tried once more.
    pub fn doubt(&mut self) {
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
        }
    }

    /// There may be lines to carry out now.
    pub fn is_servable(&self) -> bool {
        let some = !self.held.is_empty() || matches!(self.input, Input::Ready | Input::Thorough);
        some && !self.waiting && self.output != Output::Full && self.session.owed() < OWED
    }

    /// Reads once, into `buffer`, unless some of what was read is still held, and carries out the
    /// lines that are whole, `most` of them at most.
    pub fn serve(&mut self, buffer: &mut [u8], most: usize, turn: &mut Turn<'_>) -> Served {
        let mut held = mem::take(&mut self.held);
        let mut rest = match held.is_empty() {
            true => {
                let count = self.read(buffer);
                &buffer[..count]
            }
            false => &held[..],
        };
        if self.is_tls(rest) {
            self.input = Input::Ended;
            self.lose(Loss::Tls);
            return Served::All;
        }
        let served = self.carry_out(&mut rest, most, turn);
        let left = rest.len();
        self.held = match (left, held.is_empty()) {
            (0, _) => Vec::new(),
            (_, true) => rest.to_vec(),
            (_, false) => {
                held.drain(..held.len() - left);
                held
            }
        };
        self.session.queue_answers();
        match served {
            Served::All if self.is_servable() => Served::Part,
            served => served,
        }
    }

    /// Whether the client speaks TLS, after these bytes.
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
            // Nobody waits who has nothing to say.
            if let Some(room) = self.session.congested_room()
                && input.contains(&b'\n')
                && room.wait(turn.id)
            {
                self.waiting = true;
                return Served::Waits;
            }
            if self.session.owed() >= OWED {
                return Served::Part;
            }
            let Some(line) = self.lines.next(input) else {
                return Served::All;
            };
            match self.session.carry_out(line, turn) {
                Step::Go => {}
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

    /// Reads what is there. In general, a short read leaves the socket empty.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let most = self.quota.map_or(buffer.len(), |quota| quota.min(buffer.len()));
        match self.stream.read(&mut buffer[..most]) {
            Ok(0) => {
                self.input = Input::Ended;
                if self.hung_up {
                    self.lose(Loss::Closed);
                }
            }
            Ok(count) => {
                if let Some(quota) = &mut self.quota {
                    *quota -= count;
                } else if count < most && self.input == Input::Ready {
                    self.input = Input::Idle;
                }
                return count;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.input = if self.quota.is_some() { Input::Ended } else { Input::Idle };
            }
            Err(error) => {
                self.input = Input::Ended;
                self.lose(error.into());
            }
        }
        0
    }

    /// There may be something to read that the system has not told of yet.
    pub fn expect_input(&mut self) {
        if self.input == Input::Idle {
            self.input = Input::Ready;
        }
    }

    /// Writes answers and deliveries until there are no more or the socket is full.
    pub fn flush(&mut self) {
        let Connection { session, stream, output, .. } = self;
        if *output == Output::Open {
            let all = match session.outbox() {
                Some(outbox) => outbox.drain(stream).map(|drained| drained == Drained::All),
                None => write_off(stream, session.answers()),
            };
            *output = match all {
                Ok(true) => Output::Open,
                Ok(false) => Output::Full,
                Err(error) => Output::Gone(error.into()),
            };
        }
        if let Output::Gone(_) = output {
            session.answers().clear();
        }
    }

    /// Tries to write although the system has not said that the socket takes more: it says so
    /// only when a good part of its buffer is free, and a slow reader gets there late.
    pub fn flush_anyway(&mut self) {
        if self.output == Output::Full {
            self.output = Output::Open;
        }
        self.flush();
    }

    /// Nothing more can come of this connection.
    pub fn is_over(&self) -> bool {
        let heard = self.input == Input::Ended && self.held.is_empty() && !self.waiting;
        match self.output {
            Output::Gone(_) => heard || self.session.backlog().is_some(),
            // A receiver that has shut down its writing side may be listening.
            Output::Open => heard && !self.session.is_receiving() && self.all_written(),
            Output::Full => false,
        }
    }

    /// A receiver that has shut down its writing side, and may be listening or gone.
    pub fn is_half_closed(&self) -> bool {
        self.input == Input::Ended && self.session.is_receiving()
    }

    /// How the client got lost, if it is.
    pub fn loss(&self) -> Option<Loss> {
        match self.output {
            Output::Gone(loss) => Some(loss),
            _ => None,
        }
    }

    /// Every answer and delivery is on its way.
    pub fn all_written(&self) -> bool {
        self.loss().is_some() || self.session.owed() == 0
    }

    /// From now on reads only what has already been received.
    pub fn finish(&mut self) {
        if self.quota.is_none() {
            self.quota = Some(self.received());
            if self.input != Input::Ended {
                self.input = Input::Ready;
            }
        }
    }

    /// All that had been received when [`Connection::finish`] was called is carried out.
    pub fn is_finished(&self) -> bool {
        self.input == Input::Ended && self.held.is_empty()
    }

    /// Ends the connection without regard to what was written, so that the client can tell that it
    /// was cut.
    pub fn reset(self: Box<Self>) {
        // Without it, this is an end like any other.
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Ends the connection so that what was written still arrives.
    pub fn close(mut self: Box<Self>) {
        let _ = self.stream.shutdown(Shutdown::Write);
        // Input that is there and unread would make the system take back what it has not sent yet.
        let mut left = self.received();
        let mut discard = [0; 16 * 1024];
        while left > 0 {
            match self.stream.read(&mut discard) {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                _ => break,
            }
        }
    }

    /// Bytes that have been received and not read.
    fn received(&self) -> usize {
        let count = rustix::io::ioctl_fionread(&self.stream).unwrap_or(0);
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

/// Writes from the front of `bytes` and takes off what is written; tells whether that is all.
fn write_off(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut written = 0;
    let result = loop {
        if written == bytes.len() {
            break Ok(true);
        }
        match stream.write(&bytes[written..]) {
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
