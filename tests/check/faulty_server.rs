//! A small server that is right but for one fault: a thread for each client, and rooms under one lock.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::fault::Fault::{self, *};

/// A receiver in a room.
struct Member {
    number: usize,
    output: Output,
}

type Output = Arc<Mutex<TcpStream>>;

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    joined: usize,
    last: Option<Vec<u8>>,
}

struct Server {
    fault: Fault,
    rooms: Mutex<BTreeMap<String, Room>>,
    users: Mutex<Vec<String>>,
    clients: AtomicUsize,
    held: Mutex<Vec<Output>>,
    ended: AtomicBool,
}

/// One that runs until this is dropped.
pub struct Running {
    pub port: u16,
    server: Arc<Server>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.server.rooms.lock().unwrap().clear();
        self.server.held.lock().unwrap().clear();
    }
}

/// Starts one.
pub fn start(fault: Fault) -> Running {
    chatbox::system::descriptors::raise_limit();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Arc::new(Server::new(fault));
    let serving = Arc::clone(&server);
    thread::spawn(move || serve(&listener, &serving));
    Running { port, server }
}

fn serve(listener: &TcpListener, server: &Arc<Server>) {
    for (number, stream) in listener.incoming().flatten().enumerate() {
        if server.ended.load(Ordering::SeqCst) {
            break;
        }
        let server = Arc::clone(server);
        thread::spawn(move || {
            if server.clients.fetch_add(1, Ordering::SeqCst) < 180 || server.fault != FewClients {
                Client::new(&server, number, stream).serve();
            }
            server.clients.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Server {
    fn new(fault: Fault) -> Self {
        let (rooms, users, held) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (clients, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
        Server { fault, rooms, users, clients, held, ended }
    }
}

/// What tells this executable that it is a server.
const AS_PROGRAM: &str = "CHECK_SERVER";

/// The words that start one as a program of its own, with a port behind them.
pub fn command(fault: Fault) -> Vec<String> {
    let exe = std::env::current_exe().unwrap().display().to_string();
    let script = format!(
        "export {AS_PROGRAM}=\"$*\"; exec \"$0\" --exact faulty_server::as_a_program --nocapture >/dev/null"
    );
    ["sh".into(), "-c".into(), script, exe, format!("{fault:?}")].into()
}

/// No test, but that program.
#[test]
fn as_a_program() {
    let Ok(words) = std::env::var(AS_PROGRAM) else { return };
    let (fault, port) = words.split_once(' ').unwrap();
    let known = [Fault::Nothing, EmptyLineAborts, EmptyLineHangs];
    let fault = known.into_iter().find(|it| format!("{it:?}") == fault).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    serve(&listener, &Arc::new(Server::new(fault)));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    New,
    Sender,
    Receiver,
}

/// What is done with a connection after a line.
#[derive(PartialEq, Eq)]
enum Then {
    Stay,
    Close,
}

struct Client<'a> {
    server: &'a Server,
    number: usize,
    input: BufReader<TcpStream>,
    output: Output,
    role: Role,
    user: String,
    room: Option<String>,
    said: Option<Vec<u8>>,
    texts: usize,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, number: usize, stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let output = Arc::new(Mutex::new(stream.try_clone().unwrap()));
        let input = BufReader::new(stream);
        let (role, user) = (Role::New, String::new());
        Client { server, number, input, output, role, user, room: None, said: None, texts: 0 }
    }

    fn serve(mut self) {
        let fault = self.server.fault;
        let mut quits = self.is_tls();
        while !quits && let Some((line, length)) = self.line() {
            quits = self.take(&line, length) == Then::Close;
        }
        if fault == NotClosedAfterHalfClose && self.role == Role::Sender && !quits {
            // For as long as the server lives.
            self.server.held.lock().unwrap().push(Arc::clone(&self.output));
            return;
        }
        self.server.users.lock().unwrap().retain(|user| *user != self.user);
        let listens = self.role == Role::Receiver && self.room.is_some();
        if !listens || fault == HalfClosedDropped {
            self.leave_as_receiver();
            let _ = self.output.lock().unwrap().shutdown(Shutdown::Both);
        }
    }

    fn is_tls(&mut self) -> bool {
        let first = self.input.fill_buf().unwrap_or_default();
        match (self.server.fault, first) {
            (TlsStays, _) => false,
            (ByteOfTlsCloses, first) => first.first() == Some(&0x16),
            (_, first) => first.starts_with(b"\x16\x03"),
        }
    }

    /// The next line without its end, and its length.
    fn line(&mut self) -> Option<(Vec<u8>, usize)> {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).ok()?;
        if !line.ends_with(b"\n") {
            let carried_out = self.server.fault == CutLineCarriedOut && !line.is_empty();
            return carried_out.then(|| (line.clone(), line.len() + 1));
        }
        let length = line.len();
        line.pop();
        match self.server.fault {
            CrsStripped => while line.pop_if(|byte| *byte == b'\r').is_some() {},
            CrKept if line.starts_with(b"sendall:") => {}
            _ => drop(line.pop_if(|byte| *byte == b'\r')),
        }
        Some((line, length))
    }

    fn answer(&self, tag: &str, text: &str) {
        let end = if self.server.fault == AnswersInCrlf { "\r\n" } else { "\n" };
        let answer = format!("{tag}:{text}{end}");
        let _ = self.output.lock().unwrap().write_all(answer.as_bytes());
    }

    fn ok(&self) -> Then {
        self.answer("ok", "done");
        Then::Stay
    }

    fn err(&self) -> Then {
        self.answer("err", "not done");
        Then::Stay
    }

    fn take(&mut self, line: &[u8], length: usize) -> Then {
        let fault = self.server.fault;
        let line = if fault == LineTrimmed { line.trim_ascii_start() } else { line };
        if let Some(then) = self.as_http(line, length) {
            return then;
        }
        let cr = usize::from(length - line.len() == 2 && fault == CrNotCounted);
        let most = match fault {
            LimitTooHigh => 256,
            TextLimitTooLow if line.starts_with(b"sendall") => 254,
            _ => 255,
        };
        if length - cr > most {
            return self.too_long(line, length);
        }
        match fault {
            EmptyLineUnanswered if line.is_empty() => return Then::Stay,
            EmptyLineAborts if line.is_empty() => std::process::abort(),
            EmptyLineHangs if line.is_empty() => {
                let _held = self.server.users.lock().unwrap();
                thread::sleep(Duration::from_secs(120));
            }
            _ => {}
        }
        if line.is_empty() && fault == EmptyLineTwice {
            self.err();
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            if !line.is_empty() && fault == NoColonTwice {
                self.err();
            }
            return if fault == NoColonTaken && line == b"quit" {
                self.quit(b"")
            } else {
                self.err()
            };
        };
        let (tag, payload) = (&line[..colon], &line[colon + 1..]);
        let tag = String::from_utf8_lossy(tag).into_owned();
        let tag = if fault == TagsInAnyCase { tag.to_lowercase() } else { tag };
        match tag.as_str() {
            "slogin" | "rlogin" => self.log_in(&tag, payload),
            "join" => self.join(payload),
            "sendall" => self.say(payload),
            "leave" => self.leave(payload),
            "quit" => self.quit(payload),
            "" if fault == NoTagUnanswered => Then::Stay,
            "senduser" if fault == ReservedTagsTaken => self.ok(),
            "history" if fault == HistoryTaken => self.ok(),
            _ if fault == UnknownTagCloses && self.role == Role::New => {
                self.err();
                Then::Close
            }
            _ => self.err(),
        }
    }

    fn too_long(&mut self, line: &[u8], length: usize) -> Then {
        match self.server.fault {
            LongLineSplit => {
                let then = self.take(&line[..254], 255);
                if then == Then::Stay { self.take(&line[254..], length - 254) } else { then }
            }
            LongLineCloses => Then::Close,
            VeryLongLineCloses if length > 65_536 => Then::Close,
            _ => self.err(),
        }
    }

    /// What comes of it if it is a browser's.
    fn as_http(&mut self, line: &[u8], length: usize) -> Option<Then> {
        let fault = self.server.fault;
        let http = line.windows(6).rposition(|six| six == b" HTTP/").is_some();
        let known = ["slogin:", "rlogin:", "join:", "sendall:", "leave:", "quit:"];
        let http = http && !known.iter().any(|tag| line.starts_with(tag.as_bytes()));
        if !http || self.role != Role::New && fault != HttpClosesSender {
            return None;
        }
        if fault == HttpStays || fault == LongHttpStays && length > 255 {
            return None;
        }
        self.err();
        Some(Then::Close)
    }

    fn is_name(&self, name: &[u8]) -> bool {
        let fault = self.server.fault;
        let extra = |byte: &u8| fault == UnderscoreInNames && *byte == b'_';
        let name = if fault == SpaceAfterName { name.trim_ascii_end() } else { name };
        let least = if fault == OneLetterNamesRefused { 2 } else { 1 };
        name.len() >= least && name.iter().all(|byte| byte.is_ascii_alphanumeric() || extra(byte))
    }

    fn log_in(&mut self, tag: &str, name: &[u8]) -> Then {
        let fault = self.server.fault;
        let again = self.role == Role::Sender
            && (fault == SenderLogsInTwice && tag == "slogin"
                || fault == SenderBecomesReceiver && tag == "rlogin");
        if again {
            return self.ok();
        }
        let is_name = self.is_name(name) || name.is_empty() && fault == EmptyUser;
        if self.role != Role::New || !is_name {
            self.err();
            let closes = fault == FailedLoginCloses && self.role == Role::New;
            return if closes { Then::Close } else { Then::Stay };
        }
        let user = String::from_utf8_lossy(name).into_owned();
        let mut users = self.server.users.lock().unwrap();
        if fault == NamesUnique && users.contains(&user) {
            return self.err();
        }
        users.push(user.clone());
        drop(users);
        self.user = user;
        self.role = if tag == "slogin" { Role::Sender } else { Role::Receiver };
        self.ok()
    }

    fn leave_as_receiver(&mut self) {
        if let (Role::Receiver, Some(room)) = (self.role, &self.room) {
            let mut rooms = self.server.rooms.lock().unwrap();
            let members = &mut rooms.entry(room.clone()).or_default().members;
            members.retain(|member| member.number != self.number);
        }
    }

    fn join(&mut self, name: &[u8]) -> Then {
        let fault = self.server.fault;
        if self.role == Role::New {
            return if fault == JoinBeforeLogin { self.ok() } else { self.err() };
        }
        if !(self.is_name(name) || name.is_empty() && fault == EmptyRoom) {
            match (fault, self.role) {
                (FailedJoinLeaves, Role::Sender) => self.room = None,
                (FailedJoinLeavesReceiver, _) => self.leave_as_receiver(),
                _ => {}
            }
            return self.err();
        }
        let mut name = String::from_utf8_lossy(name).into_owned();
        if fault == AnyCaseRooms {
            name = name.to_lowercase();
        }
        if self.role == Role::Sender {
            if fault != SenderDoesNotMove || self.room.is_none() {
                self.room = Some(name);
            }
            return self.ok();
        }
        let same = self.room.as_ref() == Some(&name);
        if !(fault == ReceiverHearsBoth && !same || fault == SameRoomTwice && same) {
            self.leave_as_receiver();
        }
        self.room = Some(name.clone());
        self.register(&name, same);
        Then::Stay
    }

    /// Enters a room as a receiver, and answers.
    fn register(&mut self, name: &str, again: bool) {
        let fault = self.server.fault;
        let member = Member { number: self.number, output: Arc::clone(&self.output) };
        let mut rooms = self.server.rooms.lock().unwrap();
        let room = rooms.entry(name.to_owned()).or_default();
        room.joined += 1;
        match fault {
            RegisteredBeforeOk => {
                room.members.push(member);
                drop(rooms);
                thread::sleep(Duration::from_millis(20));
                self.ok();
            }
            RegisteredLate if room.joined == 25 && room.members.len() < 10 => {
                drop(rooms);
                self.ok();
                thread::sleep(Duration::from_millis(100));
                self.server
                    .rooms
                    .lock()
                    .unwrap()
                    .entry(name.to_owned())
                    .or_default()
                    .members
                    .push(member);
            }
            _ => {
                // A delivery waits for the rooms, so this comes first.
                self.ok();
                room.members.push(member);
                if let Some(last) = room.last.as_ref().filter(|_| fault == OldTextsCome && !again) {
                    let _ = self.output.lock().unwrap().write_all(last);
                }
            }
        }
    }

    fn say(&mut self, text: &[u8]) -> Then {
        let fault = self.server.fault;
        let receiver = fault == ReceiverSays && self.role == Role::Receiver;
        let Some(room) = self.room.clone().filter(|_| self.role == Role::Sender) else {
            let ok = receiver || fault == TextWithoutRoom && self.role == Role::Sender;
            return if ok { self.ok() } else { self.err() };
        };
        if text.is_empty() && fault == EmptyTextRefused {
            return self.err();
        }
        self.texts += 1;
        let dropped = fault == RepeatedDropped && self.said.as_deref() == Some(text)
            || fault == Text900Lost && self.texts == 900
            || fault == PercentLost && text.contains(&b'%');
        self.said = Some(text.to_vec());
        if !dropped {
            self.deliver(&room, &self.spoilt(text));
        }
        self.ok()
    }

    /// A text as the fault makes it.
    fn spoilt(&self, text: &[u8]) -> Vec<u8> {
        match self.server.fault {
            TextTrimmed => text.trim_ascii().to_vec(),
            NulCuts => text.split(|byte| *byte == 0).next().unwrap().to_vec(),
            Utf8Repaired => String::from_utf8_lossy(text).into_owned().into_bytes(),
            ControlStripped => {
                text.iter().copied().filter(|it| *it >= 0x20 || b"\t\r\0".contains(it)).collect()
            }
            ColonCuts => text.split(|byte| *byte == b':').next().unwrap().to_vec(),
            _ => text.to_vec(),
        }
    }

    fn deliver(&self, name: &str, text: &[u8]) {
        let fault = self.server.fault;
        let user = if fault == NamesLowered { self.user.to_lowercase() } else { self.user.clone() };
        let head = format!("delivery:{name}:{user}:");
        let mut line = [head.as_bytes(), text].concat();
        if fault == DeliveryCut {
            line.truncate(254);
        }
        line.push(b'\n');
        let mut rooms = self.server.rooms.lock().unwrap();
        if fault == NoOrder {
            let members = rooms.entry(name.to_owned()).or_default().members.iter();
            let mut outputs: Vec<_> = members.map(|member| Arc::clone(&member.output)).collect();
            drop(rooms);
            if self.number % 2 == 1 {
                outputs.reverse();
            }
            for output in outputs {
                let _ = output.lock().unwrap().write_all(&line);
                thread::sleep(Duration::from_micros(50));
            }
            return;
        }
        rooms.entry(name.to_owned()).or_default().last = Some(line.clone());
        for (other, room) in rooms.iter_mut() {
            if other != name && !(fault == PrefixHears && other.starts_with(name)) {
                continue;
            }
            let twice = fault == Text900Twice && self.texts == 900;
            let most = if fault == FifthMissed { 4 } else { usize::MAX };
            let mut number = 0;
            room.members.retain(|member| {
                number += 1;
                let times = usize::from(number <= most) * (1 + usize::from(twice));
                (0..times).all(|_| member.output.lock().unwrap().write_all(&line).is_ok())
            });
        }
    }

    fn leave(&mut self, payload: &[u8]) -> Then {
        let fault = self.server.fault;
        match (self.role, &self.room) {
            (Role::Sender, Some(_)) if fault == LeavePayloadRefused && !payload.is_empty() => {
                self.err()
            }
            (Role::Sender, Some(_)) => {
                if fault != LeaveStays {
                    self.room = None;
                }
                self.ok()
            }
            (Role::Sender, None) if fault == LeaveWithoutRoom => self.ok(),
            (Role::Receiver, Some(_)) if fault == ReceiverLeaves => self.ok(),
            _ => self.err(),
        }
    }

    fn quit(&mut self, payload: &[u8]) -> Then {
        let fault = self.server.fault;
        match (self.role, &self.room) {
            (Role::New, _) => {
                if fault == QuitBeforeLoginOk {
                    self.ok()
                } else {
                    self.err()
                };
                if fault == QuitBeforeLoginStays { Then::Stay } else { Then::Close }
            }
            (Role::Receiver, _) => self.err(),
            (Role::Sender, _) if fault == QuitPayloadRefused && !payload.is_empty() => self.err(),
            (Role::Sender, Some(_)) if fault == QuitInRoomStays => self.ok(),
            (Role::Sender, Some(_)) if fault == QuitInRoomUnanswered => Then::Close,
            (Role::Sender, room) => {
                let goes_on = fault == GoesOnAfterQuit && room.is_some();
                self.ok();
                if goes_on && self.input.buffer().starts_with(b"sendall:") {
                    self.deliver(&self.room.clone().unwrap_or_default(), b"too late");
                }
                Then::Close
            }
        }
    }
}
