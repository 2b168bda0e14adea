//! Hears that there is something new. It is no harm if something is heard twice, or late: what is
//! true is in the streams.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::link::Target;
use super::want::Want;
use crate::wire::protocol::Name;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);

/// After so long without news, Redis is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(1);

/// Says what there is to hear, until nobody hears it any more.
pub(super) fn listen(target: &Target, wants: &mpsc::Sender<Want>) {
    let mut is_heard = true;
    while is_heard {
        // If this connection is broken, the writer's may be, which has not noticed it.
        is_heard = listen_once(target, wants).unwrap_or_else(|| wants.send(Want::Arrive).is_ok());
        thread::sleep(RETRY);
    }
}

/// Listens until the connection breaks; `Some(false)` if nobody hears it any more.
fn listen_once(target: &Target, wants: &mpsc::Sender<Want>) -> Option<bool> {
    let mut connection = target.connect(SILENCE).ok()?;
    let mut news = connection.as_pubsub();
    news.subscribe(target.key("news")).ok()?;
    // What came before is found out.
    let mut want = Want::Look;
    loop {
        if wants.send(want).is_err() {
            return Some(false);
        }
        let message = loop {
            match news.get_message() {
                Ok(message) => break message,
                Err(error) if error.is_timeout() => news.ping::<::redis::Value>().ok().map(drop)?,
                Err(_) => return None,
            }
        };
        want = read(message.get_payload_bytes());
    }
}

/// `ROOM SEQ`, or anything else: then it is better to look.
fn read(news: &[u8]) -> Want {
    let space = news.iter().position(|&byte| byte == b' ');
    let parse = |space: usize| {
        let seq = std::str::from_utf8(&news[space + 1..]).ok()?.parse().ok()?;
        Some(Want::Heard(Name::parse(&news[..space]).ok()?, seq))
    };
    space.and_then(parse).unwrap_or(Want::Arrive)
}
