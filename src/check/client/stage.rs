//! Where the cases of a sender or receiver are tried: a server that says what the case wants, and the
//! client that talks to it.

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::check::case::Profile;
use crate::check::peer::{Patience, Peer};
use crate::check::program::{Program, Stdout, Streams, ended};
use crate::check::story::{Story, shown};
use crate::check::trial::{Ground, mark};
use crate::check::verdict::{Finding, Given, Step, Stop};
use crate::client::transport::Stream;
use crate::system::{descriptors, sockets};

/// How often it is looked whether a client has ended, or has read something.
const LOOK: Duration = Duration::from_millis(10);

/// Where the cases of a client are tried.
pub(crate) struct Stage {
    words: Vec<String>,
    /// It is a receiver.
    receives: bool,
    profile: Profile,
    patience: Patience,
    /// What makes this case's names different from all others.
    mark: String,
    /// The last client that was started did not connect in time, or did not say anything then.
    is_mute: Rc<Cell<bool>>,
}

/// A client that runs, and the server's end of its connection.
pub(crate) struct Scene {
    pub program: Program,
    pub server: Peer,
    pub user: String,
    pub room: String,
    /// It is a receiver.
    pub receives: bool,
    full: bool,
    is_mute: Rc<Cell<bool>>,
}

impl Ground for Stage {
    fn begin(&mut self) -> Step {
        self.mark = mark();
        Ok(())
    }

    fn end(&mut self, outcome: Step) -> Step {
        outcome
    }

    fn is_lost(&self) -> Option<String> {
        None
    }

    fn is_renewable(&self) -> bool {
        true
    }

    fn is_mute(&self) -> bool {
        self.is_mute.get()
    }
}

impl Stage {
    pub(crate) fn new(
        words: Vec<String>,
        receives: bool,
        profile: Profile,
        patience: Patience,
    ) -> Self {
        let (mark, is_mute) = (String::new(), Rc::default());
        Stage { words, receives, profile, patience, mark, is_mute }
    }

    /// Whether all of the protocol is asked.
    pub(crate) fn is_full(&self) -> bool {
        self.profile == Profile::Full
    }

    /// Starts the client with exactly these arguments.
    pub(crate) fn start_with(&self, args: &[String]) -> Step<Program> {
        self.start_program(args, Stdout::Pipe, &Story::default())
    }

    fn start_program(&self, args: &[String], stdout: Stdout, story: &Story) -> Step<Program> {
        let streams = Streams { speaks: true, stdout };
        let program = Program::start(&self.words, args, streams, self.patience, story);
        let name = self.words.first().map_or("", String::as_str);
        program.map_err(|error| {
            Stop::Error(Finding::new(format!("{name} to be started"), error.to_string()))
        })
    }

    /// The arguments of a client of a server on this port.
    pub(crate) fn arguments(&self, host: &str, port: &str) -> Vec<String> {
        self.arguments_for(host, port, &self.room())
    }

    fn arguments_for(&self, host: &str, port: &str, room: &str) -> Vec<String> {
        let mut args = vec![host.to_owned(), port.to_owned(), format!("ann{}", self.mark)];
        args.extend(self.receives.then(|| room.to_owned()));
        args
    }

    /// The room that a receiver is told.
    fn room(&self) -> String {
        format!("cafe{}", self.mark)
    }

    /// Starts the client, which has to connect to a server that is there.
    pub(crate) fn start(&self) -> Step<Scene> {
        self.start_for(self.room(), Stdout::Pipe)
    }

    /// The same, and it writes to a terminal, but does not read from one.
    pub(crate) fn start_at_terminal(&self) -> Step<Scene> {
        self.start_for(self.room(), Stdout::Terminal)
    }

    /// The same, with another room for a receiver. Each is a story of its own: what became of one
    /// before does not explain anything.
    fn start_for(&self, room: String, stdout: Stdout) -> Step<Scene> {
        let (listeners, port) = listen()?;
        let args = self.arguments_for("localhost", &port.to_string(), &room);
        let story = Story::default();
        let mut program = self.start_program(&args, stdout, &story)?;
        let accepted = self.accept(&listeners, &mut program);
        self.is_mute.set(accepted.is_err() && program.status().is_none());
        let stream = accepted?;
        let names = ["the server sends", "the client sends"].map(String::from);
        Ok(Scene {
            program,
            server: Peer::over(Stream::Tcp(stream), names, self.patience, &story)?,
            user: format!("ann{}", self.mark),
            room,
            receives: self.receives,
            full: self.is_full(),
            is_mute: Rc::clone(&self.is_mute),
        })
    }

