//! Lines typed or pasted at a prompt, one request at a time.

use super::report::report;
use crate::client::command::{self, Completion};
use crate::client::dialogue::{Dialogue, Done, Speaker};
use crate::client::error::ClientError;
use crate::client::link::{KeepTrying, Link, Outcome};
use crate::client::watch::Watched;
use crate::system::descriptors::Blocking;
use crate::terminal::output::notice;
use crate::terminal::prompt::Prompt;
use crate::wire::protocol::Request;

/// Reads lines and sends what they ask for, until the end of input or `/quit`. `exit` is called when
/// the server is gone for good while a line is waited for.
pub(super) fn run(link: Link, exit: fn(ClientError) -> !) -> Result<(), ClientError> {
    let _blocking = Blocking::standard();
    let room = link.identity.room.clone();
    let prompt = Prompt::open(Completion::new(&command::COMMANDS, room.as_deref()))?;
    let link = Watched::start(link, prompt.printer(), move |error| exit(error))?;
    Dialogue { prompt, speaker: Sender { link, room } }.run()
}

/// Sends over a link.
struct Sender {
    link: Watched,
    room: Option<Vec<u8>>,
}

impl Speaker for Sender {
    type Words = Completion;

    const HELP: &str = command::HELP;

    fn room(&self) -> &[u8] {
        self.room.as_deref().unwrap_or_default()
    }

    fn request(
        &mut self,
        prompt: &mut Prompt<Completion>,
        request: &Request<'_>,
        _: &str,
        _: bool,
    ) -> Result<Done, ClientError> {
        let (outcome, link) = match self.link.lock() {
            // If the connection is lost, the watch makes it again, and the prompt goes on.
            Some(mut link) => (link.try_request(request, &mut KeepTrying), Some(link)),
            None => (Ok(Outcome::NotSent), None),
        };
        let lost = matches!(outcome, Ok(Outcome::NotSent | Outcome::Unsure));
        let is_refused = matches!(outcome, Ok(Outcome::Answered(Err(_))));
        let sent = report(request, outcome, &"");
        if is_refused && self.room.is_none() && matches!(request, Request::SendAll(_)) {
            notice(&"enter one with /join ROOM");
        }
        if let Some(link) = link
            && (*request == Request::Quit || sent.is_err())
        {
            // The connection ends now, which is not to be reported.
            Watched::stop(link);
        }
        match request {
            Request::Quit => return sent.map(|_| Done::Quit),
            Request::Join(name) if matches!(sent, Ok(true)) => {
                self.room = Some(name.to_vec());
                if let Some(completion) = prompt.completion() {
                    completion.add_room(name);
                }
            }
            Request::Leave if matches!(sent, Ok(true)) => self.room = None,
            _ => {}
        }
        sent.map(|_| if lost { Done::Lost } else { Done::All })
    }
}
