//! Senders that pipeline, and receivers that write down what they hear, on several servers: whatever
//! happens, each text is accounted for.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::{Peer, Server, wait_until};

/// Texts that a sender has without an answer.
const WINDOW: usize = 64;

/// Senders.
const SENDERS: usize = 4;

/// Senders and receivers in one room.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Vec<(String, String)>>>,
    receivers: Vec<JoinHandle<Vec<String>>>,
    last: Peer,
}

/// What became of it all.
pub struct Outcome {
    /// Texts that were answered `ok`.
    pub kept: Vec<String>,
    /// Texts that were answered `err`, each with the reason.
    pub refused: Vec<(String, String)>,
    /// What each receiver has heard, in order.
    pub heard: Vec<Vec<String>>,
}

impl Load {
    /// Four senders and a receiver for each server in a room.
    pub fn start(servers: &[Server]) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let receivers = servers.iter().map(|server| {
            let peer = Peer::receiver(server.port, "eve", "cafe");
            thread::spawn(move || hear(peer))
        });
        let receivers = receivers.collect();
        let senders = (0..SENDERS).map(|number| {
            let user = format!("u{number}");
            let peer = Peer::sender(servers[number % servers.len()].port, &user, "cafe");
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || talk(peer, &user, &stop, &answered))
        });
        let senders = senders.collect();
        let last = Peer::sender(servers[0].port, "last", "cafe");
        Load { stop, answered, senders, receivers, last }
    }

    /// Waits until so many more texts were answered.
    pub fn go_on(&self, texts: usize) {
        let enough = self.answered.load(Ordering::SeqCst) + texts;
        wait_until(|| self.answered.load(Ordering::SeqCst) >= enough, || "no answers".into());
    }

    /// Waits until all that was sent is answered and heard.
    pub fn end(mut self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        for sender in self.senders {
            for (text, answer) in sender.join().unwrap() {
                match answer.strip_prefix("err:") {
                    None => kept.push(text),
                    Some(reason) => refused.push((text, reason.to_owned())),
                }
            }
        }
        self.last.ok("sendall:the end");
        let heard = self.receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
        Outcome { kept, refused, heard }
    }
}

/// Sends until it is to stop; returns each text with its answer.
fn talk(
    mut peer: Peer,
    user: &str,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Vec<(String, String)> {
    let mut done = Vec::new();
    let mut sent = 0;
    loop {
        while sent < done.len() + WINDOW && !stop.load(Ordering::SeqCst) {
            // Not all at once, so that it goes on for a while.
            let lines: String =
                (sent..done.len() + WINDOW).map(|n| format!("sendall:{user}x{n}\n")).collect();
            sent = done.len() + WINDOW;
            peer.stream().write_all(lines.as_bytes()).unwrap();
        }
        if done.len() == sent {
            return done;
        }
        let answer = peer.line();
        assert!(answer == "ok:sent" || answer.starts_with("err:"), "{answer}");
        done.push((format!("{user}x{}", done.len()), answer));
        answered.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_micros(20));
    }
}

/// Hears until the end.
fn hear(mut peer: Peer) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let line = peer.line();
        let (_, text) = line.rsplit_once(':').unwrap();
        if text == "the end" {
            return heard;
        }
        heard.push(text.to_owned());
    }
}

impl Outcome {
    /// Everybody has heard all that was kept, in the same order, each text once; and nothing that was
    /// refused.
    pub fn assert_exact(&self) {
        self.assert_exact_but_for(None);
    }

    /// The same, but those that were refused for that reason may have been heard.
    pub fn assert_exact_but_for(&self, reason: Option<&str>) {
        let is_known = |why: &str| reason.is_none_or(|reason| !why.starts_with(reason));
        let refused = self.refused.iter().filter(|(_, why)| is_known(why));
        let refused = refused.map(|(text, _)| text).collect::<HashSet<_>>();
        for heard in &self.heard {
            let mut times = HashMap::new();
            heard.iter().for_each(|text| *times.entry(text).or_insert(0) += 1);
            let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).take(5).collect();
            assert!(twice.is_empty(), "heard twice: {twice:?}");
            let lost: Vec<_> =
                self.kept.iter().filter(|text| !times.contains_key(text)).take(5).collect();
            assert!(lost.is_empty(), "kept and not heard: {lost:?}");
            let both: Vec<_> = heard.iter().filter(|text| refused.contains(text)).take(5).collect();
            assert!(both.is_empty(), "refused and heard: {both:?}");
            assert!(reason.is_some() || heard.len() == self.kept.len());
            assert!(*heard == self.heard[0], "not in the same order");
        }
    }

    /// Redis has lost texts: nobody has heard one twice, and what two have heard both have heard in the
    /// same order.
    pub fn assert_once_and_in_one_order(&self) {
        let sets: Vec<HashSet<_>> = self.heard.iter().map(|heard| heard.iter().collect()).collect();
        for (heard, set) in self.heard.iter().zip(&sets) {
            assert_eq!(heard.len(), set.len(), "something was heard twice");
            let [one, other] = [(heard, &sets[0]), (&self.heard[0], set)]
                .map(|(heard, set)| heard.iter().filter(|text| set.contains(text)));
            assert!(one.eq(other), "not in the same order");
        }
    }

    /// All was kept.
    pub fn assert_nothing_refused(&self) {
        let some = &self.refused[..self.refused.len().min(5)];
        assert!(some.is_empty(), "{} were refused: {some:?}", self.refused.len());
    }
}