    /// Takes its connection.
    pub(super) fn accept(
        &self,
        listeners: &[TcpListener],
        program: &mut Program,
    ) -> Step<TcpStream> {
        let deadline = Instant::now() + self.patience.0;
        let expected = "a connection to the server";
        loop {
            let mut fds: Vec<_> =
                listeners.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
            let ready = descriptors::wait(&mut fds, Some(LOOK)).unwrap_or(false);
            let accepted = listeners.iter().find_map(|listener| listener.accept().ok());
            if let Some((stream, _)) = accepted {
                return Ok(stream);
            }
            if let Some(status) = program.status().filter(|_| !ready) {
                program.finish(expected)?;
                return Err(program.fail(expected, ended(status)));
            }
            if Instant::now() >= deadline {
                return Err(program.timed_out(expected));
            }
        }
    }

    /// A client that has logged in.
    pub(crate) fn logged_in(&self) -> Step<Scene> {
        let mut scene = self.start().given()?;
        scene.log_in("welcome").given()?;
        Ok(scene)
    }

    /// A receiver that is in its room.
    pub(crate) fn in_room(&self) -> Step<Scene> {
        self.in_room_of(self.room())
    }

    /// The same, in a room with this name.
    pub(crate) fn in_room_of(&self, room: String) -> Step<Scene> {
        let mut scene = self.start_for(room, Stdout::Pipe).given()?;
        scene.log_in("welcome").given()?;
        scene.come_in("come in").given()?;
        Ok(scene)
    }
}

/// A port of this machine, by IPv4 and, if there is one, IPv6.
pub(super) fn listen() -> Step<(Vec<TcpListener>, u16)> {
    let listen = || {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        let all: Vec<_> = [Ok(first), second].into_iter().flatten().collect();
        all.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
        Ok::<_, std::io::Error>((all, port))
    };
    listen().map_err(|error| Stop::Error(Finding::new("a port to listen on", error.to_string())))
}

/// A port of this machine at which nobody listens, and nobody will as long as the socket is there.
pub(super) fn closed_port() -> Step<(OwnedFd, u16)> {
    let closed = sockets::closed().map(|(socket, address)| (socket, address.port()));
    closed.map_err(|error| Stop::Error(Finding::new("a port", error.to_string())))
}

impl Scene {
    /// The first line has to be the login.
    pub(crate) fn expect_login(&mut self) -> Step {
        let tag = if self.receives { "rlogin" } else { "slogin" };
        let outcome = self.server.expect(format!("{tag}:{}", self.user));
        self.is_mute.set(matches!(&outcome, Err(Stop::Fail(finding)) if finding.timed_out));
        outcome
    }

    /// It logs in, and that is answered with `ok` and this.
    pub(crate) fn log_in(&mut self, answer: &str) -> Step {
        self.expect_login()?;
        self.server.send(format!("ok:{answer}\n"))
    }

    /// A receiver joins its room, and that is answered with `ok` and this.
    pub(crate) fn come_in(&mut self, answer: &str) -> Step {
        self.expect_join()?;
        self.server.send(format!("ok:{answer}\n"))?;
        // What is sent next does not come with that: it would depend on the machine what a careless one
        // makes of the two.
        self.program.take_in();
        Ok(())
    }

    /// The next line has to be the join of its room.
    pub(crate) fn expect_join(&mut self) -> Step {
        self.server.expect(format!("join:{}", self.room))
    }

