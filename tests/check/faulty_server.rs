//! A small server that is right but for one fault: a thread for each client, and rooms under one lock.

mod requests;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::fault::Fault::{self, *};

/// A receiver in a room.
struct Member {
    number: usize,
    output: Output,
}

/// What is on its way to a client: a thread writes it, so that nobody waits for one who does not read.
#[derive(Clone)]
struct Output {
    queue: Sender<Option<Vec<u8>>>,
    stream: Arc<TcpStream>,
    /// It is not so: whoever has something for the client writes it.
    blocks: bool,
}

impl Output {
    fn of(stream: &TcpStream, fault: Fault) -> Self {
        let stream = Arc::new(stream.try_clone().unwrap());
        let (queue, items) = mpsc::channel::<Option<Vec<u8>>>();
        let output = Arc::clone(&stream);
        thread::spawn(move || {
            for item in items {
                let written = item.is_some_and(|bytes| (&*output).write_all(&bytes).is_ok());
                if !written {
                    let _ = output.shutdown(Shutdown::Both);
                    break;
                }
            }
        });
        Output { queue, stream, blocks: matches!(fault, SlowReceiversBlock | AnswersBlock) }
    }

    /// Writes something, and tells whether that makes sense.
    fn write(&self, bytes: &[u8]) -> bool {
        if self.blocks {
            return (&*self.stream).write_all(bytes).is_ok();
        }
        self.queue.send(Some(bytes.to_vec())).is_ok()
    }

    /// Closes the connection when all is written.
    fn close(&self) {
        let _ = self.queue.send(None);
    }
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    joined: usize,
    last: Option<Vec<u8>>,
    /// How often it was forgotten.
    forgotten: usize,
}

struct Server {
    fault: Fault,
    rooms: Mutex<BTreeMap<String, Room>>,
    users: Mutex<Vec<String>>,
    clients: AtomicUsize,
    held: Mutex<Vec<Output>>,
    turn: Mutex<()>,
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
        Server { fault, rooms, users, clients, held, turn: Mutex::default(), ended }
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
    let known = [Fault::Nothing, EmptyLineAborts, EmptyLineHangs, NeverAnswers];
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
    unknown: usize,
    /// How often its room had been forgotten when it came.
    forgotten: usize,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, number: usize, stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let output = Output::of(&stream, server.fault);
        let input = BufReader::new(stream);
        let (role, user) = (Role::New, String::new());
        let (room, said) = (None, None);
        let (texts, unknown, forgotten) = (0, 0, 0);
        Client { server, number, input, output, role, user, room, said, texts, unknown, forgotten }
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
        let first = self.input.fill_buf().unwrap_or_default();
        match (self.server.fault, first) {
            (TlsStays | Reference, _) => false,
            (ByteOfTlsCloses, first) => first.first() == Some(&0x16),
            (_, first) => first.starts_with(b"\x16\x03"),
        }
    }

    /// The next line without its end, and its length.
    fn line(&mut self) -> Option<(Vec<u8>, usize)> {
        let mut line = Vec::new();
        let fault = self.server.fault;
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
            return if fault == NoColonTaken && line == b"quit" {
                self.quit(b"")
            } else {
                self.err()
            };
        };
        let (tag, payload) = (&line[..colon], &line[colon + 1..]);
        let cut = payload.split(|byte| *byte == 0).next().unwrap();
        let payload = if fault == Reference { cut } else { payload };
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
            "senduser" if fault == Reference && self.role == Role::Sender => self.ok(),
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
        let least = if fault == OneLetterNamesRefused { 2 } else { 1 };
        name.len() >= least && name.iter().all(|byte| byte.is_ascii_alphanumeric() || extra(byte))
    }
}
