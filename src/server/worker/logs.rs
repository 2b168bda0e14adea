//! The contract of a log, which is also the loop's: what waits for it, and what does not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::test_log::TestLog;
use super::test_server::{Client, MINUTE, TestServer, WORKERS};
use crate::server::chat::admission::Kind;
use crate::server::shutdown::Pace;

/// A server with a log that answers late, with a receiver and a sender in room `here`, which is on
/// worker 0, and somebody in room `there`, which is on worker 1.
struct Late {
    log: Arc<TestLog>,
    server: TestServer,
    receiver: Client,
    sender: Client,
    _there: Client,
}

impl Late {
    fn new() -> Self {
        let log = Arc::new(TestLog::default());
        let mut server = TestServer::with_log(Arc::clone(&log) as _);
        let crowd = [server.client(0), server.client(0)];
        let there = server.client_saying(1, "rlogin:amy\njoin:there\n");
        drop(crowd);
        server.step_all();
        let receiver = server.client_saying(0, "rlogin:eve\njoin:here\n");
        let sender = server.client_saying(0, "slogin:bob\njoin:here\n");
        assert_eq!((server.room("here").home(), server.room("there").home()), (0, 1));
        Late { log, server, receiver, sender, _there: there }
    }

    /// The sender says something, and the server does what it can.
    fn say(&mut self, lines: &str) {
        self.sender.send(lines);
        self.server.step_all();
    }

    /// The log says what became of the batch at that place, and the server does what it can.
    fn decide(&mut self, place: usize, outcome: Result<(), &str>) {
        self.log.decide(place, outcome, &self.server.shared);
        self.server.step_all();
    }

    /// What the sender and the receiver have heard since the last time.
    fn heard(&mut self) -> (String, String) {
        (self.sender.heard(), self.receiver.heard())
    }

    fn senders(&self) -> usize {
        self.server.shared.admission.taken(Kind::Sender)
    }
}

fn strings(sender: &str, receiver: &str) -> (String, String) {
    (sender.into(), receiver.into())
}

#[test]
fn a_text_is_answered_and_delivered_when_it_is_in_the_log() {
    let mut late = Late::new();
    late.say("sendall:hi\n");
    assert_eq!(late.heard(), strings("", ""));
    assert_eq!(late.log.len(), 1);
    late.decide(0, Ok(()));
    assert_eq!(late.heard(), strings("ok:sent\n", "delivery:here:bob:hi\n"));
}

#[test]
fn texts_are_delivered_in_the_order_of_the_log() {
    let mut late = Late::new();
    let mut second = late.server.client_saying(0, "rlogin:dan\njoin:here\n");
    let mut other = late.server.client_saying(0, "slogin:al\njoin:here\n");
    late.say("sendall:first\n");
    other.send("sendall:second\n");
    late.server.step_all();
    assert_eq!(late.log.len(), 2);
    late.decide(1, Ok(()));
    assert_eq!(late.heard(), strings("", "delivery:here:al:second\n"));
    late.decide(0, Ok(()));
    assert_eq!(late.heard(), strings("ok:sent\n", "delivery:here:bob:first\n"));
    assert_eq!(other.heard(), "ok:sent\n");
    assert_eq!(second.heard(), "delivery:here:al:second\ndelivery:here:bob:first\n");
}