    /// The line that brings it a text of its room.
    pub(crate) fn delivery(&self, sender: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Vec<u8> {
        let (sender, text) = (sender.as_ref(), text.as_ref());
        [b"delivery:", self.room.as_bytes(), b":", sender, b":", text, b"\n"].concat()
    }

    /// Sends it a text of its room.
    pub(crate) fn deliver(&mut self, sender: &str, text: impl AsRef<[u8]>) -> Step {
        self.server.send(self.delivery(sender, text))
    }

    /// A sender is told to quit, and does; the server closes, as servers do.
    pub(crate) fn quits(&mut self) -> Step {
        self.program.type_in("/quit\n");
        self.server.expect_tag("quit:")?;
        self.server.send("ok:bye\n")?;
        self.server.half_close();
        self.expect_success()
    }

    /// Once it has nothing to do any more, it has sent nothing.
    pub(crate) fn expect_patience(&mut self, why: &str) -> Step {
        self.program.rest();
        self.server.acknowledge();
        self.program.rest();
        self.server.expect_nothing_yet(why)
    }

    /// Its connection is reset.
    pub(crate) fn lose_server(self) -> Program {
        self.server.reset();
        self.program
    }

    /// It ends with 1; the course asks only that it is not 0.
    pub(crate) fn expect_failure(&mut self, why: &str) -> Step {
        let status = self.program.finish(&format!("its end: {why}"))?;
        if self.full {
            return assert_status(&self.program, status, 1, why);
        }
        if status.code().is_some_and(|code| code != 0) {
            return Ok(());
        }
        Err(self.program.fail(format!("a status that is not 0: {why}"), ended(status)))
    }

    /// There is one line on standard error, and it goes on or fails by itself. Returns whether it goes
    /// on.
    pub(crate) fn expect_complaint(&mut self) -> Step<bool> {
        let program = &mut self.program;
        program.stderr(|bytes| bytes.ends_with(b"\n"));
        program.rest();
        let (stderr, status) = (program.stderr(|_| true), program.status());
        if let Some(status) = status.filter(|status| status.code().is_none_or(|code| code == 0)) {
            return Err(program.fail("that it goes on, or fails with a status", ended(status)));
        }
        if stderr.iter().filter(|byte| **byte == b'\n').count() != 1 {
            return Err(program.fail("one line on stderr", came(&stderr)));
        }
        Ok(status.is_none())
    }

    /// It ends with 0.
    pub(crate) fn expect_success(&mut self) -> Step {
        let status = self.program.finish("its end, with status 0")?;
        assert_status(&self.program, status, 0, "all is well")
    }

    /// All that is on standard error, once it has ended, is this line.
    pub(crate) fn expect_stderr(&mut self, line: impl AsRef<[u8]>) -> Step {
        let want = [line.as_ref(), b"\n"].concat();
        let stderr = self.program.stderr(|bytes| bytes.len() >= want.len());
        if stderr == want {
            Ok(())
        } else {
            Err(self.program.fail(on_stderr(&want), came(&stderr)))
        }
    }

    /// Standard error has one line, once it has ended.
    pub(crate) fn expect_one_line(&mut self, why: &str) -> Step {
        assert_one_line(&mut self.program, self.full, why)
    }

    /// All that it has written to standard output by now is this.
    pub(crate) fn expect_stdout_now(&mut self, want: impl AsRef<[u8]>) -> Step {
        let want = want.as_ref();
        let stdout = self.program.stdout(|bytes| bytes.len() >= want.len());
        if stdout == want { Ok(()) } else { Err(self.other_stdout(want, &stdout)) }
    }

    /// All that it writes to standard output, as long as the server is there and after that, is this.
    /// One that does not write at once does so when it ends.
    pub(crate) fn expect_stdout(&mut self, want: impl AsRef<[u8]>) -> Step {
        let want = want.as_ref();
        let mut stdout = self.program.stdout(|bytes| bytes.len() >= want.len());
        if stdout.len() < want.len() {
            self.server.half_close();
            stdout = self.program.stdout(|bytes| bytes.len() >= want.len());
        }
        if stdout == want { Ok(()) } else { Err(self.other_stdout(want, &stdout)) }
    }

    /// All that it has written to standard output, once it has ended, is this, or the beginning of it.
    pub(crate) fn expect_no_more_than(&mut self, want: &str) -> Step {
        let stdout = self.program.stdout(|_| false);
        let is_fine = want.as_bytes().starts_with(&stdout);
        if is_fine { Ok(()) } else { Err(self.other_stdout(want.as_bytes(), &stdout)) }
    }

    fn other_stdout(&self, want: &[u8], stdout: &[u8]) -> Stop {
        let expected = if want.is_empty() { "nothing".into() } else { shown(want) };
        self.program.fail(format!("{expected} on stdout, and nothing else"), came(stdout))
    }

    /// Standard error has nothing, once it has ended.
    pub(crate) fn expect_silence(&mut self) -> Step {
        let stderr = self.program.stderr(|_| true);
        if stderr.is_empty() {
            Ok(())
        } else {
            Err(self.program.fail("nothing on stderr", shown(&stderr)))
        }
    }
}

fn on_stderr(want: &[u8]) -> String {
    format!("{} on stderr, and nothing else", shown(want))
}

fn came(bytes: &[u8]) -> String {
    if bytes.is_empty() { "nothing".into() } else { shown(bytes) }
}

/// It ends by itself, with 1 and one line.
pub(super) fn assert_fails(program: &mut Program, why: &str) -> Step {
    let status = program.finish(&format!("its end: {why}"))?;
    assert_status(program, status, 1, why)?;
    assert_one_line(program, true, why)
}

/// It has ended with this status.
pub(super) fn assert_status(program: &Program, status: ExitStatus, want: i32, why: &str) -> Step {
    if status.code() == Some(want) {
        return Ok(());
    }
    Err(program.fail(format!("exit status {want}: {why}"), ended(status)))
}

/// One line on standard error; at least one where no more is asked.
pub(super) fn assert_one_line(program: &mut Program, full: bool, why: &str) -> Step {
    let stderr = program.stderr(|_| false);
    let lines = stderr.split_inclusive(|byte| *byte == b'\n').count();
    if lines == 1 && stderr.ends_with(b"\n") || lines > 0 && !full {
        return Ok(());
    }
    Err(program.fail(format!("one line on stderr: {why}"), came(&stderr)))
}
