//! A small server that is right but for one fault: a thread for each client, and rooms under one lock.

mod output;
pub mod program;
mod requests;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::fault::Fault::{self, *};
use output::Output;

/// A receiver in a room.
struct Member {
    number: usize,
    user: String,
    output: Output,
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    joined: usize,
    last: Option<Vec<u8>>,
    /// How often it was forgotten.
    forgotten: usize,
}

impl Room {
    /// All who are called so are out.
    fn remove(&mut self, user: &str) {
        self.members.retain(|member| member.user != user);
    }
}

struct Server {
    fault: Fault,
    /// It is a program of its own, which can be told to stop.
    is_program: bool,
    rooms: Mutex<BTreeMap<String, Room>>,
    users: Mutex<Vec<String>>,
    clients: AtomicUsize,
    held: Mutex<Vec<Output>>,
    /// Whatever is on its way to anybody, for as long as the server lives.
    outputs: Mutex<Vec<Output>>,
    turn: Mutex<()>,
    /// Half a line of one who is gone.
    half: Mutex<Vec<u8>>,
    /// A lock for each room.
    locks: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
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
    let server = Arc::new(Server::new(fault, false));
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
    fn new(fault: Fault, is_program: bool) -> Self {
        let outputs = Mutex::default();
        let (rooms, users, held) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (clients, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (turn, half, locks) = (Mutex::default(), Mutex::default(), Mutex::default());
        Server { fault, is_program, outputs, rooms, users, clients, held, turn, half, locks, ended }
    }
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
    unknown: usize,
    /// How often its room had been forgotten when it came.
    forgotten: usize,
    /// Rooms where it has been.
    been: Vec<String>,
    /// What it wanted to be in vain, and its name then.
    wanted: Option<(String, String)>,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, number: usize, stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let output = Output::of(&stream, server.fault);
        if server.is_program {
            server.outputs.lock().unwrap().push(output.clone());
        }
        let input = BufReader::new(stream);
        Client {
            server,
            number,
            input,
            output,
            role: Role::New,
            user: String::new(),
            room: None,
            said: None,
            texts: 0,
            unknown: 0,
            forgotten: 0,
            been: Vec::new(),
            wanted: None,
        }
    }

    fn serve(mut self) {
        let fault = self.server.fault;
        let mut quits = self.is_tls();
        while !quits && let Some((line, length)) = self.line() {
            quits = self.take(&line, length) == Then::Close;
        }
        if fault == NotClosedAfterHalfClose && self.role == Role::Sender && !quits {
            // For as long as the server lives.
            self.server.held.lock().unwrap().push(self.output.clone());
            return;
        }
        self.server.users.lock().unwrap().retain(|user| *user != self.user);
        let listens = self.role == Role::Receiver && self.room.is_some();
        if !listens || fault == HalfClosedDropped {
            self.leave_as_receiver();
            self.output.close();
        } else if fault == RoomForgotten {
            self.forget_room();
        }
    }

    /// The last receiver has gone: the room is another from now on.
    fn forget_room(&self) {
        let name = self.room.clone().unwrap_or_default();
        let mut rooms = self.server.rooms.lock().unwrap();
        let room = rooms.entry(name).or_default();
        let is_last = room.members.len() == 1 && room.members[0].number == self.number;
        room.forgotten += usize::from(is_last);
    }

    fn is_tls(&mut self) -> bool {
        let fault = self.server.fault;
        let first = self.input.fill_buf().unwrap_or_default().to_vec();
        match fault {
            TlsStays | Reference => false,
            ByteOfTlsCloses => first.first() == Some(&0x16),
            _ if first == b"\x16" && fault != TlsInPiecesStays => {
                let mut two = [0; 2];
                let _ = self.input.get_ref().peek(&mut two);
                two[0] == 3
            }
            _ => first.starts_with(b"\x16\x03"),
        }
    }

    /// The next line without its end, and its length.
    fn line(&mut self) -> Option<(Vec<u8>, usize)> {
        let fault = self.server.fault;
        let mut line = Vec::new();
        if fault == HalfLineKept && self.role == Role::New {
            line = std::mem::take(&mut *self.server.half.lock().unwrap());
        }
        let begun = |it: &&[u8]| !it.is_empty() && !it.contains(&b'\n');
        let holds = fault == HalfLineHolds && self.input.fill_buf().is_ok_and(|it| begun(&it));
        if holds {
            let _turn = self.server.turn.lock().unwrap();
            self.input.read_until(b'\n', &mut line).ok()?;
        } else {
            drop(self.server.turn.lock().unwrap());
            self.input.read_until(b'\n', &mut line).ok()?;
        }
        if !line.ends_with(b"\n") {
            if fault == HalfLineKept && !line.is_empty() {
                self.server.half.lock().unwrap().clone_from(&line);
            }
            let carried_out = self.server.fault == CutLineCarriedOut && !line.is_empty();
            return carried_out.then(|| (line.clone(), line.len() + 1));
        }
        let length = line.len();
        line.pop();
        match self.server.fault {
            CrsStripped => while line.pop_if(|byte| *byte == b'\r').is_some() {},
            CrKept if line.starts_with(b"sendall:") => {}
            Reference => line.truncate(line.trim_ascii_end().len()),
            _ => drop(line.pop_if(|byte| *byte == b'\r')),
        }
        Some((line, length))
    }

