//! How the terminal at standard input is set.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::system::signals;

/// A copy of a terminal's settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings(Termios);

impl Settings {
    /// Copies the settings of the terminal at standard input.
    ///
    /// # Errors
    ///
    /// If there is no terminal.
    pub(crate) fn of_stdin() -> io::Result<Self> {
        Ok(Settings(tcgetattr(io::stdin().as_fd())?))
    }

    /// Sets the terminal so that it passes on each key and shows none. What is typed between two
    /// reads is then neither shown twice nor lost, as an end of input would be. Ctrl-C still
    /// interrupts.
    pub(crate) fn set_cbreak(&self) {
        let mut settings = self.0.clone();
        settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        settings.input_modes.remove(InputModes::ICRNL);
        settings.special_codes[SpecialCodeIndex::VMIN] = 1;
        settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &settings);
    }

    /// Stops the process as SIGTSTP does, with these settings until it continues.
    pub(crate) fn stop_process(&self) {
        let now = Self::of_stdin();
        self.restore();
        signals::stop_process();
        if let Ok(now) = now {
            now.restore();
        }
    }

    /// Sets the terminal at standard input like this.
    pub(crate) fn restore(&self) {
        // If this fails, the terminal is gone.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}
