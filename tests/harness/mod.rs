//! What the tests share: real programs and real sockets, waited for and never slept for.
//!
//! Everything has a time limit that is generous enough for a busy machine, and says what it saw
//! when it fails.

#![allow(dead_code)]

pub mod authority;
pub mod picture;
pub mod ports;
pub mod records;
pub mod script;
pub mod terminal;
mod tunnel;
pub mod way;

use std::fmt::{self, Write as _};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
pub use rustix::process::Signal;
use rustix::process::{Resource, Rlimit};

use authority::Authority;
pub use way::{Place, Way, Wire};

/// How long anything may take that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A host that nobody knows. No host can have this name, so no name server is waited for.
pub const NO_HOST: &str = "no such host";

/// A command that runs the executable with these arguments.
pub fn chatbox<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatbox"));
    command.args(args);
    command
}

/// The process is stopped.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.trim_start().starts_with('T')
}

/// Says that this test, or a part of it, is left out, and why. What tests print otherwise is shown
/// only if they fail.
pub fn left_out(why: &str) {
    let thread = thread::current();
    let _ = writeln!(io::stderr(), "{}: left out: {why}", thread.name().unwrap_or_default());
}

/// Descriptors that are left to tests without a crowd.
const COMMON: usize = 300;

/// Descriptors of this process that crowds have now.
static CROWDED: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Leave for a test to have many descriptors at a time. There may be few for all tests together.
pub struct Crowd(usize);

impl Crowd {
    /// Waits until other crowds have left room for this one. `None` if there never can be.
    pub fn of(descriptors: usize) -> Option<Self> {
        let limit = chatbox::system::descriptors::raise_limit();
        let most = limit.saturating_sub(COMMON);
        if descriptors > most {
            left_out(&format!("{descriptors} of {limit} descriptors are too many for one test"));
            return None;
        }
        let (crowded, news) = &CROWDED;
        let no_room = |crowded: &mut usize| *crowded + descriptors > most;
        *news.wait_while(crowded.lock().unwrap(), no_room).unwrap() += descriptors;
        Some(Crowd(descriptors))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        *CROWDED.0.lock().unwrap() -= self.0;
        CROWDED.1.notify_all();
    }
}

/// What a program has written to one of its streams so far.
#[derive(Clone, Default)]
struct Transcript(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    ended: bool,
}

impl Transcript {
    /// Takes down all that comes out of `stream`, on a thread of its own.
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let transcript = Transcript::default();
        let writer = transcript.clone();
        thread::spawn(move || {
            let mut piece = [0; 64 * 1024];
            loop {
                let count = stream.read(&mut piece).unwrap_or(0);
                let mut text = writer.0.0.lock().unwrap();
                text.bytes.extend_from_slice(&piece[..count]);
                text.ended = count == 0;
                writer.0.1.notify_all();
                if text.ended {
                    break;
                }
            }
        });
        transcript
    }

    /// Waits until `enough` says so of the bytes, or the stream ends; tells which.
    fn wait(&self, enough: impl Fn(&[u8]) -> bool) -> bool {
        self.wait_for(PATIENCE, enough)
    }

    fn wait_for(&self, patience: Duration, enough: impl Fn(&[u8]) -> bool) -> bool {
        let (text, news) = &*self.0;
        let not_enough = |text: &mut Text| !enough(&text.bytes) && !text.ended;
        let text = text.lock().unwrap();
        let (text, _) = news.wait_timeout_while(text, patience, not_enough).unwrap();
        enough(&text.bytes)
    }

    fn wait_for_end(&self) {
        let (text, news) = &*self.0;
        let _ = news.wait_timeout_while(text.lock().unwrap(), PATIENCE, |text| !text.ended);
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap().bytes.clone()
    }
}

/// Held while a program starts: until then it has all descriptors of this process, also the other end of
/// another program's standard input, which does not end meanwhile.
static STARTING: Mutex<()> = Mutex::new(());

