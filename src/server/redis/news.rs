//! Hears that there is something new. It is no harm if something is heard twice, or late: what is
//! true is in the streams.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ::redis::{Connection, PubSub, Value};

use super::link::{Target, Trouble, trouble};
use super::want::Want;
use crate::system::rate_limited::Warning;
use crate::wire::protocol::Name;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(100);

/// After so long without news, Redis is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(1);

/// Tries whether there may be something to hear. A reply may take so long.
///
/// # Errors
///
/// If not, what Redis says.
pub(super) fn try_it(target: &Target, patience: Duration) -> Result<(), Trouble> {
    let mut connection = target.connect(patience)?;
    subscribe(&mut connection, target).map(drop)
}

/// Says what there is to hear of other servers than that one, until nobody hears it any more.
pub(super) fn listen(target: &Target, server: &str, wants: &mpsc::Sender<Want>) {
    let mut refusals = Warning::default();
    loop {
        let (want, pause) = match listen_once(target, server, wants) {
            Ok(()) => return,
            // Nothing can be heard: what is new has to be looked for.
            Err(trouble) if trouble.is_lasting() => {
                let address = &target.address;
                refusals.warn(format_args!("Redis at {address} lets nothing be heard: {trouble}"));
                (Want::Look, SILENCE)
            }
            // If this connection is broken, the writer's may be, which has not noticed it.
            Err(_) => (Want::Arrive, RETRY),
        };
        if wants.send(want).is_err() {
            return;
        }
        thread::sleep(pause);
    }
}

/// Listens until the connection breaks, or nobody hears it any more.
fn listen_once(target: &Target, server: &str, wants: &mpsc::Sender<Want>) -> Result<(), Trouble> {
    let mut connection = target.connect(SILENCE)?;
    let mut news = subscribe(&mut connection, target)?;
    // What came before is found out.
    let mut want = Some(Want::Look);
    loop {
        if want.is_some_and(|want| wants.send(want).is_err()) {
            return Ok(());
        }
        let message = loop {
            match news.get_message() {
                Ok(message) => break message,
                Err(error) if error.is_timeout() => {
                    ping(&mut news)?;
                }
                Err(error) => return Err(trouble(error)),
            }
        };
        want = read(message.get_payload_bytes(), server);
    }
}

/// Subscribes, and makes sure of it: only who has subscribed is answered a ping with two words.
fn subscribe<'a>(connection: &'a mut Connection, target: &Target) -> Result<PubSub<'a>, Trouble> {
    let channel = target.key("news");
    let mut news = connection.as_pubsub();
    news.subscribe(&channel).map_err(trouble)?;
    match ping(&mut news)? {
        Value::Array(_) => Ok(news),
        _ => Err(Trouble::refused(&format!("NOPERM no right to subscribe to {channel}"))),
    }
}

/// What a ping is answered, unless it is refused.
fn ping(news: &mut PubSub<'_>) -> Result<Value, Trouble> {
    match news.ping().map_err(trouble)? {
        Value::ServerError(error) => Err(trouble(error.into())),
        answer => Ok(answer),
    }
}

/// `SERVER ROOM SEQ ROOM SEQ …`, or anything else: then it is better to look. What that server itself
/// has said is no news, and neither is `-`.
fn read(news: &[u8], server: &str) -> Option<Want> {
    let news = String::from_utf8_lossy(news);
    let mut words = news.split(' ');
    if words.next() == Some(server) || news == "-" {
        return None;
    }
    let words: Vec<_> = words.collect();
    let heard = words.chunks(2).map(|pair| match pair {
        [room, seq] => Name::parse(room.as_bytes()).ok().zip(seq.parse().ok()),
        _ => None,
    });
    let heard = heard.collect::<Option<Vec<_>>>().filter(|heard| !heard.is_empty());
    Some(heard.map_or(Want::Arrive, Want::Heard))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};

    use super::*;

    /// It lets somebody subscribe, and answers no ping.
    #[test]
    fn a_redis_that_still_reads_what_it_has_denies_no_right() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let redis = thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            let subscribed = "*3\r\n$9\r\nsubscribe\r\n$6\r\nx:news\r\n:1\r\n";
            write!(client, "{subscribed}-LOADING it reads\r\n").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        });
        let tried = try_it(&Target::new(&url, None, "x:").unwrap(), SILENCE);
        assert_eq!(tried, Err(Trouble::refused("LOADING it reads")));
        redis.join().unwrap();
    }

    #[test]
    fn what_others_have_said_is_news() {
        let heard = |news: &[u8]| match read(news, "me") {
            Some(Want::Heard(rooms)) => {
                rooms.iter().map(|(room, seq)| format!("{}={seq}", room.as_str())).collect()
            }
            Some(Want::Arrive) => vec!["anything".to_owned()],
            Some(other) => panic!("{other:?}"),
            None => Vec::new(),
        };
        assert_eq!(heard(b"other cafe 5"), ["cafe=5"]);
        assert_eq!(heard(b"other cafe 5 bar 9"), ["cafe=5", "bar=9"]);
        assert_eq!(heard(b"me cafe 5 bar 9"), [""; 0]);
        assert_eq!(heard(b"-"), [""; 0]);
        for news in
            [&b""[..], b"!", b"other", b"other cafe", b"other cafe x", b"other c-f 1", b"\xff"]
        {
            assert_eq!(heard(news), ["anything"], "{news:?}");
        }
    }
}
