//! One end of a connection, by hand: bytes out, lines in, each told in the story.
//!
//! Knows bytes and line ends. Must not know what the program does that is at the other end, nor what
//! carries the bytes. Spells out what it sends: the program's own way to write a line may be what is
//! wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt;

use super::story::{Story, shown};
use super::verdict::{Finding, Step, Stop};
use crate::client::transport::{Address, Stream};
use crate::system::descriptors;

/// A line longer than this is no line.
const LONGEST: usize = 1 << 20;

/// How long things may take, and what that is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(pub Duration);

impl Patience {
    /// What is said when it is over.
    pub(super) fn over(self) -> String {
        format!("nothing within {} s (--timeout)", self.0.as_secs_f64())
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What it is called in the story when it sends, and when it gets something.
    names: [String; 2],
    stream: Stream,
    /// What has come, and how much of it was given to somebody.
    input: Vec<u8>,
    given: usize,
    end: Option<End>,
    /// It was in vain to send, as there was a reset: the system tells it only once.
    was_reset: bool,
    patience: Patience,
    story: Story,
}

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On the first of these addresses that takes a connection.
    Inet(Vec<SocketAddr>),
    /// There, over a Unix socket or TLS.
    Other(Address),
}

impl Place {
    /// Connects, within that time if it is about addresses; or why not.
    fn connect(&self, most: Duration) -> Result<Stream, String> {
        let addresses = match self {
            Place::Inet(addresses) => addresses,
            Place::Other(address) => return address.connect().map_err(|error| error.to_string()),
        };
        let mut came = "no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(address, most) {
                Ok(stream) => return Ok(Stream::Tcp(stream)),
                Err(error) => came = error.to_string(),
            }
        }
        Err(came)
    }
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

/// What comes next.
#[derive(Debug)]
enum Next {
    /// A line, without its end.
    Line(Vec<u8>),
    /// The end, and what came before it that is no whole line.
    End(End, Vec<u8>),
    /// Nothing in time.
    Nothing,
}

impl Peer {
    /// Connects to a server.
    pub(super) fn connect(
        place: &Place,
        names: [String; 2],
        patience: Patience,
        story: &Story,
    ) -> Step<Self> {
        let stream = place.connect(patience.0).map_err(|came| {
            let timed_out = came.contains("timed out");
            let finding = Finding::new("a server that takes a connection", came);
            Stop::Error(Finding { timed_out, ..finding })
        })?;
        Self::over(stream, names, patience, story)
    }

    /// One that has just asked to log in as a sender, for which there is no story.
    pub(super) fn newcomer(place: &Place, patience: Patience, user: &str) -> Step<Self> {
        let names = ["newcomer sends", "newcomer gets"].map(String::from);
        let mut peer = Self::connect(place, names, patience, &Story::default())?;
        peer.say(format!("slogin:{user}"))?;
        Ok(peer)
    }

    /// One over a connection that is there.
    pub(super) fn over(
        stream: Stream,
        names: [String; 2],
        patience: Patience,
        story: &Story,
    ) -> Step<Self> {
        // Over anything else it is like that already.
        if let Stream::Tcp(tcp) = &stream
            && let Err(error) = tcp.set_nonblocking(true).and_then(|()| tcp.set_nodelay(true))
        {
            return Err(Stop::Error(Finding::new("a connection", error.to_string())));
        }
        let (names, story) = (story.enter(names), story.clone());
        let (was_reset, end) = (false, None);
        Ok(Peer { names, stream, input: Vec::new(), given: 0, end, was_reset, patience, story })
    }

    /// Its socket, to be kept for longer than itself; of whatever kind, it can be read and shut down.
    pub(super) fn socket(&self) -> Option<TcpStream> {
        self.stream.as_fd().try_clone_to_owned().ok().map(TcpStream::from)
    }