fn spawn(command: &mut Command) -> Child {
    let _one_at_a_time = STARTING.lock();
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A running program. It does not outlive the test.
pub struct Program {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Transcript,
    stderr: Transcript,
}

/// What a program that has ended leaves behind.
pub struct Finished {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command);
        Program {
            command: format!("{command:?}"),
            stdin: child.stdin.take(),
            stdout: Transcript::of(child.stdout.take().unwrap()),
            stderr: Transcript::of(child.stderr.take().unwrap()),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the program's standard input.
    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(text.as_ref()).unwrap();
        stdin.flush().unwrap();
    }

    /// Closes the program's standard input.
    pub fn end_of_input(&mut self) {
        let _nobody_holds_it = STARTING.lock();
        self.stdin = None;
    }

    /// Waits until the program has written `text` to standard output.
    pub fn expect_stdout(&self, text: &str) {
        assert!(self.stdout.wait(holds(text)), "no {text:?} on stdout of {self:?}");
    }

    /// Waits until the program has written `text` to standard error.
    pub fn expect_stderr(&self, text: &str) {
        assert!(self.stderr.wait(holds(text)), "no {text:?} on stderr of {self:?}");
    }

    /// Waits for what is to be said on standard error only after `time`.
    pub fn expect_stderr_after(&self, time: Duration, text: &str) {
        let there = self.stderr.wait_for(time + PATIENCE, holds(text));
        assert!(there, "no {text:?} on stderr of {self:?}");
    }

    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// It is stopped, as by Ctrl-Z.
    pub fn is_stopped(&self) -> bool {
        is_stopped(self.pid())
    }

    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// From now on it may have no more than `most` of something.
    pub fn limit(&self, something: Resource, most: u64) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::prlimit(Some(pid), something, limit).unwrap();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until the program has ended.
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running: {self:?}");
            thread::sleep(Duration::from_millis(2));
        };
        self.stdout.wait_for_end();
        self.stderr.wait_for_end();
        Finished {
            command: self.command.clone(),
            status,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
        }
    }
}

fn holds(text: &str) -> impl Fn(&[u8]) -> bool {
    let text = text.as_bytes().to_vec();
    move |bytes| text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, &self.command, "running", &self.stdout.bytes(), &self.stderr.bytes())
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, &self.command, &self.status.to_string(), &self.stdout, &self.stderr)
    }
}

fn describe(
    f: &mut fmt::Formatter<'_>,
    command: &str,
    status: &str,
    stdout: &[u8],
    stderr: &[u8],
) -> fmt::Result {
    writeln!(f, "{command}\nstatus: {status}")?;
    for (name, bytes) in [("stdout", stdout), ("stderr", stderr)] {
        writeln!(f, "{name}:")?;
        for line in String::from_utf8_lossy(bytes).lines().take(200) {
            writeln!(f, "  {line}")?;
        }
    }
    Ok(())
}

impl Finished {
    /// Asserts the exit status and all that was written.
    pub fn assert(&self, status: i32, stdout: &[u8], stderr: &str) {
        assert_eq!(self.status.code(), Some(status), "{self:?}");
        assert_eq!(
            self.stdout.escape_ascii().to_string(),
            stdout.escape_ascii().to_string(),
            "{self:?}"
        );
        assert_eq!(String::from_utf8_lossy(&self.stderr), stderr, "{self:?}");
    }

    /// Asserts the exit status, nothing on standard output, and one line on standard error that
    /// holds `text`.
    pub fn assert_one_error(&self, status: i32, text: &str) {
        assert_eq!(self.status.code(), Some(status), "{self:?}");
        assert_eq!(self.stdout, b"", "{self:?}");
        let stderr = String::from_utf8_lossy(&self.stderr);
        assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "not one line: {self:?}");
        assert!(stderr.contains(text), "no {text:?}: {self:?}");
    }
}

