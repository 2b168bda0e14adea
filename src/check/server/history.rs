//! `+history`: rooms that remember, where that is offered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::guest::Guest;
use super::stage::Stage;
use crate::check::case::{Case, case, topic};
use crate::check::story::shown;
use crate::check::verdict::{Given, Step, Stop};

pub(super) fn cases() -> Vec<Case<Stage>> {
    let cases = [
        case("not-offered", "A server that does not offer it does not know its tags.", not_offered),
        case("unasked", "Who does not ask for it sees nothing of it.", unasked),
        case("requests", "history: takes nothing, last=N or after=EPOCH-SEQ.", requests),
        case("receivers-only", "It is for receivers.", receivers_only),
        case("records", "A record is POSITION:TIME:ROOM:SENDER:TEXT.", records),
        case("numbers", "SEQ rises by one with each text, and begins with 1.", numbers),
        case("any-bytes", "A record's text is as it was sent.", any_bytes),
        case("now", "Without a wish, a join begins now.", |stage: &mut Stage| {
            begins(stage, |_| String::new(), |said| said)
        }),
        case("last", "After last=N, it begins with the last N texts.", |stage: &mut Stage| {
            begins(stage, |_| "last=3".into(), |said| said - 3)?;
            begins(stage, |_| "last=0".into(), |said| said)
        }),
        case("last-of-few", "With as many as there are.", |stage: &mut Stage| {
            begins(stage, |_| format!("last={}", i64::MAX), |_| 0)
        }),
        case(
            "after",
            "After after=EPOCH-SEQ, with what came after that text.",
            |stage: &mut Stage| {
                begins(stage, |epoch| format!("after={epoch}-0"), |_| 0)?;
                begins(stage, |epoch| format!("after={epoch}-4"), |_| 4)?;
                begins(stage, |epoch| format!("after={epoch}-{SAID}"), |said| said)
            },
        ),
        case(
            "after-the-end",
            "After a position that the room has not, with all there is.",
            |stage| begins(stage, |epoch| format!("after={epoch}-{}", SAID + 1), |_| 0),
        ),
        case(
            "after-unknown",
            "After an epoch that nobody knows, with all there is.",
            |stage: &mut Stage| begins(stage, |_| "after=5-4".into(), |_| 0),
        ),
        case("one-join", "A wish holds for one join.", one_join),
        case("failed-join", "A join that fails does not use it up.", failed_join),
        case("last-wish", "A later wish replaces an earlier one.", last_wish),
        case("same-room", "A join of the same room starts over if there is a wish.", same_room),
        case("owed-first", "What is owed from before comes first, in its old form.", owed_first),
        case(
            "no-hole",
            "Between what was there and what is said now, nothing is missing.",
            no_hole,
        ),
    ];
    topic("server/history", cases.map(Case::full))
}

/// Texts that are said before a receiver comes.
const SAID: u64 = 10;

/// A receiver that is offered a history.
fn offered(stage: &Stage) -> Step<Guest> {
    let mut eve = stage.connect("eve")?;
    let answer = eve.log_in("rlogin").given()?;
    if !is_offered(&answer) {
        return Err(Stop::Skip("the server does not offer +history".into()));
    }
    Ok(eve)
}

fn is_offered(answer: &[u8]) -> bool {
    let mut words = answer.rsplit(|byte| *byte == b' ').take_while(|word| word.starts_with(b"+"));
    words.any(|word| word == b"+history")
}

/// What the answer to a `join` says of where a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    epoch: u64,
    from: u64,
    to: u64,
}

/// Joins, and reads where it is then.
fn join(eve: &mut Guest, room: &str) -> Step<Span> {
    let answer = eve.ok(format!("join:{room}"))?;
    span(eve, &answer)
}

fn span(eve: &Guest, answer: &[u8]) -> Step<Span> {
    let number = |word: &str| word.parse().ok().filter(|it: &u64| *it <= i64::MAX as u64);
    let parse = || {
        let answer = std::str::from_utf8(answer).ok()?;
        let (epoch, seqs) = answer.rsplit_once(" @")?.1.split_once('-')?;
        let (from, to) = seqs.split_once("..")?;
        Some(Span { epoch: number(epoch)?, from: number(from)?, to: number(to)? })
    };
    let expected = "an ok that ends with \" @EPOCH-FROM..TO\"";
    parse().ok_or_else(|| eve.fail(expected, shown(answer)))
}

/// Asks for records, and joins.
fn enter(stage: &Stage, wish: &str, room: &str) -> Step<(Guest, Span)> {
    let mut eve = offered(stage)?;
    eve.ok(format!("history:{wish}"))?;
    let span = join(&mut eve, room)?;
    Ok((eve, span))
}

/// The next line has to be the record of this text, number `seq` of the room. Returns its time.
fn expect_record(
    eve: &mut Guest,
    at: (u64, u64),
    room: &str,
    bob: &Guest,
    text: &[u8],
) -> Step<u64> {
    let (start, end) = (
        format!("record:{}-{}:", at.0, at.1),
        [format!(":{room}:{}:", bob.user).as_bytes(), text].concat(),
    );
    let expected = format!("\"{start}TIME{}\\n\"", end.escape_ascii());
    let line = eve.line(&expected)?;
    let time = line.strip_prefix(start.as_bytes()).and_then(|rest| rest.strip_suffix(&end[..]));
    let time = time.and_then(|time| std::str::from_utf8(time).ok()?.parse().ok());
    time.ok_or_else(|| eve.fail(expected, shown(&line)))
}