    /// Sends bytes, and takes what comes meanwhile once no more can be sent. Where the other end is
    /// gone, what comes next tells.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) -> Step {
        let mut rest = bytes.as_ref();
        self.story.tell(&self.names[0], rest);
        let mut deadline = Instant::now() + self.patience.0;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) if count > 0 => {
                    rest = &rest[count..];
                    deadline = Instant::now() + self.patience.0;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.was_reset |= error.kind() == ErrorKind::ConnectionReset;
                    break;
                }
                Ok(_) => break,
            }
            let before = self.input.len();
            if !self.wait(PollFlags::IN | PollFlags::OUT, deadline) {
                let finding = self.finding("that what is sent is taken", self.patience.over());
                return Err(Stop::Fail(Finding { timed_out: true, ..finding }));
            }
            self.take();
            if self.end.is_some() {
                break;
            }
            if self.input.len() > before {
                deadline = Instant::now() + self.patience.0;
            }
        }
        Ok(())
    }

    /// Sends what is taken of some bytes, and does not wait for more. Returns how many that are.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = self.stream.write(bytes).unwrap_or_default();
        self.story.tell(&self.names[0], &bytes[..taken]);
        taken
    }

    /// Takes what is there, and forgets it. Returns whether there was anything.
    pub(super) fn skip(&mut self) -> bool {
        self.take();
        let any = !self.left().is_empty();
        self.given = self.input.len();
        any
    }

    /// Takes what is there, and forgets the whole lines of it. Returns how many there were.
    pub(super) fn skip_lines(&mut self) -> usize {
        self.take();
        let left = self.left();
        let lines = memchr::memchr_iter(b'\n', left).count();
        self.given += memchr::memrchr(b'\n', left).map_or(0, |at| at + 1);
        lines
    }

    /// From now on, the system keeps little for it that it has not read.
    pub(super) fn read_little(&self) {
        let _ = sockopt::set_socket_recv_buffer_size(&self.stream, 4096);
    }

    /// Sends a line.
    pub(super) fn say(&mut self, line: impl AsRef<[u8]>) -> Step {
        self.send([line.as_ref(), b"\n"].concat())
    }

    /// Shuts down the writing side.
    pub(super) fn half_close(&mut self) {
        self.story.tell(&self.names[0], b" [end of what it sends] ");
        self.stream.end();
    }

    /// From now on, to drop this resets the connection.
    pub(super) fn reset(&self) {
        self.story.leave(&self.names[0], " [reset] ");
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Tells that this is dropped.
    pub(super) fn close(&self) {
        self.story.leave(&self.names[0], " [close] ");
    }

    /// Waits until the socket is ready, or the deadline. Returns whether it is.
    fn wait(&self, flags: PollFlags, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&self.stream, flags | self.stream.wanted())];
        descriptors::wait(&mut fds, Some(left)).unwrap_or(false)
    }

    /// Takes what is there.
    fn take(&mut self) {
        let mut piece = [0; 64 * 1024];
        self.input.drain(..self.given);
        self.given = 0;
        while self.end.is_none() && self.input.len() < 4 * LONGEST {
            match self.stream.read(&mut piece) {
                Ok(0) if self.was_reset => self.end = Some(End::Reset),
                Ok(0) => self.end = Some(End::Closed),
                Ok(count) => self.input.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end = Some(End::Reset),
            }
        }
    }

    /// What has come and was given to nobody.
    fn left(&self) -> &[u8] {
        &self.input[self.given..]
    }

    fn take_left(&mut self) -> Vec<u8> {
        let left = self.left().to_vec();
        self.given = self.input.len();
        left
    }

    fn next(&mut self) -> Next {
        let deadline = Instant::now() + self.patience.0;
        let mut looked_at = 0;
        loop {
            let left = self.left();
            let found = memchr::memchr(b'\n', &left[looked_at..]).map(|at| looked_at + at);
            if let Some(length) = found.or((left.len() > LONGEST).then_some(LONGEST)) {
                let mut line = left[..=length].to_vec();
                self.given += line.len();
                self.story.tell(&self.names[1], &line);
                line.pop();
                return Next::Line(line);
            }
            looked_at = left.len();
            if let Some(end) = self.end {
                let rest = self.take_left();
                if !rest.is_empty() {
                    self.story.tell(&self.names[1], &rest);
                }
                return Next::End(end, rest);
            }
            if !self.wait(PollFlags::IN, deadline) {
                return Next::Nothing;
            }
            self.take();
        }
    }

    /// The next line, without its end, or that there is none where one has to come.
    pub(super) fn line(&mut self, expected: &str) -> Step<Vec<u8>> {
        let next = self.next();
        match next {
            Next::Line(line) => Ok(line),
            other => Err(self.stop(expected, &other)),
        }
    }

    /// The same, or nothing if the connection was cut, with a reset.
    pub(super) fn line_or_cut(&mut self, expected: &str) -> Step<Option<Vec<u8>>> {
        match self.next() {
            Next::Line(line) => Ok(Some(line)),
            Next::End(End::Reset, _) => Ok(None),
            other => Err(self.stop(expected, &other)),
        }
    }

    /// Reads up to a line for which `is_last`, which has to come in time however many come before it.
    /// For each of those, `is_fine`.
    pub(super) fn skip_to(
        &mut self,
        expected: &str,
        is_last: impl Fn(&[u8]) -> bool,
        is_fine: impl Fn(&[u8]) -> bool,
    ) -> Step {
        let deadline = Instant::now() + self.patience.0;
        loop {
            let line = self.line(expected)?;
            if is_last(&line) {
                return Ok(());
            }
            if !is_fine(&line) {
                return Err(self.fail(expected, shown(&[&line[..], b"\n"].concat())));
            }
            if Instant::now() >= deadline {
                let came = format!("other lines, and of this {}", self.patience.over());
                let finding = self.finding(expected, came);
                return Err(Stop::Fail(Finding { timed_out: true, ..finding }));
            }
        }
    }

    /// Reads up to this line, which has to come in time. What else comes is for other cases.
    pub(super) fn skip_to_line(&mut self, want: &[u8]) -> Step {
        let is_it = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line) == want;
        self.skip_to(&shown(want), is_it, |_| true)
    }

    /// The next line has to be this one; it may end in `\r\n`.
    pub(super) fn expect(&mut self, want: impl AsRef<[u8]>) -> Step {
        self.expect_either(want).map(drop)
    }

    /// The same; returns whether it ends in `\r\n`.
    pub(super) fn expect_either(&mut self, want: impl AsRef<[u8]>) -> Step<bool> {
        let want = want.as_ref();
        let whole = [want, b"\n"].concat();
        let line = self.line(&shown(&whole))?;
        match line.strip_prefix(want) {
            Some(b"") => Ok(false),
            Some(b"\r") => Ok(true),
            _ => Err(self.fail(shown(&whole), shown(&[&line[..], b"\n"].concat()))),
        }
    }

    /// The next line has to begin so. Returns what comes after that.
    pub(super) fn expect_tag(&mut self, tag: &str) -> Step<Vec<u8>> {
        let expected = format!("one line that begins with \"{tag}\"");
        let line = self.line(&expected)?;
        match line.strip_prefix(tag.as_bytes()) {
            Some(rest) => Ok(rest.strip_suffix(b"\r").unwrap_or(rest).to_vec()),
            None => Err(self.fail(expected, shown(&[&line[..], b"\n"].concat()))),
        }
    }

    /// The next line has to be `ok`.
    pub(super) fn expect_ok(&mut self) -> Step<Vec<u8>> {
        self.expect_tag("ok:")
    }

    /// The next line has to be `err`.
    pub(super) fn expect_err(&mut self) -> Step<Vec<u8>> {
        self.expect_tag("err:")
    }

    /// Says a line that has to be answered with `ok`.
    pub(super) fn ok(&mut self, line: impl AsRef<[u8]>) -> Step<Vec<u8>> {
        self.say(line)?;
        self.expect_ok()
    }

    /// Says a line that has to be answered with `err`.
    pub(super) fn err(&mut self, line: impl AsRef<[u8]>) -> Step<Vec<u8>> {
        self.say(line)?;
        self.expect_err()
    }

    /// Says a line, which has to be answered with `ok` after any number of `err`.
    pub(super) fn ok_in_the_end(&mut self, line: impl AsRef<[u8]>) -> Step {
        self.say(line)?;
        let begins = |tag: &'static [u8]| move |line: &[u8]| line.starts_with(tag);
        self.skip_to("a line that begins with \"ok:\"", begins(b"ok:"), begins(b"err:"))
    }

    /// The other end has to close without another word; a reset is an end, too.
    pub(super) fn expect_end(&mut self) -> Step {
        match self.next() {
            Next::End(_, rest) if rest.is_empty() => Ok(()),
            other => Err(self.stop("the end of the connection, without another word", &other)),
        }
    }

    /// The rest up to the end of the connection, by lines; the last may have no end.
    pub(super) fn rest(&mut self) -> Step<Vec<Vec<u8>>> {
        /// More is no answer to anything that a case says.
        const MOST: usize = 1000;
        let mut lines = Vec::new();
        loop {
            match self.next() {
                Next::Line(line) if lines.len() == MOST => {
                    return Err(self.stop("the end of the connection", &Next::Line(line)));
                }
                Next::Line(line) => lines.push(line),
                Next::End(_, rest) => {
                    lines.extend((!rest.is_empty()).then_some(rest));
                    return Ok(lines);
                }
                Next::Nothing => return Err(self.stop("the end of the connection", &Next::Nothing)),
            }
        }
    }

    /// Tells the other system that all has come. Until it knows, it may keep back what is to follow.
    pub(super) fn acknowledge(&self) {
        let _ = sockopt::set_tcp_quickack(&self.stream, true);
    }

    /// Nothing may have come up to now, but for the end of the connection.
    pub(super) fn expect_nothing_yet(&mut self, why: &str) -> Step {
        self.take();
        if self.left().is_empty() {
            return Ok(());
        }
        let came = self.take_left();
        self.story.tell(&self.names[1], &came);
        Err(self.fail(why, shown(&came)))
    }

    /// A failure of the case.
    pub(super) fn fail(&self, expected: impl Into<String>, came: impl Into<String>) -> Stop {
        Stop::Fail(self.finding(expected, came))
    }

    fn finding(&self, expected: impl Into<String>, came: impl Into<String>) -> Finding {
        let [sends, gets] = &self.names;
        Finding { story: self.story.last(&[sends, gets]), ..Finding::new(expected, came) }
    }

    /// What it is that something else comes next.
    fn stop(&self, expected: &str, next: &Next) -> Stop {
        let came = match next {
            Next::Line(line) => shown(&[&line[..], b"\n"].concat()),
            Next::End(end, rest) => {
                let end = match end {
                    End::Closed => "the end of the connection",
                    End::Reset => "a reset of the connection",
                };
                if rest.is_empty() { end.to_owned() } else { format!("{}, and {end}", shown(rest)) }
            }
            Next::Nothing if self.left().is_empty() => self.patience.over(),
            Next::Nothing => {
                format!("{} without an end, and {}", shown(self.left()), self.patience.over())
            }
        };
        let timed_out = matches!(next, Next::Nothing);
        Stop::Fail(Finding { timed_out, ..self.finding(expected, came) })
    }
}
