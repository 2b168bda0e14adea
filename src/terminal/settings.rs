//! How the terminal at standard input is set while a program holds it, and how it was before.
//!
//! One holder at a time. However the process ends or stops, [`release`] or [`suspend`] sets the
//! terminal as it was.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, getpgrp};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex,
    Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};

use super::error::TerminalError;
use crate::system::descriptors;
use crate::system::signals::{self, Effect};

/// The terminal, while it is held. There is one, whoever ends the process.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// Asks the terminal to mark what is pasted, and not to any more.
const MARK_PASTES: (&[u8], &[u8]) = (b"\x1b[?2004h", b"\x1b[?2004l");

/// Who holds the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A prompt that edits lines: each key is passed on, none is shown, and pastes are marked.
    Editor,
    /// A prompt on a terminal that can do nothing, and stays as it is.
    Plain,
    /// Nobody reads: what is typed is neither shown nor kept.
    Nobody,
}

struct Held {
    holder: Holder,
    before: Termios,
    ours: Termios,
    /// It is set as the holder wants it, as far as we know.
    is_set: bool,
}

/// The terminal is held. It is set as before when this is dropped.
#[derive(Debug)]
pub(crate) struct Hold(());

impl Hold {
    /// Sets the terminal as the holder wants it, if that could not be done in the background. No signal
    /// tells when a shell takes a program back from there.
    pub(crate) fn renew(&self) {
        if let Some(held) = &mut *held()
            && !held.is_set
        {
            held.apply();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(held) = held().take() {
            held.restore();
        }
    }
}

/// Holds the terminal.
///
/// # Errors
///
/// If there is no terminal.
pub(super) fn hold(holder: Holder) -> io::Result<Hold> {
    let before = tcgetattr(io::stdin().as_fd())?;
    let mut taken = Held { holder, ours: ours(holder, &before, false), before, is_set: false };
    taken.apply();
    *held() = Some(taken);
    Ok(Hold(()))
}

/// Holds the terminal for a program that only prints: what is typed meanwhile is not shown among what
/// it prints, and is not the shell's when it ends. Does nothing unless standard input and standard
/// output are the same terminal, and this program is the one in its foreground.
///
/// # Errors
///
/// [`TerminalError::Signals`]; [`TerminalError::Input`] if the terminal cannot be set.
pub(crate) fn ignore_keys() -> Result<Option<Hold>, TerminalError> {
    // A process whose group is outside its container can only be asked for it if the terminal's is not.
    let is_in_foreground = || foreground().is_some_and(|group| group == getpgrp());
    if !is_one_terminal() || !is_in_foreground() {
        return Ok(None);
    }
    signals::intercept(on_signal)?;
    hold(Holder::Nobody).map(Some).map_err(TerminalError::Input)
}

/// Says whether an editor is reading now: it gets Ctrl-C as a key then, which interrupts otherwise.
pub(super) fn set_reading(reading: bool) {
    if let Some(held) = &mut *held() {
        held.ours = ours(held.holder, &held.before, reading);
    }
}

/// Does with the terminal what has to be done because of a signal. Returns whether the signal is to
/// have its effect.
pub(super) fn on_signal(effect: Effect) -> bool {
    match effect {
        Effect::Interrupt | Effect::End => release(),
        Effect::Stop => suspend(),
        Effect::Continue => resume(),
    }
    effect != Effect::Continue
}

/// Sets the terminal as it was before it was held, if it is. To be called before the process ends.
pub(crate) fn release() {
    if let Some(held) = held().take()
        && held.restore()
        && held.holder != Holder::Nobody
    {
        // The prompt stands on the line.
        write(b"\n");
    }
}

/// From now on, a bug in any thread ends the process, with the terminal set as it was.
pub(super) fn release_on_panic() {
    /// As Rust has it.
    const PANICKED: i32 = 101;
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |bug| {
        release();
        tell(bug);
        std::process::exit(PANICKED);
    }));
}

/// Sets the terminal as it was before it was held, until the process continues.
fn suspend() {
    if let Some(held) = &*held() {
        held.restore();
    }
}

/// Sets the terminal as it was before the process stopped.
fn resume() {
    if let Some(held) = &mut *held() {
        held.apply();
    }
}

/// Stops the process as SIGTSTP does, with the terminal as it was before it was held.
pub(super) fn stop_process() {
    suspend();
    signals::stop_process();
    resume();
}

/// Throws away what is typed, until nothing more comes.
pub(super) fn discard_input() {
    /// The rest of a paste comes faster than this.
    const QUIET: Duration = Duration::from_millis(200);
    let stdin = io::stdin();
    let more = || descriptors::wait(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(QUIET));
    while let Ok(true) = more()
        && tcflush(&stdin, QueueSelector::IFlush).is_ok()
    {}
}