impl Finished {
    /// Asserts the exit status, and that the one line on standard error holds `text`, whatever is
    /// on standard output.
    pub fn assert_last_error(&self, status: i32, text: &str) {
        let stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        let one = stderr.lines().count() == 1 && stderr.contains(text);
        assert!(
            one && self.status.code() == Some(status),
            "no {text:?}: {}, {stderr}",
            self.status
        );
    }
}

/// A running server.
pub struct Server {
    pub program: Program,
    pub port: u16,
    /// The folder of its Unix socket, if clients are to come over that.
    folder: Option<way::Folder>,
    /// Who has issued its certificate, if they are to come over TLS.
    authority: Option<Arc<Authority>>,
}

impl Server {
    /// A server that tells of logins and joins.
    pub fn start() -> Self {
        Self::with(&["-v"])
    }

    /// A server with flags, on a port of its own where it can come again, and with several threads on
    /// any machine.
    pub fn with(flags: &[&str]) -> Self {
        let port = ports::free_port().to_string();
        Self::run(chatbox(["server", &port, "--workers", "3"].iter().chain(flags).copied()))
    }

    /// Such a server, to which clients come in one way alone.
    pub fn over(way: Way, flags: &[&str]) -> Self {
        match way {
            Way::Tcp => Self::with(flags),
            Way::Socket => {
                let folder = way::Folder::new();
                let socket = ["5000", "--no-tcp", "--socket", folder.path().to_str().unwrap()];
                let words = ["server", "--workers", "3"].iter().chain(&socket).chain(flags);
                let server = Self::run(chatbox(words.copied()));
                Server { folder: Some(folder), ..server }
            }
            Way::Tls => {
                let authority = Authority::new();
                let pair = authority.server(|_| {});
                let server = Self::with(&[&pair.flags()[..], flags].concat());
                Server { authority: Some(Arc::new(authority)), ..server }
            }
        }
    }

    /// The server that a command starts.
    pub fn run(command: Command) -> Self {
        let program = Program::start(command);
        program.expect_stderr("listening on ");
        let stderr = program.stderr();
        let (_, address) = stderr.split_once("listening on ").unwrap();
        let line = address.lines().next().unwrap();
        let port = line.rsplit([':', '/']).next().unwrap().parse().unwrap();
        Server { program, port, folder: None, authority: None }
    }

    /// Where clients come to it.
    pub fn place(&self) -> Place {
        match (&self.folder, &self.authority) {
            (Some(folder), _) => Place::Socket(folder.path().join(self.port.to_string())),
            (None, Some(authority)) => Place::Tls(self.port, Arc::clone(authority)),
            (None, None) => Place::Port(self.port),
        }
    }

    /// The word for that in a client's command line.
    fn host(&self) -> String {
        let folder = self.folder.as_ref();
        folder.map_or("localhost".into(), |folder| folder.path().to_str().unwrap().into())
    }

    /// A client's command line: `server.client("sender", &["bob"])`.
    pub fn client(&self, applet: &str, args: &[&str]) -> Command {
        let (host, port) = (self.host(), self.port.to_string());
        let mut command = chatbox([applet, host.as_str(), &port]);
        if let Some(authority) = &self.authority {
            command.args(["--tls", "--cacert", &authority.own()]);
        }
        command.args(args);
        command
    }

    /// A `receiver` in its room, which a server with `-v` tells of.
    pub fn receiver(&self, user: &str, room: &str) -> Program {
        self.receiver_with(&[], user, room)
    }

    /// Such a `receiver` with flags.
    pub fn receiver_with(&self, flags: &[&str], user: &str, room: &str) -> Program {
        let joined = |stderr: &[u8]| {
            let stderr = String::from_utf8_lossy(stderr);
            let of_user = |line: &&str| line.contains(&format!("receiver {user} ("));
            let lines = stderr.lines().filter(of_user);
            lines.filter(|line| line.ends_with(&format!("joined room {room}"))).count()
        };
        let before = joined(&self.program.stderr.bytes());
        let words = [flags, &[user, room]].concat();
        let program = Program::start(self.client("receiver", &words));
        let more = |stderr: &[u8]| joined(stderr) > before;
        assert!(self.program.stderr.wait(more), "not in room {room}: {program:?}");
        program
    }

