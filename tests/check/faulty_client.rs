//! Small clients that are right but for one fault: this executable is one when it is told so.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::net::TcpStream;
use std::process::{abort, exit};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

/// What tells this executable that it is a client: its kind, its fault, and its arguments.
const AS_PROGRAM: &str = "CHECK_CLIENT";

/// The words that start one, with its arguments behind them. What the test harness prints does not
/// get in the way: standard output is its descriptor 3.
pub fn command(kind: &str, fault: &str) -> Vec<String> {
    let exe = env::current_exe().unwrap().display().to_string();
    let script = format!(
        "IFS=,; export {AS_PROGRAM}=\"$*\"; \
         exec \"$0\" --exact faulty_client::as_a_program --nocapture 3>&1 >/dev/null"
    );
    ["sh".into(), "-c".into(), script, exe, kind.into(), fault.into()].into()
}

/// No test, but that program.
#[test]
fn as_a_program() {
    let Ok(words) = env::var(AS_PROGRAM) else { return };
    let words: Vec<_> = words.split(',').collect();
    let [kind, fault, args @ ..] = &words[..] else { return };
    let mut client = Client::connect(*kind == "receiver", fault, args);
    if *kind == "receiver" { client.receive() } else { client.send() }
}

struct Client {
    fault: String,
    input: BufReader<TcpStream>,
    user: Vec<u8>,
    room: String,
    unanswered: usize,
    errs: usize,
    last: Vec<u8>,
    printed: Vec<u8>,
    printings: usize,
}

/// What the reference does otherwise than the protocol.
const REFERENCE: [&str; 5] =
    ["Prompts", "RefusedIsFine", "BadPortPanics", "NotFlushed", "LongAndColonsRefused"];

fn has(fault: &str, name: &str) -> bool {
    fault == name || fault == "Reference" && REFERENCE.contains(&name)
}

/// Says something on standard error, and ends.
fn fail(what: impl AsRef<[u8]>, status: i32) -> ! {
    let _ = io::stderr().write_all(&[what.as_ref(), b"\n"].concat());
    exit(status);
}

fn complain(what: &str) {
    let _ = io::stderr().write_all(format!("{what}\n").as_bytes());
}

fn lossy(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).into_owned().into_bytes()
}

fn without_percent(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| *byte != b'%').collect()
}

impl Client {
    fn connect(receives: bool, fault: &str, args: &[&str]) -> Self {
        let has = |name: &str| has(fault, name);
        let wanted = if receives { 4 } else { 3 };
        if args.len() < wanted || args.len() > wanted && !has("TooManyTaken") {
            fail("usage: HOST PORT USER", if has("UsageIsOne") { 1 } else { 2 });
        }
        let Some(port) = args[1].parse().ok().filter(|port: &u16| *port > 0) else {
            let lines = if has("BadPortPanics") { "panic\nat main.rs" } else { "no port" };
            fail(lines, 2)
        };
        let Ok(stream) = TcpStream::connect((args[0], port)) else {
            let status = match fault {
                _ if has("RefusedIsFine") => 0,
                "RefusedIsUsage" => 2,
                _ => 1,
            };
            fail("cannot connect", status)
        };
        let room = args.get(3).copied().unwrap_or_default().to_owned();
        let (fault, input) = (fault.to_owned(), BufReader::new(stream));
        let (user, last, printed) = (args[2].as_bytes().to_vec(), Vec::new(), Vec::new());
        let (unanswered, errs, printings) = (0, 0, 0);
        let mut client =
            Client { fault, input, user, room, unanswered, errs, last, printed, printings };
        let tag = if receives { "rlogin" } else { "slogin" };
        client.write(format!("{tag}:{}", args[2]).as_bytes());
        if client.has("JoinsAtOnce") {
            client.join();
        }
        client.expect_ok();
        client
    }

    fn has(&self, fault: &str) -> bool {
        has(&self.fault, fault)
    }

    fn write(&mut self, line: &[u8]) {
        let _ = self.input.get_mut().write_all(&[line, b"\n"].concat());
    }

    /// The next line, without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        if self.has("HalfLineTaken") {
            line = self.input.fill_buf().ok()?.to_vec();
            let length =
                line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |at| at + 1);
            line.truncate(length);
            self.input.consume(length);
        } else {
            self.input.get_ref().set_nonblocking(self.has("Polls")).ok()?;
            while let Err(error) = self.input.read_until(b'\n', &mut line) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return None;
                }
                thread::sleep(Duration::from_millis(300));
            }
        }
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        if !self.has("CrKept") {
            line.pop_if(|byte| *byte == b'\r');
        }
        if self.has("CrsStripped") {
            line.retain(|byte| *byte != b'\r');
        }
        let lost = self.has("LastLineLost") && !ended;
        (!lost && (ended || !line.is_empty())).then_some(line)
    }

    /// Waits for the answer to a login or a first join.
    fn expect_ok(&mut self) {
        let Some(line) = self.line() else { fail("the server has closed the connection", 1) };
        if self.is_ok(&line) {
            return;
        }
        if self.has("ReasonOnBoth") {
            print_out(&[&line[..], b"\n"].concat());
        }
        match line.strip_prefix(b"err:") {
            Some(reason) if self.has("JoinRefusedIsFine") && !self.last.is_empty() => {
                fail(reason, 0)
            }
            Some(b"") if self.has("EmptyReasonSilent") => exit(1),
            Some(reason) => fail(reason, 1),
            None if self.has("StrangeLoginHangs") => self.expect_ok(),
            None => fail("the server sent an unexpected line", 1),
        }
    }
}

