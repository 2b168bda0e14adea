//! Positions and records, where a server gives texts back.

use super::Peer;

/// A record: its position, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub epoch: u64,
    pub seq: u64,
    pub text: String,
}

impl Record {
    /// Reads a `record` line.
    pub fn parse(line: &str) -> Self {
        let parts: Vec<_> = line.splitn(6, ':').collect();
        let ["record", position, time, _, _, text] = parts[..] else {
            panic!("no record: {line}");
        };
        let (epoch, seq) = position.split_once('-').unwrap();
        assert!(time.parse::<u64>().unwrap() > 1_700_000_000_000, "{line}");
        Record { epoch: epoch.parse().unwrap(), seq: seq.parse().unwrap(), text: text.into() }
    }
}

/// What the answer to a `join` says of where a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub epoch: u64,
    pub from: u64,
    pub to: u64,
}

impl Span {
    pub fn parse(answer: &str) -> Self {
        let parse = || {
            let (epoch, seqs) = answer.rsplit_once(" @")?.1.split_once('-')?;
            let (from, to) = seqs.split_once("..")?;
            Some((epoch.parse().ok()?, from.parse().ok()?, to.parse().ok()?))
        };
        let (epoch, from, to) = parse().unwrap_or_else(|| panic!("no span: {answer}"));
        Span { epoch, from, to }
    }
}

/// A receiver that has joined a room with a `history` request before; what its `join` was answered.
pub fn receiver(port: u16, history: &str, room: &str) -> (Peer, Span) {
    let mut peer = Peer::connect(port);
    peer.ok("rlogin:eve");
    peer.ok(&format!("history:{history}"));
    let answer = peer.ask(&format!("join:{room}"));
    let span = Span::parse(&answer);
    (peer, span)
}

/// The next so many records.
pub fn records(peer: &mut Peer, count: usize) -> Vec<Record> {
    (0..count).map(|_| Record::parse(&peer.line())).collect()
}

/// Texts "1" to "N".
pub fn numbers(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| number.to_string())
}

/// What a receiver asks for in a room where "1" to "10" have been said in that epoch, and after which of
/// them it begins then.
pub fn beginnings(epoch: u64) -> [(String, u64); 8] {
    [
        ("".into(), 10),
        ("last=0".into(), 10),
        ("last=3".into(), 7),
        ("last=99".into(), 0),
        (format!("after={epoch}-4"), 4),
        (format!("after={epoch}-10"), 10),
        (format!("after={epoch}-11"), 0),
        ("after=5-4".into(), 0),
    ]
}

/// Asks for that in such a room, and is given that.
pub fn begins(port: u16, epoch: u64, history: &str, from: u64) -> Peer {
    let (mut peer, span) = receiver(port, history, "cafe");
    assert_eq!(span, Span { epoch, from, to: 10 }, "{history}");
    let texts = records(&mut peer, 10 - from as usize);
    let texts: Vec<_> = texts.into_iter().map(|it| (it.epoch, it.seq, it.text)).collect();
    let expected: Vec<_> = (from + 1..=10).map(|seq| (epoch, seq, seq.to_string())).collect();
    assert_eq!(texts, expected, "{history}");
    peer
}

/// Sends texts, so many at a time before their answers are read.
pub fn say(sender: &mut Peer, texts: impl IntoIterator<Item = String>) {
    let texts: Vec<_> = texts.into_iter().collect();
    for part in texts.chunks(100) {
        let lines: String = part.iter().map(|text| format!("sendall:{text}\n")).collect();
        sender.send(lines);
        part.iter().for_each(|_| sender.expect("ok:sent"));
    }
}
