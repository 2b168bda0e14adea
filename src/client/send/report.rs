//! What is printed of a request's result.

use std::fmt::Display;

use crate::client::error::ClientError;
use crate::client::link::Outcome;
use crate::terminal::output::{notice, pass_on};
use crate::wire::protocol::Request;

/// Printed for a text whose answer will not come any more.
pub(in crate::client) const UNSURE: &str = "the answer got lost: unsure whether it was sent";

/// Reports the result of a request unless it is `ok`. Returns whether it is. `place` goes before what
/// is not an answer of the server.
///
/// # Errors
///
/// [`ClientError`] if no other request can be sent.
pub(super) fn report(
    request: &Request<'_>,
    outcome: Result<Outcome, ClientError>,
    place: &dyn Display,
) -> Result<bool, ClientError> {
    match outcome {
        Ok(Outcome::Answered(Ok(_))) => return Ok(true),
        Ok(Outcome::Answered(Err(reason))) => pass_on(&reason),
        // The sender ends, whether or not the server has heard of it.
        _ if *request == Request::Quit => return Ok(true),
        Ok(Outcome::NotSent) => notice(&"the server is away: that was not sent"),
        Ok(Outcome::Unsure) => notice(&format_args!("{place}{UNSURE}")),
        Err(ClientError::Unsendable(reason)) => notice(&reason),
        Err(error) => return Err(error),
    }
    Ok(false)
}