/// What both have in common.
impl Client {
    fn is_ok(&self, line: &[u8]) -> bool {
        if line == b"ok:" && self.has("EmptyOkAborts") {
            abort();
        }
        line.starts_with(b"ok:") || line.starts_with(b"ok") && self.has("OkayTaken")
    }
}

/// The sender.
impl Client {
    fn send(&mut self) -> ! {
        let mut stdin = io::stdin().lock();
        let mut line = Vec::new();
        while {
            if self.has("Prompts") || self.has("PromptsAtTerminal") && stdout().is_terminal() {
                print_out(b"> ");
            }
            stdin.read_until(b'\n', &mut line).is_ok_and(|count| count > 0)
        } {
            if line.ends_with(b"\n") || !self.has("LastLineDropped") {
                self.take(&line);
            }
            line.clear();
        }
        if !self.has("EndsUnanswered") {
            self.wait_for(0);
        }
        if self.has("QuitsAtEnd") {
            self.quit();
        }
        exit(i32::from(self.has("FailsAtEnd")))
    }

    fn take(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > 246 && !line.starts_with(b"/") && self.has("LimitBeforeTrim") {
            return complain("this is too long");
        }
        let line = if self.has("NotTrimmed") { line } else { line.trim_ascii() };
        if line.is_empty() && !self.has("EmptySent") {
            return;
        }
        let words: Vec<_> =
            line.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty()).collect();
        match words[..] {
            [b"/quit"] => self.quit(),
            [word, ..] if word.starts_with(b"/quit") && self.has("QuitByPrefix") => self.quit(),
            [b"/leave"] => self.request(b"leave:"),
            [b"/join", room] if room.len() > 249 && !self.has("LongJoinSent") => {
                complain("this name is too long");
            }
            [b"/"] if self.has("SlashIgnored") => {}
            [b"/join", room] => self.request(&[b"join:", room].concat()),
            [b"/join"] if self.has("JoinNowhere") => self.request(b"join:"),
            [b"/join", room, ..] if self.has("JoinFirst") => {
                self.request(&[b"join:", room].concat())
            }
            _ if line.starts_with(b"//") && !self.has("SlashesKept") => self.say(&line[1..]),
            _ if line.starts_with(b"//") => self.say(line),
            [b"/join", ..] => complain("/join takes a room"),
            _ if line.starts_with(b"/") && !self.has("CommandsSaid") => complain("no such command"),
            _ => self.say(line),
        }
    }

    fn say(&mut self, text: &[u8]) {
        if self.last == text && self.has("RepeatedDropped") {
            return;
        }
        self.last = text.to_vec();
        let text = match self.fault.as_str() {
            "Utf8Repaired" => lossy(text),
            "PercentLost" => without_percent(text),
            "CrsStripped" => text.iter().copied().filter(|byte| *byte != b'\r').collect(),
            _ => text.to_vec(),
        };
        let most = match self.fault.as_str() {
            "LimitTooLow" => 245,
            "SlashesUnlimited" if text.starts_with(b"/") => usize::MAX,
            _ => 246,
        };
        match text.len() > most {
            true if self.has("LongCut") => self.request(&[b"sendall:", &text[..most]].concat()),
            true => complain("this is too long"),
            false => self.request(&[b"sendall:", &text[..]].concat()),
        }
    }

    fn request(&mut self, line: &[u8]) {
        let late = self.has("EndsUnanswered");
        if late {
            self.wait_for(0);
        }
        self.write(line);
        self.unanswered += 1;
        self.wait_for(usize::from(late || self.has("DoesNotWait")));
    }

    fn quit(&mut self) -> ! {
        self.write(b"quit:bye");
        if self.has("QuitDoesNotWait") {
            exit(0);
        }
        self.unanswered += 1;
        if self.has("QuitHangs") && self.input.fill_buf().is_ok_and(<[u8]>::is_empty) {
            thread::sleep(Duration::from_secs(3600));
        }
        self.wait_for(0);
        exit(0)
    }

    /// Waits until so many answers are still to come.
    fn wait_for(&mut self, left: usize) {
        while self.unanswered > left {
            self.unanswered -= 1;
            let Some(line) = self.line() else {
                let silent = self.has("GoneIsSilent");
                if silent { exit(1) } else { fail("the server has closed the connection", 1) }
            };
            match line.strip_prefix(b"err:") {
                Some(reason) => {
                    self.errs += 1;
                    let reason = match self.fault.as_str() {
                        "ReasonCut" => reason.split(|byte| *byte == b':').next().unwrap(),
                        "ReasonTrimmed" => reason.trim_ascii(),
                        "LongReasonCut" => &reason[..reason.len().min(251)],
                        _ => reason,
                    };
                    let lost = self.has("PercentLost");
                    let reason = if lost { without_percent(reason) } else { reason.to_vec() };
                    let _ = io::stderr().write_all(&[&reason[..], b"\n"].concat());
                    if self.errs == 3 && self.has("ThirdErrStops") {
                        exit(1);
                    }
                }
                None if self.has("OkPrinted") && line.starts_with(b"ok:") => print_out(&line),
                None if !self.is_ok(&line) && !self.has("StrangeTaken") => {
                    complain("the server sent an unexpected line");
                }
                None => {}
            }
        }
    }
}

