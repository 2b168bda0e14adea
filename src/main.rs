//! The executable: arguments in, exit status out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match chatbox::cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.print();
            ExitCode::from(error.status())
        }
    }
}
