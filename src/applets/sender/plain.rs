//! Lines from a pipe, one after the other: each waits for its answer.

use std::io;

use super::MAX_INPUT;
use super::command::{Command, Mistake, understand};
use crate::client::ClientError;
use crate::client::link::{Link, Outcome};
use crate::error::{Error, notice, pass_on};
use crate::lines::{Line, LineReader};
use crate::protocol::Request;

/// Sends what standard input asks for, until it ends or `/quit`.
pub(super) fn run(mut link: Link) -> Result<(), Error> {
    let mut input = LineReader::new(io::stdin().lock(), MAX_INPUT);
    loop {
        while let Some(line) = input.next_line() {
            if !carry_out(line, &mut link)? {
                return Ok(());
            }
        }
        if !input.fill().map_err(Error::Input)? {
            break;
        }
    }
    // A last line need not have an end.
    if let Some(line) = input.partial() {
        carry_out(line, &mut link)?;
    }
    Ok(())
}

/// Does what a line asks for; tells whether there may be another one.
fn carry_out(line: Line<'_>, link: &mut Link) -> Result<bool, Error> {
    let command = match line {
        Line::Whole(line) => understand(line),
        Line::TooLong => Err(Mistake::TooLong),
    };
    match command {
        Err(mistake) => notice(&mistake),
        Ok(Command::Nothing) => {}
        Ok(Command::Send(request)) => match link.request(&request, &mut notice) {
            _ if request == Request::Quit => return Ok(false),
            Ok(Outcome::Answered(Ok(_))) => {}
            Ok(Outcome::Answered(Err(reason))) => pass_on("", &reason),
            Ok(Outcome::Unsure) => notice(&"the answer got lost: unsure whether the text was sent"),
            Err(ClientError::Unsendable(reason)) => notice(&reason),
            Err(error) => return Err(error.into()),
        },
    }
    Ok(true)
}