/// A sender that has said `1`, `2` and so on in a room, where a history is offered.
fn talker(stage: &Stage, room: &str, texts: u64) -> Step<Guest> {
    drop(offered(stage)?);
    let mut bob = stage.sender_in("bob", room)?;
    for number in 1..=texts {
        bob.ok(format!("sendall:{number}")).given()?;
    }
    Ok(bob)
}

/// The records with these numbers, which are their texts, too.
fn expect_numbers(
    eve: &mut Guest,
    epoch: u64,
    mut seqs: impl Iterator<Item = u64>,
    room: &str,
    bob: &Guest,
) -> Step {
    seqs.try_for_each(|seq| {
        expect_record(eve, (epoch, seq), room, bob, seq.to_string().as_bytes()).map(drop)
    })
}

fn not_offered(stage: &mut Stage) -> Step {
    match offered(stage) {
        Ok(_) => Err(Stop::Skip("the server offers +history".into())),
        Err(Stop::Skip(_)) => {
            let mut eve = stage.receiver("eve")?;
            eve.err("history:")?;
            eve.ok(format!("join:{}", stage.name("cafe")))?;
            let mut bob = stage.sender("bob")?;
            bob.err("history:last=3").map(drop)
        }
        Err(other) => Err(other),
    }
}

fn unasked(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = offered(stage)?;
    let answer = eve.ok(format!("join:{room}"))?;
    if answer.windows(2).any(|two| two == b" @") {
        return Err(eve.fail("an ok without a position", shown(&answer)));
    }
    let mut bob = talker(stage, &room, 1)?;
    eve.expect(bob.delivery(&room, "1"))?;
    bob.ok("sendall:2").given()?;
    eve.expect(bob.delivery(&room, "2"))
}

fn requests(stage: &mut Stage) -> Step {
    let mut eve = offered(stage)?;
    for wrong in [
        "x",
        "last",
        "last=",
        "last=-1",
        "last=+1",
        "last= 1",
        "last=1x",
        "last=9223372036854775808",
        "after=",
        "after=1",
        "after=1-",
        "after=-1",
        "after=1-x",
        "after=1-9223372036854775808",
        "last=1,after=1-1",
        "LAST=1",
    ] {
        eve.err(format!("history:{wrong}"))?;
    }
    for right in ["", "last=0", "last=7", "after=0-0", "after=1-9223372036854775807"] {
        eve.ok(format!("history:{right}"))?;
    }
    Ok(())
}

fn receivers_only(stage: &mut Stage) -> Step {
    drop(offered(stage)?);
    stage.connect("ann")?.err("history:")?;
    let mut bob = stage.sender("bob")?;
    bob.err("history:last=1")?;
    bob.ok(format!("join:{}", stage.name("cafe"))).map(drop)
}

fn records(stage: &mut Stage) -> Step {
    /// The year 2020, and the year 2200, in milliseconds.
    const TIMES: std::ops::Range<u64> = 1_577_836_800_000..7_258_118_400_000;
    let room = stage.name("cafe");
    let mut bob = talker(stage, &room, 1)?;
    let (mut eve, Span { epoch, to, .. }) = enter(stage, "last=1", &room)?;
    bob.ok("sendall:2").given()?;
    for seq in to..=to + 1 {
        let text = seq.to_string();
        let time = expect_record(&mut eve, (epoch, seq), &room, &bob, text.as_bytes())?;
        if !TIMES.contains(&time) {
            return Err(eve.fail("a time in milliseconds since 1970", time.to_string()));
        }
    }
    Ok(())
}

fn numbers(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let (mut eve, begun) = enter(stage, "", &room)?;
    if (begun.from, begun.to) != (0, 0) {
        return Err(eve.fail("a position @EPOCH-0..0 in a new room", format!("{begun:?}")));
    }
    let mut bob = talker(stage, &room, 5)?;
    expect_numbers(&mut eve, begun.epoch, 1..=5, &room, &bob)?;
    // Another room counts for itself.
    let other = stage.name("other");
    let (mut fay, there) = enter(stage, "", &other)?;
    if there.epoch != begun.epoch {
        let came = format!("{} and {}", begun.epoch, there.epoch);
        return Err(fay.fail("one EPOCH for both rooms", came));
    }
    bob.ok(format!("join:{other}")).given()?;
    bob.ok("sendall:1").given()?;
    expect_numbers(&mut fay, there.epoch, 1..=1, &other, &bob)
}