    fn answer(&self, tag: &str, text: &str) {
        let end = if self.server.fault == AnswersInCrlf { "\r\n" } else { "\n" };
        let answer = format!("{tag}:{text}{end}");
        let waits = self.server.fault == AnswersBlock && self.role == Role::Sender;
        let _rooms = waits.then(|| self.server.rooms.lock().unwrap());
        self.output.write(answer.as_bytes());
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
        if fault == NeverAnswers {
            return Then::Stay;
        }
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
        let limited = fault != OnlyTextsLimited || line.starts_with(b"sendall:");
        if length - cr > most && limited {
            return self.too_long(line, length);
        }
        match fault {
            EmptyLineUnanswered if line.is_empty() => return Then::Stay,
            ReceiverEmptyUnanswered if line.is_empty() && self.role == Role::Receiver => {
                return Then::Stay;
            }
            EmptyCrlfRefused if line == b"sendall:" && length == 10 => return self.err(),
            EmptyLineAborts if line.is_empty() => std::process::abort(),
            EmptyLineHangs if line.is_empty() => {
                let _held = self.server.users.lock().unwrap();
                thread::sleep(Duration::from_secs(120));
            }
            _ => {}
        }
        if fault == Reference && self.role == Role::Receiver && self.room.is_some() {
            return Then::Stay;
        }
        if line.is_empty() && matches!(fault, EmptyLineTwice | Reference) {
            self.err();
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            if !line.is_empty() && matches!(fault, NoColonTwice | Reference) {
                self.err();
            }
            if fault == NoColonTaken && line == b"quit" {
                return self.quit(b"");
            }
            self.err();
            let closes = fault == NoColonClosesNew && self.role == Role::New;
            return if closes { Then::Close } else { Then::Stay };
        };
        let (tag, payload) = (&line[..colon], &line[colon + 1..]);
        let cut = payload.split(|byte| *byte == 0).next().unwrap();
        let payload = if fault == Reference { cut } else { payload };
        let tag = String::from_utf8_lossy(tag).into_owned();
        let tag = if fault == TagsInAnyCase { tag.to_lowercase() } else { tag };
        if fault == QuitInText && self.role == Role::Sender && payload.ends_with(b"quit:") {
            return self.quit(b"");
        }
        let known = ["slogin", "rlogin", "join", "sendall", "leave", "quit"];
        let longer = known.into_iter().find(|it| !tag.is_empty() && it.starts_with(&tag));
        let tag = longer.filter(|_| fault == TagByPrefix).map_or(tag, str::to_owned);
        match tag.as_str() {
            "slogin" | "rlogin" => self.log_in(&tag, payload),
            "join" => self.join(payload),
            "sendall" => self.say(payload),
            "leave" => self.leave(payload),
            "quit" => self.quit(payload),
            "" if fault == NoTagUnanswered => Then::Stay,
            "senduser" if fault == ReservedTagsTaken => self.ok(),
            "history" if fault == HistoryTaken => self.ok(),
            "senduser" if fault == Reference && self.role == Role::Sender => self.ok(),
            _ if fault == UnknownIsSaid && self.role == Role::Sender && self.room.is_some() => {
                self.deliver(&self.room.clone().unwrap_or_default(), payload);
                self.err()
            }
            _ if fault == LineEchoed => {
                self.answer("err", &String::from_utf8_lossy(line));
                Then::Stay
            }
            _ if fault == FourthUnknownCloses && self.role == Role::Sender => {
                self.unknown += 1;
                self.err();
                if self.unknown == 4 { Then::Close } else { Then::Stay }
            }
            _ if matches!(fault, UnknownTagCloses | Reference) && self.role == Role::New => {
                self.err();
                Then::Close
            }
            _ => self.err(),
        }
    }

    fn too_long(&mut self, line: &[u8], length: usize) -> Then {
        match self.server.fault {
            LongLineSplit | Reference => {
                let then = self.take(&line[..254], 255);
                if then == Then::Stay { self.take(&line[254..], length - 254) } else { then }
            }
            LongLineCloses => Then::Close,
            ReceiverLongUnanswered if self.role == Role::Receiver => Then::Stay,
            VeryLongLineCloses if length > 65_536 => Then::Close,
            _ => self.err(),
        }
    }

    /// What comes of it if it is a browser's.
    fn as_http(&mut self, line: &[u8], length: usize) -> Option<Then> {
        let fault = self.server.fault;
        let http = line.windows(6).rposition(|six| six == b" HTTP/").is_some();
        let known = ["slogin:", "rlogin:", "join:", "sendall:", "leave:", "quit:"];
        let is_known = known.iter().any(|tag| line.starts_with(tag.as_bytes()));
        let http = http && (!is_known || fault == HttpKnownCloses);
        if !http || self.role != Role::New && fault != HttpClosesSender {
            return None;
        }
        let stays = matches!(fault, HttpStays | Reference);
        if stays || fault == LongHttpStays && length > 255 {
            return None;
        }
        if fault != HttpUnanswered {
            self.err();
        }
        Some(Then::Close)
    }

    fn is_name(&self, name: &[u8]) -> bool {
        let fault = self.server.fault;
        let extra = |byte: &u8| match fault {
            UnderscoreInNames => *byte == b'_',
            PlusInNames => *byte == b'+',
            _ => false,
        };
        let name = if fault == SpaceAfterName { name.trim_ascii_end() } else { name };
        let digits = fault != DigitsRefused;
        let least = if fault == OneLetterNamesRefused { 2 } else { 1 };
        let known = |byte: &u8| byte.is_ascii_alphabetic() || byte.is_ascii_digit() && digits;
        name.len() >= least && name.iter().all(|byte| known(byte) || extra(byte))
    }
}
