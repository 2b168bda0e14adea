//! The server that is tried: one that runs, or one that is started here, and afresh after each trouble.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use super::peer::{Patience, Place};
use super::program::{Program, Stdout, Streams, ended};
use super::story::Story;
use super::trial::random;

/// How often it is looked whether a server that was started listens.
const LOOK: Duration = Duration::from_millis(3);

/// The server that is tried.
#[derive(Debug)]
pub(super) enum Subject {
    /// One that runs already.
    Running(Place),
    /// One that is started here.
    Started(Started),
}

/// A command that starts a server, and the one that it has started, if that runs.
#[derive(Debug)]
pub(super) struct Started {
    words: Vec<String>,
    patience: Patience,
    server: Option<Running>,
    /// What the next one writes to.
    stdout: Stdout,
}

/// A server that was started.
#[derive(Debug)]
pub(super) struct Running {
    pub program: Program,
    port: u16,
    /// The connection that has shown that it listens. It stays: to leave without a word may be what
    /// the server does not survive.
    first: TcpStream,
}

impl Subject {
    /// One that this command starts, with a port behind it.
    pub(super) fn of(words: Vec<String>, patience: Patience) -> Self {
        Subject::Started(Started { words, patience, server: None, stdout: Stdout::Pipe })
    }

    /// Where it listens. One that does not run is started.
    ///
    /// # Errors
    ///
    /// Why it does not listen.
    pub(super) fn place(&mut self) -> Result<Place, String> {
        match self {
            Subject::Running(place) => Ok(place.clone()),
            Subject::Started(started) => started.port().map(|port| Place::Inet(loopback(port))),
        }
    }

    /// Whether a new one can be had.
    pub(super) fn is_started(&self) -> bool {
        matches!(self, Subject::Started(_))
    }

    /// Ends it if it was started here, so that the next is fresh.
    pub(super) fn renew(&mut self) {
        if let Subject::Started(started) = self {
            started.server = None;
        }
    }

    /// How it has ended, if it was started here and has.
    pub(super) fn end(&mut self) -> Option<String> {
        self.running()?.end()
    }

    /// The same, if it may be about to end.
    pub(super) fn end_in_a_moment(&mut self) -> Option<String> {
        self.running()?.end_in_a_moment()
    }

    fn running(&mut self) -> Option<&mut Running> {
        match self {
            Subject::Started(started) => started.server.as_mut(),
            _ => None,
        }
    }
}

impl Running {
    /// How it has ended, if it has, or is about to: of one that dies, connections end one after the
    /// other.
    pub(super) fn end_in_a_moment(&mut self) -> Option<String> {
        const MOMENT: Duration = Duration::from_secs(1);
        let deadline = Instant::now() + MOMENT;
        loop {
            let end = self.end();
            if end.is_some() || Instant::now() >= deadline {
                return end;
            }
            thread::sleep(LOOK);
        }
    }

    /// How it has ended, if it has.
    pub(super) fn end(&mut self) -> Option<String> {
        // One that has closed the connection and its port is about to end.
        let is_ending = is_closed(&self.first) && connection(self.port).is_none();
        let program = &mut self.program;
        let status = if is_ending { program.status_soon() } else { program.status() }?;
        Some(format!("{}{}", ended(status), program.last_words()))
    }
}

impl Started {
    fn port(&mut self) -> Result<u16, String> {
        if self.server.is_none() {
            let server = self.start(&Story::default());
            self.stdout = Stdout::Pipe;
            self.server = Some(server?);
        }
        self.taken_port().ok_or_else(|| "it does not run".into())
    }

    /// The next one is another, and writes to a terminal.
    pub(super) fn restart_on_terminal(&mut self) {
        (self.server, self.stdout) = (None, Stdout::Terminal);
    }

    /// Starts one, and waits until it listens.
    ///
    /// # Errors
    ///
    /// Why it does not listen.
    fn start(&self, story: &Story) -> Result<Running, String> {
        /// Somebody else may take a port just when it was found to be free.
        const TRIES: usize = 3;
        let mut why = String::new();
        for _ in 0..TRIES {
            let port = free_port()?;
            let mut program = self.start_at(&[port.to_string()], story)?;
            let deadline = Instant::now() + self.patience.0;
            loop {
                if let Some(first) = connection(port) {
                    return Ok(Running { program, port, first });
                }
                if let Some(status) = program.status() {
                    why = format!(
                        "it ended before it listened, with {}{}",
                        ended(status),
                        program.last_words()
                    );
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(format!(
                        "it does not listen on its port: {}",
                        self.patience.over()
                    ));
                }
                thread::sleep(LOOK);
            }
        }
        Err(why)
    }

    /// Starts one more with these arguments.
    ///
    /// # Errors
    ///
    /// Why it cannot be started.
    pub(super) fn start_at(&self, args: &[String], story: &Story) -> Result<Program, String> {
        let streams = Streams { speaks: false, stdout: self.stdout };
        let started = Program::start(&self.words, args, streams, self.patience, story);
        let name = self.words.first().map_or("", String::as_str);
        started.map_err(|error| format!("cannot start {name}: {error}"))
    }

    /// Gives away the server that runs; the next one is fresh.
    pub(super) fn take(&mut self) -> Option<Running> {
        self.server.take()
    }

    /// The port of the server that runs, if one does.
    pub(super) fn taken_port(&self) -> Option<u16> {
        self.server.as_ref().map(|server| server.port)
    }
}

/// This port on this machine.
pub(super) fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// A port that nobody uses just now. Until the server has it, somebody else may take it, and would be
/// taken for the server: so it is none of those that systems give to whoever asks for any port.
fn free_port() -> Result<u16, String> {
    const TRIES: usize = 100;
    const GIVEN_TO_NOBODY: Range<u64> = 10_000..32_768;
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let of_ours = || {
        let count = GIVEN_TO_NOBODY.end - GIVEN_TO_NOBODY.start;
        bind((GIVEN_TO_NOBODY.start + random() % count) as u16).ok()
    };
    let listener = (0..TRIES).find_map(|_| of_ours()).map_or_else(|| bind(0), Ok);
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("there is no free port: {error}"))
}

fn connection(port: u16) -> Option<TcpStream> {
    let streams = loopback(port).into_iter().filter_map(|it| TcpStream::connect(it).ok());
    // Where nobody listens, one may by chance connect from that very port, to oneself.
    let mut others = streams.filter(|it| it.local_addr().ok() != it.peer_addr().ok());
    others.next()
}

/// Whether the other end is gone.
fn is_closed(stream: &TcpStream) -> bool {
    let open = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    peeked.map_or_else(|error| !open(error), |count| count == 0)
}