    /// What the server says of itself on SIGUSR1: its first line, and one for each room.
    pub fn report(&self) -> String {
        let end = "end of report\n";
        let stderr = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let before = self.program.stderr().matches(end).count();
        self.program.signal(Signal::USR1);
        let more = |bytes: &[u8]| stderr(bytes).matches(end).count() > before;
        assert!(self.program.stderr.wait(more), "no report: {:?}", self.program);
        let stderr = self.program.stderr();
        let report = stderr.split(end).nth(before).unwrap();
        let start = report.rfind("report: up").unwrap();
        report[start..].to_owned()
    }

    /// A number that the server reports, by what follows it: `server.reports("bytes queued")`.
    pub fn reports(&self, of: &str) -> u64 {
        let report = self.report();
        let (before, _) = report.split_once(&format!(" {of}")).expect(&report);
        before.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until what the server reports is enough.
    pub fn wait_for_report(&self, of: &str, enough: impl Fn(u64) -> bool) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let number = self.reports(of);
            if enough(number) {
                return number;
            }
            assert!(Instant::now() < deadline, "{number} {of}: {:?}", self.program);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many threads it has, once it has them all: the one that logs is the last.
    pub fn threads(&self) -> u64 {
        self.report();
        self.program.threads()
    }

    /// Stops the server in an orderly way.
    pub fn stop(self) -> Finished {
        self.program.signal(Signal::TERM);
        self.program.finish()
    }
}

/// A client that speaks the protocol by hand.
pub struct Peer {
    /// Its one descriptor, so that a test can have thousands.
    input: BufReader<Wire>,
}

/// A socket that programs which are started later know nothing of.
pub fn inet_socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
}

impl Peer {
    pub fn connect(place: impl Into<Place>) -> Self {
        Self::over(place.into().connect())
    }

    /// A client whose system takes few bytes ahead of it. It has to know that from the start: for
    /// what it has once promised to take, the other end waits. With a Unix socket, all that waits does
    /// so at the server's end.
    pub fn connect_with_buffer(place: impl Into<Place>, bytes: usize) -> Self {
        let port = match place.into() {
            Place::Port(port) => port,
            place => return Self::connect(place),
        };
        let socket = inet_socket();
        set_socket_recv_buffer_size(&socket, bytes).unwrap();
        connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        Self::over(TcpStream::from(socket))
    }

    pub fn over(stream: impl Into<Wire>) -> Self {
        let stream = stream.into();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay();
        Peer { input: BufReader::new(stream) }
    }

    /// A client that has logged in as a sender and joined a room.
    pub fn sender(place: impl Into<Place>, user: &str, room: &str) -> Self {
        Self::member(place.into(), "slogin", user, room)
    }

    /// A client that has logged in as a receiver and joined a room.
    pub fn receiver(place: impl Into<Place>, user: &str, room: &str) -> Self {
        Self::member(place.into(), "rlogin", user, room)
    }

    fn member(place: Place, login: &str, user: &str, room: &str) -> Self {
        let mut peer = Self::connect(place);
        peer.enter(login, user, room);
        peer
    }

    /// Logs in and joins a room.
    pub fn enter(&mut self, login: &str, user: &str, room: &str) {
        self.ok(&format!("{login}:{user}"));
        self.ok(&format!("join:{room}"));
    }

    pub fn stream(&self) -> &Wire {
        self.input.get_ref()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream().write_all(bytes.as_ref()).unwrap();
    }

    /// Shuts down the writing side.
    pub fn end(&mut self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes so that the server notices at once, also in a quiet room.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(self.stream(), Some(Duration::ZERO)).unwrap();
    }

