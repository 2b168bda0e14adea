//! The executable: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatbox::cli::run(std::env::args_os())
}