#[test]
fn nothing_passes_an_answer_that_is_awaited() {
    let mut late = Late::new();
    late.say("bad\nsendall:1\nbad\nsendall:2\n");
    late.say("slogin:bob\nsendall:3\nbad\n");
    let tags = |heard: (String, String)| {
        let tags = heard.0.lines().map(|line| line.split(':').next().unwrap().to_owned());
        tags.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(tags(late.heard()), "err");
    late.decide(0, Ok(()));
    assert_eq!(tags(late.heard()), "ok err ok err");
    late.decide(0, Ok(()));
    assert_eq!(tags(late.heard()), "ok err");
}

#[test]
fn who_awaits_an_answer_does_not_move() {
    let mut late = Late::new();
    late.say("sendall:1\njoin:there\nsendall:2\nleave:\n");
    assert_eq!(late.server.shared.placement.sessions(1), 1);
    assert_eq!(late.heard(), strings("", ""));
    late.decide(0, Ok(()));
    assert_eq!(late.server.shared.placement.sessions(1), 2);
    let joined = "ok:sent\nok:joined room there\n";
    assert_eq!(late.heard(), strings(joined, "delivery:here:bob:1\n"));
    // There the same happens again.
    late.decide(0, Ok(()));
    assert_eq!(late.heard(), strings("ok:sent\nok:left room there\n", ""));
}

#[test]
fn a_room_that_moves_is_followed_when_nothing_is_awaited() {
    let mut late = Late::new();
    late.server.room("here").move_to(1);
    late.say("sendall:1\n");
    // The receiver may have gone already.
    let sessions = late.server.shared.placement.sessions(0);
    assert!(sessions >= 1, "{sessions} sessions are left");
    late.decide(0, Ok(()));
    assert_eq!(late.heard(), strings("ok:sent\n", "delivery:here:bob:1\n"));
    assert_eq!(late.server.shared.placement.sessions(0), 0);
}

#[test]
fn who_quits_or_shuts_down_its_writing_side_gets_its_answers_first() {
    for quits in [true, false] {
        let mut late = Late::new();
        late.say(if quits { "sendall:1\nquit:\nsendall:2\n" } else { "sendall:1\n" });
        if !quits {
            late.sender.end();
            late.server.step_all();
        }
        assert_eq!((late.senders(), late.heard()), (1, strings("", "")));
        late.decide(0, Ok(()));
        let answers = if quits { "ok:sent\nok:bye\n" } else { "ok:sent\n" };
        assert_eq!(late.heard(), strings(answers, "delivery:here:bob:1\n"));
        assert_eq!((late.senders(), late.log.len()), (0, 0));
    }
}

#[test]
fn who_is_gone_ends_at_once_and_its_texts_stay() {
    let mut late = Late::new();
    late.say("sendall:1\njoin:there\n");
    let Late { log, mut server, mut receiver, sender, .. } = late;
    drop(sender);
    server.step_all();
    assert_eq!(server.shared.admission.taken(Kind::Sender), 0);
    assert_eq!(server.shared.placement.sessions(0), 1);
    // Another one has its place by now.
    let mut next = server.client_saying(0, "slogin:al\njoin:here\n");
    log.decide_all(&server.shared);
    server.step_all();
    assert_eq!(receiver.heard(), "delivery:here:bob:1\n");
    assert_eq!(next.heard(), "");
}

#[test]
fn who_has_much_in_the_log_is_not_read_from() {
    let mut late = Late::new();
    let texts = 4000;
    late.sender.may_wait(true);
    let mut writer = Client(late.sender.0.try_clone().unwrap());
    let line = format!("sendall:{}\n", "x".repeat(200));
    let writing = std::thread::spawn(move || writer.send(&line.repeat(texts)));
    late.server.wait_for(
        |server| {
            server.step_all();
            late.log.bytes() >= 64 * 1024
        },
        "it is not read",
    );
    late.server.step_all();
    let bytes = late.log.bytes();
    assert!(bytes < 66 * 1024, "{bytes} bytes");
    writing_is_answered(&mut late, texts);
    writing.join().unwrap();
}

fn writing_is_answered(late: &mut Late, texts: usize) {
    late.sender.may_wait(false);
    let (mut answers, mut deliveries) = (0, 0);
    let deadline = Instant::now() + MINUTE;
    while (answers, deliveries) != (texts, texts) {
        assert!(Instant::now() < deadline, "{answers} answers, {deliveries} deliveries");
        late.log.decide_all(&late.server.shared);
        late.server.step_all();
        let (sender, receiver) = late.heard();
        answers += sender.matches("ok:sent\n").count();
        deliveries += receiver.matches('\n').count();
    }
}

#[test]
fn a_batch_that_is_refused_is_an_error_for_each_of_its_texts_and_no_delivery() {
    let mut late = Late::new();
    late.say("sendall:1\nsendall:2\nbad\n");
    late.decide(0, Err("the log is full"));
    let refused = "err:the log is full\n";
    let (sender, receiver) = late.heard();
    assert!(sender.starts_with(&refused.repeat(2)), "{sender}");
    assert_eq!((sender.lines().count(), receiver.as_str()), (3, ""));
    late.say("sendall:3\n");
    late.decide(0, Ok(()));
    assert_eq!(late.heard(), strings("ok:sent\n", "delivery:here:bob:3\n"));
}

#[test]
fn a_log_that_decides_at_once_is_as_good_as_none() {
    for (outcome, answer, delivery) in
        [(Ok(()), "ok:sent\n", "delivery:here:bob:hi\n"), (Err("no"), "err:no\n", "")]
    {
        let log = TestLog { decides_at_once: Some(outcome), ..TestLog::default() };
        let mut server = TestServer::with_log(Arc::new(log));
        let mut receiver = server.client_saying(0, "rlogin:eve\njoin:here\n");
        let mut sender = server.client_saying(0, "slogin:bob\njoin:here\n");
        sender.send("sendall:hi\n");
        (0..WORKERS).for_each(|worker| server.step(worker));
        assert_eq!((sender.heard(), receiver.heard()), strings(answer, delivery));
    }
}

/// As long as there is time, a stop waits for the log; then it says how much is not known.
#[test]
fn a_stop_waits_for_the_log_until_its_deadline() {
    for in_time in [true, false] {
        let mut late = Late::new();
        late.say("sendall:1\nsendall:2\n");
        let now = Instant::now();
        let soon = now + Duration::from_millis(300);
        let mut pace = Pace::within(2 * MINUTE);
        if !in_time {
            pace = Pace { finish: soon, halt: soon, ..pace };
        }
        let stopping = late.server.stop(pace);
        if in_time {
            while now.elapsed() < Duration::from_millis(200) {
                late.server.step_all();
                assert!(!stopping.is_finished(), "it has not waited for the log");
            }
            late.log.decide_all(&late.server.shared);
        }
        late.server.step_until(&stopping);
        let unanswered = late.server.shared.tally.unanswered.load(Ordering::Relaxed);
        let (answers, deliveries) = late.heard();
        let expected = if in_time { (0, 2) } else { (2, 0) };
        assert_eq!((unanswered, answers.lines().count()), expected);
        assert_eq!(deliveries.lines().count(), expected.1);
        assert_eq!(late.senders(), 0);
        assert_eq!(*late.log.finished.lock().unwrap(), [pace.halt]);
        // Nothing comes to the log after that.
        let before = late.log.len();
        let mut writer = late.sender;
        writer.try_send("sendall:too late\n");
        late.server.step_all();
        assert_eq!(late.log.len(), before);
    }
}

#[test]
fn who_joins_is_answered_when_the_log_knows_the_room() {
    for outcome in [Ok(()), Err("the log is away")] {
        let log = Arc::new(TestLog { opens_late: true, ..TestLog::default() });
        let mut server = TestServer::with_log(Arc::clone(&log) as _);
        let mut receiver = server.client_saying(0, "rlogin:eve\n");
        receiver.send("join:here\nbad\n");
        server.step_all();
        // Nothing that comes later is carried out before.
        assert_eq!(receiver.heard(), "");
        log.open_all(outcome, &server.shared);
        server.step_all();
        let heard = receiver.heard();
        let first = if outcome.is_ok() { "ok:joined room here\n" } else { "err:the log is away\n" };
        assert!(heard.starts_with(first) && heard.lines().count() == 2, "{heard}");
        receiver.send("join:there\n");
        server.step_all();
        drop(receiver);
        server.step_all();
        log.open_all(Ok(()), &server.shared);
        server.step_all();
        assert_eq!((server.shared.rooms.all().len(), server.shared.placement.sessions(0)), (0, 0));
    }
}