    /// The next line, without its end; `None` if there are no more.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.pop() == Some(b'\n') => Some(line),
            Ok(_) => panic!("half a line: {}", line.escape_ascii()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line: {error}"),
        }
    }

    /// The next line, made visible.
    pub fn line(&mut self) -> String {
        self.next_line().expect("the server closed the connection").escape_ascii().to_string()
    }

    /// Sends a line and returns its answer.
    pub fn ask(&mut self, request: &str) -> String {
        self.send(format!("{request}\n"));
        self.line()
    }

    /// Sends a line that has to be answered with `ok`.
    pub fn ok(&mut self, request: &str) {
        let answer = self.ask(request);
        assert!(answer.starts_with("ok:"), "{request:?} was answered {answer:?}");
    }

    /// Sends a line that has to be answered with `err`.
    pub fn err(&mut self, request: &str) {
        let answer = self.ask(request);
        assert!(answer.starts_with("err:"), "{request:?} was answered {answer:?}");
    }

    /// Asserts that the next line is this.
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// Asserts that the server closes without another word.
    pub fn expect_end(&mut self) {
        let line = self.next_line();
        assert_eq!(line.map(|line| line.escape_ascii().to_string()), None, "more than the end");
    }
}

/// The clients on each worker, out of a server's report.
pub fn per_worker(report: &str) -> Vec<usize> {
    let (_, workers) = report.split_once("on each worker: [").unwrap();
    let workers = workers.split(']').next().unwrap().split(", ");
    workers.map(|clients| clients.parse().unwrap()).collect()
}

/// `count` lines of the form `TAG:NUMBER`, for a pipelining sender.
pub fn numbered(tag: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut lines, number| {
        let _ = writeln!(lines, "sendall:{tag}{number}");
        lines
    })
}

/// A command that runs a script in bash, which finds the executable as `$chatbox`.
pub fn bash(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("chatbox", env!("CARGO_BIN_EXE_chatbox"));
    // Bash complains about a locale that the machine does not have, and limits files by other units
    // where it is to be strict.
    command.env("LC_ALL", "C").env_remove("POSIXLY_CORRECT");
    command
}

/// Runs the executable with these arguments under limits, given as bash's `ulimit` takes them.
pub fn limited(limits: &str, args: &[&str]) -> Command {
    let mut command = bash(&format!("ulimit {limits} && exec \"$chatbox\" \"$@\""));
    command.arg("bash").args(args);
    command
}

/// What the system tells of a process.
impl Program {
    fn proc(&self, file: &str) -> String {
        proc_file(self.pid(), file)
    }

    fn proc_status(&self, field: &str) -> u64 {
        proc_status(self.pid(), field)
    }

    /// Waits until the program handles a signal.
    pub fn wait_for_handler(&self, signal: Signal) {
        let handles = || {
            let status = self.proc("status");
            let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            let caught = u64::from_str_radix(line.trim(), 16).unwrap();
            caught >> (signal.as_raw() - 1) & 1 == 1
        };
        wait_until(handles, || format!("no handler: {self:?}"));
    }

    /// Resident memory, in KiB.
    pub fn memory(&self) -> u64 {
        self.proc_status("VmRSS")
    }

    /// The same of one that may have ended; 0 if it has.
    pub fn memory_if_running(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
    }

    /// The most resident memory there ever was, in KiB.
    pub fn peak_memory(&self) -> u64 {
        self.proc_status("VmHWM")
    }

    pub fn threads(&self) -> u64 {
        self.proc_status("Threads")
    }

    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Processor time used, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }
}

/// What the system tells of a process.
pub fn proc_file(pid: u32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
}

/// A number in what the system tells of the status of a process.
pub fn proc_status(pid: u32, field: &str) -> u64 {
    let status = proc_file(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until something holds, looking again and again; panics with what `describe` says if that
/// takes too long.
pub fn wait_until(mut holds: impl FnMut() -> bool, describe: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{}", describe());
        thread::sleep(Duration::from_millis(10));
    }
}