/// Writes to what is standard output for those who started this.
fn print_out(bytes: &[u8]) {
    let _ = stdout().write_all(bytes);
}

fn stdout() -> File {
    OpenOptions::new().append(true).open("/dev/fd/3").unwrap()
}

/// The receiver.
impl Client {
    fn join(&mut self) {
        let join = format!("join:{}", self.room);
        self.write(join.as_bytes());
    }

    fn receive(&mut self) -> ! {
        if self.has("IgnoresSigint") {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal_hook::consts::SIGINT, flag).unwrap();
        }
        if !self.has("JoinsAtOnce") {
            self.join();
        }
        self.last = b"joined".to_vec();
        self.expect_ok();
        if self.has("DropsBehindOk") {
            self.input.consume(self.input.buffer().len());
        }
        if self.has("ReadsInput") {
            thread::spawn(|| {
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                exit(0);
            });
        }
        if self.has("SaysMore") {
            self.write(b"ok:thanks");
        }
        while let Some(line) = self.line() {
            self.print(&line);
        }
        print_out(&self.printed);
        match self.fault.as_str() {
            "GoneIsSilent" => exit(1),
            "GoneIsFine" => fail("the server has closed the connection", 0),
            _ => fail("the server has closed the connection", 1),
        }
    }

    fn print(&mut self, line: &[u8]) {
        let mut parts = line.splitn(4, |byte| *byte == b':');
        let parts: Vec<_> = std::iter::from_fn(|| parts.next()).collect();
        match parts[..] {
            [b"delivery", room, ..] if self.has("RoomChecked") && room != self.room.as_bytes() => {
                complain("this is another room");
            }
            [b"delivery", _, sender, text] if line.len() < 754 || self.has("TakesAll") => {
                self.delivery(line, sender, text);
            }
            [b"delivery", ..] if line.len() >= 754 && self.has("LongDropped") => {}
            [b"delivery"] | [_] if self.has("NoColonAborts") => abort(),
            [b"delivery", _] | [b"delivery", _, _] if self.has("CutDeliveryAborts") => abort(),
            [_, _, ..] if parts[0] != b"delivery" && self.has("UnknownIsSilent") => {}
            _ => complain("the server sent an unexpected line"),
        }
    }

    fn delivery(&mut self, line: &[u8], sender: &[u8], text: &[u8]) {
        let text = match self.fault.as_str() {
            "ColonStops" => text.split(|byte| *byte == b':').next().unwrap().to_vec(),
            "TextTrimmed" => text.trim_ascii().to_vec(),
            "TextRepaired" => lossy(text),
            "PercentLost" => without_percent(text),
            "NulCuts" => text.split(|byte| *byte == 0).next().unwrap().to_vec(),
            "Cut255" if line.len() > 254 => text[..text.len() - (line.len() - 254)].to_vec(),
            _ => text.to_vec(),
        };
        if self.has("LongAndColonsRefused") && (text.contains(&b':') || line.len() > 254) {
            return complain("invalid message");
        }
        if text == b"/quit" && self.has("CommandsObeyed") {
            exit(0);
        }
        if text.is_empty() && self.has("EmptyDropped")
            || self.has("RepeatedDropped") && self.last == line
            || self.has("OwnNameDropped") && sender == self.user
            || self.has("NamesChecked") && !sender.iter().all(u8::is_ascii_alphanumeric)
        {
            return;
        }
        self.last = line.to_vec();
        self.printings += 1;
        if self.printings == 10 && self.has("WarnsOfTen") {
            complain("that is much");
        }
        let colours = self.has("ColoursAtTerminal") && stdout().is_terminal();
        let sender = if colours { &[b"\x1b[1m", sender, b"\x1b[0m"].concat()[..] } else { sender };
        let printed = [sender, b": ", &text, b"\n"].concat();
        if self.has("NotFlushed") { self.printed.extend(printed) } else { print_out(&printed) }
    }
}