fn any_bytes(stage: &mut Stage) -> Step {
    drop(offered(stage)?);
    let room = stage.name("cafe");
    let mut bob = stage.sender_in("bob", &room)?;
    let texts: [&[u8]; 7] =
        [b"", b" a:b ", b"\xff\xfe\0x", "h\u{e9}".as_bytes(), b"a\rb", b"\x1b[2J", &[b'x'; 246]];
    for text in texts {
        bob.ok([b"sendall:", text].concat()).given()?;
    }
    let (mut eve, Span { epoch, .. }) = enter(stage, "last=7", &room)?;
    for (seq, text) in (1..).zip(texts) {
        expect_record(&mut eve, (epoch, seq), &room, &bob, text)?;
    }
    Ok(())
}

/// Where a receiver begins with such a wish, after [`SAID`] texts.
fn begins(stage: &mut Stage, wish: impl Fn(u64) -> String, from: impl Fn(u64) -> u64) -> Step {
    let room = format!("{}x{}", stage.name("cafe"), from(SAID));
    let (_first, begun) = enter(stage, "", &room)?;
    let mut bob = talker(stage, &room, SAID)?;
    let (mut eve, span) = enter(stage, &wish(begun.epoch), &room)?;
    let wanted = Span { epoch: begun.epoch, from: from(SAID), to: SAID };
    if span != wanted {
        let Span { epoch, from, to } = wanted;
        let came = format!("@{}-{}..{}", span.epoch, span.from, span.to);
        return Err(eve.fail(format!("the position @{epoch}-{from}..{to}"), came));
    }
    expect_numbers(&mut eve, span.epoch, span.from + 1..=SAID, &room, &bob)?;
    bob.ok(format!("sendall:{}", SAID + 1)).given()?;
    expect_numbers(&mut eve, span.epoch, SAID + 1..=SAID + 1, &room, &bob)
}

fn span_is_now(eve: &Guest, answer: &[u8]) -> Step {
    let there = span(eve, answer)?;
    if there.from == there.to { Ok(()) } else { Err(eve.fail("FROM equal to TO", shown(answer))) }
}

fn one_join(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let bob = talker(stage, &room, SAID)?;
    let (mut eve, begun) = enter(stage, "last=2", &room)?;
    expect_numbers(&mut eve, begun.epoch, SAID - 1..=SAID, &room, &bob)?;
    let answer = eve.ok(format!("join:{room}"))?;
    span_is_now(&eve, &answer)
}

fn failed_join(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let bob = talker(stage, &room, SAID)?;
    let mut eve = offered(stage)?;
    eve.ok("history:last=2")?;
    eve.err("join:no room")?;
    let begun = join(&mut eve, &room)?;
    expect_numbers(&mut eve, begun.epoch, SAID - 1..=SAID, &room, &bob)
}

fn last_wish(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let bob = talker(stage, &room, SAID)?;
    let mut eve = offered(stage)?;
    eve.ok("history:last=5")?;
    eve.ok("history:last=1")?;
    let begun = join(&mut eve, &room)?;
    expect_numbers(&mut eve, begun.epoch, SAID..=SAID, &room, &bob)
}

fn same_room(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut bob = talker(stage, &room, SAID)?;
    let (mut eve, begun) = enter(stage, "", &room)?;
    eve.ok("history:last=2")?;
    join(&mut eve, &room)?;
    expect_numbers(&mut eve, begun.epoch, SAID - 1..=SAID, &room, &bob)?;
    bob.ok(format!("sendall:{}", SAID + 1)).given()?;
    expect_numbers(&mut eve, begun.epoch, SAID + 1..=SAID + 1, &room, &bob)
}

fn owed_first(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut eve = offered(stage)?;
    eve.ok(format!("join:{room}"))?;
    let mut bob = talker(stage, &room, 2)?;
    eve.send(format!("history:\njoin:{room}\n"))?;
    for text in ["1", "2"] {
        eve.expect(bob.delivery(&room, text))?;
    }
    eve.expect_ok()?;
    let answer = eve.expect_ok()?;
    let Span { epoch, to, .. } = span(&eve, &answer)?;
    bob.ok(format!("sendall:{}", to + 1)).given()?;
    expect_numbers(&mut eve, epoch, to + 1..=to + 1, &room, &bob)
}

fn no_hole(stage: &mut Stage) -> Step {
    let room = stage.name("cafe");
    let mut bob = talker(stage, &room, 1)?;
    let user = bob.user.clone();
    let done = AtomicBool::new(false);
    let stage = &*stage;
    thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut number = 1;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                bob.ok(format!("sendall:{number}"))?;
            }
            Ok(())
        });
        let listen = || {
            for _ in 0..10 {
                let (mut eve, span) = enter(stage, "last=20", &room)?;
                for seq in span.from + 1..span.to + 20 {
                    let line = eve.line("a record")?;
                    let start = format!("record:{}-{seq}:", span.epoch);
                    let end = format!(":{room}:{user}:{seq}");
                    if !(line.starts_with(start.as_bytes()) && line.ends_with(end.as_bytes())) {
                        return Err(eve.fail(format!("\"{start}TIME{end}\\n\""), shown(&line)));
                    }
                }
            }
            Ok(())
        };
        let outcome = listen();
        done.store(true, Ordering::Relaxed);
        // A step does not panic.
        let talked: Step = talk.join().unwrap_or(Ok(()));
        outcome.and(talked.given())
    })
}
