//! Lines of a pipe, one request at a time: each waits for its answer.

use super::input::Input;
use super::report::report;
use crate::client::command::{Command, parse_line};
use crate::client::error::ClientError;
use crate::client::link::{KeepTrying, Link};
use crate::terminal::output::notice;
use crate::wire::lines::Line;
use crate::wire::protocol::Request;

/// Sends what standard input asks for, until it ends or `/quit`.
pub(super) fn run(mut link: Link) -> Result<(), ClientError> {
    let mut input = Input::open()?;
    let mut number = 0;
    loop {
        while let Some(line) = input.next_line() {
            number += 1;
            if !carry_out(number, line, &mut link)? {
                return Ok(());
            }
        }
        if input.is_over() {
            return Ok(());
        }
        input.fill()?;
    }
}

/// Does what a line asks for. Returns `false` after `/quit`.
fn carry_out(number: usize, line: Line<'_>, link: &mut Link) -> Result<bool, ClientError> {
    match parse_line(line) {
        Err(error) => notice(&error),
        Ok(Command::Nothing) => {}
        Ok(Command::Send(request)) => {
            let outcome = link.request(&request, &mut KeepTrying);
            report(&request, outcome, &format_args!("line {number}: "))?;
            return Ok(request != Request::Quit);
        }
    }
    Ok(true)
}
