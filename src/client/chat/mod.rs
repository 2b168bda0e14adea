//! One screen: a sender and a receiver under one name, and a prompt.
//!
//! What is on the screen has been delivered. One thread waits for lines at the prompt, one carries them
//! out over the sender's connection, one shows what the receiver's connection brings, and makes both
//! again when one is lost.
//!
//! Knows connections, a prompt and a printer. Must not know flags.

mod news;
mod pair;
mod receiving;
mod rooms;
mod speaking;
mod words;

pub(crate) use news::Bell;
use news::News;
use pair::{Pair, connect_both};
use receiving::Receiving;
use rooms::Rooms;
use speaking::Speaking;
use words::Words;

use super::dialogue::Dialogue;
use super::error::ClientError;
use super::link::{Identity, KeepTrying};
use super::transport::Address;
use super::turn::Turn;
use crate::system::descriptors::Blocking;
use crate::terminal::format::Format;
use crate::terminal::prompt::Prompt;

/// How to chat, and where.
#[derive(Debug)]
pub(crate) struct Options {
    /// The server.
    pub address: Address,
    /// The room to enter, if any.
    pub room: Option<Vec<u8>>,
    /// With so many texts a room begins, where the server keeps what is said.
    pub last: u64,
    /// How texts are shown; whose name stands out is who talks.
    pub format: Format,
    /// When to ring.
    pub bell: Bell,
    /// Connect again when the server goes away.
    pub reconnect: bool,
    /// Ends the process when the server is gone for good.
    pub exit: fn(ClientError) -> !,
}

/// Talks and listens, until the end of input or `/quit`.
///
/// # Errors
///
/// [`ClientError`].
pub(crate) fn run(options: Options) -> Result<(), ClientError> {
    let Options { address, room, last, format, bell, reconnect, exit } = options;
    let (rooms, user) = (Rooms::new(last), format.user.clone());
    let identity = Identity { address, receives: true, user, room, history: rooms.ask() };
    let (sender, receiver) = connect_both(&identity, &mut Turn::default(), &mut KeepTrying)?;
    let _blocking = Blocking::standard();
    let words = Words::new(identity.room.as_deref());
    let prompt = Prompt::open(words.clone())?;
    let printer = prompt.printer();
    if identity.room.is_none() {
        printer.notice(&speaking::ENTER);
    }
    let (pair, orders) = Pair::new(identity, sender)?;
    let news = News::new(format, bell, printer.clone(), words);
    let receiving =
        Receiving { pair: pair.clone(), orders, rooms, news, printer: printer.clone(), reconnect };
    receiving.start(receiver, exit)?;
    let speaker = Speaking::start(pair, printer.clone())?;
    let mut dialogue = Dialogue { prompt, speaker };
    let ended = dialogue.run();
    dialogue.speaker.end();
    printer.finish();
    ended
}