impl Held {
    /// Sets the terminal as the holder wants it.
    fn apply(&mut self) {
        // A prompt in the background stops here, as whoever reads a terminal does.
        self.is_set = self.holder != Holder::Nobody || !is_in_background();
        if !self.is_set {
            return;
        }
        set(&self.ours);
        if self.holder == Holder::Editor {
            write(MARK_PASTES.0);
        }
    }

    /// Sets the terminal as it was. In the background, it is somebody else's: returns `false`.
    fn restore(&self) -> bool {
        if is_in_background() {
            return false;
        }
        match self.holder {
            Holder::Editor => write(MARK_PASTES.1),
            Holder::Nobody => drop(tcflush(io::stdin().as_fd(), QueueSelector::IFlush)),
            Holder::Plain => {}
        }
        set(&self.before);
        true
    }
}

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to the terminal, though somebody else may be about to.
fn write(bytes: &[u8]) {
    let _ = rustix::io::write(io::stdout(), bytes);
}

/// Sets the terminal. If this fails, the terminal is gone.
fn set(settings: &Termios) {
    let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, settings);
}

/// The settings that a holder wants.
fn ours(holder: Holder, before: &Termios, reading: bool) -> Termios {
    let mut settings = before.clone();
    match holder {
        Holder::Plain => return settings,
        Holder::Nobody => settings.local_modes.remove(LocalModes::ECHO),
        // What is typed between two reads is neither shown twice nor lost, as an end of input would
        // be.
        Holder::Editor => {
            settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // Ctrl-C throws nothing away that is on its way to the screen.
            settings.local_modes.insert(LocalModes::NOFLSH);
            settings.input_modes.remove(InputModes::ICRNL);
            settings.special_codes[SpecialCodeIndex::VMIN] = 1;
            settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
    }
    if reading {
        // As the editor sets it itself when it begins to read.
        settings.local_modes.remove(LocalModes::ISIG | LocalModes::IEXTEN);
        settings
            .input_modes
            .remove(InputModes::BRKINT | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON);
        settings.control_modes.insert(ControlModes::CS8);
    }
    settings
}

/// The environment says that the terminal can move its cursor, and whatever else there is to it.
pub(super) fn is_capable() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Standard input and standard output are the same terminal.
fn is_one_terminal() -> bool {
    let device = |fd: io::Result<_>| Some(File::from(fd.ok()?).metadata().ok()?.rdev());
    let (stdin, stdout) = (io::stdin(), io::stdout());
    stdin.is_terminal()
        && stdout.is_terminal()
        && device(stdin.as_fd().try_clone_to_owned()) == device(stdout.as_fd().try_clone_to_owned())
}

/// The terminal at standard input is somebody else's to use.
fn is_in_background() -> bool {
    foreground().is_some_and(|group| group != getpgrp())
}

/// Who may use the terminal at standard input; `None` if it does not say, and anybody may.
fn foreground() -> Option<Pid> {
    tcgetpgrp(io::stdin().as_fd()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::process::Command;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Set for a process that is to have a bug.
    const BUG: &str = "CHATBOX_TEST_BUG";

    #[test]
    fn a_bug_leaves_the_terminal_as_it_was() {
        if std::env::var_os(BUG).is_some() {
            let _hold = hold(Holder::Editor).unwrap();
            release_on_panic();
            // In any thread.
            std::thread::scope(|scope| drop(scope.spawn(|| panic!("that is a bug"))));
            return;
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let mut master = File::from(openpt(flags).unwrap());
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let modes = || tcgetattr(&terminal).unwrap().local_modes;
        let before = modes();
        // This test, at that terminal.
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = "terminal::settings::tests::a_bug_leaves_the_terminal_as_it_was";
        command.args(["--exact", "--nocapture", test]).env(BUG, "");
        let stream = || terminal.try_clone().unwrap();
        let status = command.stdin(stream()).stdout(stream()).stderr(stream()).status().unwrap();
        assert_eq!(modes(), before);
        drop((command, terminal));
        let mut output = Vec::new();
        // It fails when nobody has the terminal open any more.
        let _ = master.read_to_end(&mut output);
        let output = String::from_utf8_lossy(&output);
        assert_eq!(status.code(), Some(101), "{output}");
        let (_, held) = output.split_once("\x1b[?2004h").expect(&output);
        let (_, after) = held.split_once("\x1b[?2004l").expect(&output);
        assert!(after.starts_with("\r\n") && after.contains("that is a bug"), "{output}");
    }
}
