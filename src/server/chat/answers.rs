//! A session's answers, in the order of its lines, some of them still awaited.
//!
//! A text's answer is awaited while a log has not said what became of the text. What comes after it
//! waits with it: answers are in order.

use std::collections::VecDeque;

use crate::wire::protocol::Reply;

/// The answers to one session's lines.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Can be written.
    ready: Vec<u8>,
    /// What comes after that; begins with texts, if there is anything.
    awaited: VecDeque<Awaited>,
    /// Bytes of the texts and lines in `awaited`.
    awaited_bytes: usize,
    /// There is nobody to read them.
    closed: bool,
}

#[derive(Debug)]
enum Awaited {
    /// So many texts, the bytes of each.
    Texts(VecDeque<usize>),
    /// Answers that have to wait for those before.
    Lines(Vec<u8>),
}

impl Answers {
    /// Adds an answer.
    pub(crate) fn push(&mut self, reply: Reply<'_>) {
        if self.closed {
            return;
        }
        if self.awaited.is_empty() {
            return reply.encode(&mut self.ready);
        }
        if !matches!(self.awaited.back(), Some(Awaited::Lines(_))) {
            self.awaited.push_back(Awaited::Lines(Vec::new()));
        }
        if let Some(Awaited::Lines(lines)) = self.awaited.back_mut() {
            let before = lines.len();
            reply.encode(lines);
            self.awaited_bytes += lines.len() - before;
        }
    }

    /// The next answer is that of a text of so many bytes, which a log has.
    pub(crate) fn await_text(&mut self, bytes: usize) {
        if self.closed {
            return;
        }
        if !matches!(self.awaited.back(), Some(Awaited::Texts(_))) {
            self.awaited.push_back(Awaited::Texts(VecDeque::new()));
        }
        if let Some(Awaited::Texts(texts)) = self.awaited.back_mut() {
            texts.push_back(bytes);
            self.awaited_bytes += bytes;
        }
    }

    /// So many texts have this answer, those that have been awaited the longest.
    pub(crate) fn settle(&mut self, count: usize, reply: Reply<'_>) {
        for _ in 0..count {
            let Some(Awaited::Texts(texts)) = self.awaited.front_mut() else {
                // Nobody awaits them any more.
                return;
            };
            self.awaited_bytes -= texts.pop_front().unwrap_or(0);
            reply.encode(&mut self.ready);
            if !texts.is_empty() {
                continue;
            }
            self.awaited.pop_front();
            if let Some(Awaited::Lines(lines)) = self.awaited.front() {
                self.ready.extend_from_slice(lines);
                self.awaited_bytes -= lines.len();
                self.awaited.pop_front();
            }
        }
    }

    /// Some answers are awaited.
    pub(crate) fn are_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Texts whose answers are awaited.
    pub(crate) fn awaited_texts(&self) -> usize {
        let texts = self.awaited.iter().map(|awaited| match awaited {
            Awaited::Texts(texts) => texts.len(),
            Awaited::Lines(_) => 0,
        });
        texts.sum()
    }

    /// Bytes of all that is awaited, or waits for that.
    pub(crate) fn awaited_bytes(&self) -> usize {
        self.awaited_bytes
    }

    /// What can be written.
    pub(crate) fn ready(&mut self) -> &mut Vec<u8> {
        &mut self.ready
    }

    /// Bytes that can be written.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    /// There is nobody to read them any more.
    pub(crate) fn close(&mut self) {
        *self = Answers { closed: true, ..Answers::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(answers: &mut Answers) -> String {
        String::from_utf8(std::mem::take(answers.ready())).unwrap()
    }

    const OK: Reply<'static> = Reply::Ok(b"sent");
    const ERR: Reply<'static> = Reply::Err(b"no");

    #[test]
    fn what_comes_after_an_awaited_answer_waits_for_it() {
        let mut answers = Answers::default();
        answers.push(Reply::Ok(b"1"));
        answers.await_text(5);
        answers.await_text(7);
        answers.push(Reply::Err(b"4"));
        answers.await_text(2);
        answers.push(Reply::Err(b"6"));
        answers.push(Reply::Err(b"7"));
        assert_eq!(ready(&mut answers), "ok:1\n");
        assert_eq!((answers.awaited_texts(), answers.awaited_bytes()), (3, 5 + 7 + 2 + 3 * 6));
        answers.settle(1, OK);
        assert_eq!(ready(&mut answers), "ok:sent\n");
        answers.settle(1, ERR);
        assert_eq!(ready(&mut answers), "err:no\nerr:4\n");
        assert!(answers.are_awaited());
        answers.settle(1, OK);
        assert_eq!(ready(&mut answers), "ok:sent\nerr:6\nerr:7\n");
        assert!(!answers.are_awaited());
        assert_eq!(answers.awaited_bytes(), 0);
        answers.push(Reply::Ok(b"8"));
        assert_eq!(ready(&mut answers), "ok:8\n");
    }

    #[test]
    fn several_texts_may_have_one_answer_across_what_waits() {
        let mut answers = Answers::default();
        for _ in 0..3 {
            answers.await_text(1);
            answers.push(Reply::Ok(b"x"));
        }
        answers.settle(3, OK);
        assert_eq!(ready(&mut answers), "ok:sent\nok:x\n".repeat(3));
    }

    #[test]
    fn nothing_is_kept_for_one_that_is_gone() {
        let mut answers = Answers::default();
        answers.push(Reply::Ok(b"1"));
        answers.await_text(5);
        answers.close();
        answers.await_text(5);
        answers.push(Reply::Ok(b"2"));
        answers.settle(2, OK);
        assert!(!answers.are_awaited());
        assert_eq!((ready(&mut answers).as_str(), answers.awaited_bytes()), ("", 0));
    }
}
