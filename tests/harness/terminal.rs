//! A program at a terminal: keys in, screen out.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustix::io::ioctl_fionbio;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::{PATIENCE, Signal, spawn, wait_until};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// A program that runs at a terminal of its own. It does not outlive the test.
pub struct Terminal {
    command: String,
    child: Child,
    keyboard: File,
    output: Arc<(Mutex<Output>, Condvar)>,
}

struct Output {
    bytes: Vec<u8>,
    screen: vt100::Parser,
    ended: bool,
}

impl Terminal {
    /// Starts a program at a terminal of 24 lines of 80 characters.
    pub fn start(command: &Command) -> Self {
        Self::start_at(command, |_| ())
    }

    /// The same at a terminal whose reads and writes fail where they would wait.
    pub fn start_nonblocking(command: &Command) -> Self {
        Self::start_at(command, |terminal| ioctl_fionbio(terminal, true).unwrap())
    }

    fn start_at(command: &Command, prepare: impl Fn(&File)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = OsStr::from_bytes(name.as_bytes());
        let open = || {
            let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
            prepare(&terminal);
            terminal
        };
        // It becomes the program itself, once the terminal is the one that Ctrl-C acts on.
        let mut at_terminal = Command::new("setsid");
        at_terminal.arg("--ctty").args(["env", "--default-signal=INT"]);
        at_terminal.arg(command.get_program()).args(command.get_args());
        at_terminal.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => at_terminal.env(name, value),
                None => at_terminal.env_remove(name),
            };
        }
        at_terminal.stdin(open()).stdout(open()).stderr(open());
        let child = spawn(&mut at_terminal);
        let keyboard = File::from(master);
        let output = show(keyboard.try_clone().unwrap());
        Terminal { command: format!("{command:?}"), child, keyboard, output }
    }

    /// Types.
    pub fn keys(&mut self, keys: impl AsRef<[u8]>) {
        self.keyboard.write_all(keys.as_ref()).unwrap();
    }

    /// Ctrl-C is a signal, and throws nothing away.
    pub fn keeps_output(&self) -> bool {
        let wanted = LocalModes::ISIG | LocalModes::NOFLSH;
        tcgetattr(&self.keyboard).unwrap().local_modes.contains(wanted)
    }

    /// Waits until a line of the screen is this.
    pub fn expect_line(&self, line: &str) {
        self.wait(line, |output| lines(output).iter().any(|shown| shown == line));
    }

    /// Waits until a line of the screen starts with this.
    pub fn expect_start_of_line(&self, start: &str) {
        self.wait(start, |output| lines(output).iter().any(|shown| shown.starts_with(start)));
    }

    /// Waits until the line that the cursor stands on is this.
    pub fn expect_at_cursor(&self, line: &str) {
        self.wait(line, |output| {
            let (row, _) = output.screen.screen().cursor_position();
            lines(output).get(usize::from(row)).is_some_and(|shown| shown == line)
        });
    }

    /// Waits until the screen shows this somewhere.
    pub fn expect(&self, text: &str) {
        self.wait(text, |output| output.screen.screen().contents().contains(text));
    }

    fn wait(&self, what: &str, enough: impl Fn(&Output) -> bool) {
        let (output, news) = &*self.output;
        let not_yet = |output: &mut Output| !enough(output) && !output.ended;
        let output = output.lock().unwrap();
        let (output, _) = news.wait_timeout_while(output, PATIENCE, not_yet).unwrap();
        let there = enough(&output);
        drop(output);
        assert!(there, "no {what:?} on {self:?}");
    }

    /// All lines of the screen, without the white space at their ends.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.output.0.lock().unwrap())
    }

    /// All lines that there would be on a screen without an end, between the first and the last that
    /// are not empty.
    pub fn whole(&self) -> Vec<String> {
        let rows = NonZeroU16::new(2000).unwrap();
        let mut screen = vt100::Parser::new(rows, NonZeroU16::new(COLUMNS).unwrap(), 0);
        screen.process(&self.bytes());
        let rows: Vec<_> = screen.screen().rows(0, COLUMNS).collect();
        let lines = rows.join("\n");
        lines.trim_matches('\n').split('\n').map(|line| line.trim_end().to_owned()).collect()
    }

    /// Everything that was written to the terminal.
    pub fn bytes(&self) -> Vec<u8> {
        self.output.0.lock().unwrap().bytes.clone()
    }

    /// Does something, also with the keyboard, while the terminal takes nothing, as one that is stopped.
    pub fn while_stopped(&self, act: impl FnOnce(&File)) {
        let _nobody_reads = self.output.0.lock().unwrap();
        act(&self.keyboard);
    }

    /// Looks at the screen.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.output.0.lock().unwrap().screen.screen())
    }

    /// The terminal gathers lines and shows what is typed, as before any program changed that.
    pub fn is_as_it_was(&self) -> bool {
        let wanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcgetattr(&self.keyboard).unwrap().local_modes.contains(wanted)
    }

    /// Sets the terminal as a shell wants it, which has another program in the foreground.
    pub fn set_as_it_was(&self) {
        let mut settings = tcgetattr(&self.keyboard).unwrap();
        settings.local_modes.insert(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(&self.keyboard, OptionalActions::Now, &settings).unwrap();
        // A shell wants to read what is pasted, too.
        self.output.0.lock().unwrap().screen.process(b"\x1b[?2004l");
    }

    /// The program is stopped, as by Ctrl-Z.
    pub fn is_stopped(&self) -> bool {
        super::is_stopped(self.child.id())
    }

    /// The program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the program has ended, and all that it wrote is on the screen.
    pub fn finish(&mut self) -> ExitStatus {
        let mut status = None;
        let child = &mut self.child;
        let output = &self.output;
        wait_until(
            || {
                status = child.try_wait().unwrap();
                status.is_some()
            },
            || format!("still running:\n{}", lines(&output.0.lock().unwrap()).join("\n")),
        );
        self.wait("end", |output| output.ended);
        status.unwrap()
    }
}

/// Takes down what is written to the terminal, on a thread of its own.
fn show(mut master: File) -> Arc<(Mutex<Output>, Condvar)> {
    let size = |number| NonZeroU16::new(number).unwrap();
    let screen = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
    let output = Output { bytes: Vec::new(), screen, ended: false };
    let output = Arc::new((Mutex::new(output), Condvar::new()));
    let shared = Arc::clone(&output);
    thread::spawn(move || {
        let mut piece = [0; 4096];
        loop {
            // It fails when nobody has the other end open any more.
            let count = master.read(&mut piece).unwrap_or(0);
            let mut output = shared.0.lock().unwrap();
            output.bytes.extend_from_slice(&piece[..count]);
            output.screen.process(&piece[..count]);
            output.ended = count == 0;
            shared.1.notify_all();
            if output.ended {
                break;
            }
        }
    });
    output
}

fn lines(output: &Output) -> Vec<String> {
    let rows = output.screen.screen().rows(0, COLUMNS);
    rows.map(|row| row.trim_end().to_owned()).collect()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nscreen:", self.command)?;
        for line in self.lines() {
            writeln!(f, "  |{line}")?;
        }
        Ok(())
    }
}
