//! Whether all that is queued comes out again, and is counted.
//!
//! Beside queues and frames, and not in their files, which are compiled once more where threads are
//! not real.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::frame::{Budget, Frame};
use super::outbox::{Drained, Outbox};
use super::publication::Publication;
use super::room::Room;
use super::sync::Arc;
use crate::wire::protocol::Name;

/// Takes `most` bytes a write, `left` in all, then would block.
struct Socket {
    got: Vec<u8>,
    most: usize,
    left: usize,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = all.len().min(self.most).min(self.left);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.got.extend_from_slice(&all[..count]);
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_byte_comes_out_once_and_in_order_however_the_socket_takes_it() {
    for most in 1..40 {
        for left in 0..60 {
            let budget = Arc::new(Budget::new(usize::MAX));
            let mut outbox = Outbox::new(1000, &budget);
            let mut want = Vec::new();
            for number in 0..20u8 {
                let frame = vec![b'a' + number; usize::from(number % 5) + 1];
                want.extend_from_slice(&frame);
                outbox.sender().push(frame.into());
            }
            let mut socket = Socket { got: Vec::new(), most, left };
            let drained = outbox.drain(&mut socket).unwrap();
            let all = left >= want.len();
            assert_eq!(drained, if all { Drained::All } else { Drained::Part });
            assert_eq!(outbox.backlog().bytes(), want.len().saturating_sub(left));
            socket.left = usize::MAX;
            assert_eq!(outbox.drain(&mut socket).unwrap(), Drained::All);
            assert_eq!(socket.got, want, "{most} bytes a write, {left} before a pause");
            assert_eq!(outbox.backlog().bytes(), 0);
        }
    }
}

#[test]
fn a_frame_counts_once_and_as_long_as_it_is_anywhere() {
    let budget = Arc::new(Budget::new(1000));
    let frame = Frame::new(b"12345", &budget);
    let used = budget.used();
    let other = frame.clone();
    assert!(used >= 5, "{used}");
    assert_eq!((budget.used(), &*other), (used, &b"12345"[..]));
    drop(frame);
    assert_eq!(budget.used(), used);
    drop(other);
    assert_eq!(budget.used(), 0);
    assert_eq!(Frame::from(b"12".to_vec()).len(), 2);
}

#[test]
fn above_the_limit_each_receiver_has_its_share_and_a_little_at_least() {
    let budget = Arc::new(Budget::new(20_000));
    (0..4).for_each(|_| budget.add_receiver());
    assert!(!budget.is_exceeded_by(1, 50_000));
    let frame = Frame::new(&[0; 20_000], &budget);
    assert!(budget.is_exceeded_by(1, 5000) && !budget.is_exceeded_by(1, 4800));
    (0..100).for_each(|_| budget.add_receiver());
    assert!(budget.is_exceeded_by(1, 4000) && !budget.is_exceeded_by(1, 3900));
    drop(frame);
    assert!(!budget.is_exceeded_by(1, 50_000));
}

/// Texts of a few bytes, one by one, for receivers that do not read: what the system keeps for them
/// is more than their bytes, in one room as well as in one for each.
#[test]
fn frames_of_a_few_bytes_are_bounded_by_the_memory_that_they_take() {
    const LIMIT: usize = 1_000_000;
    let line = b"delivery:a:b:x\n";
    for (rooms, members) in [(1, 1), (1, 300), (100, 1)] {
        let budget = Arc::new(Budget::new(LIMIT));
        let name = Name::parse(b"a").unwrap();
        let rooms: Vec<_> = (0..rooms).map(|_| Room::new(name.clone(), 0, 1)).collect();
        let mut outboxes = Vec::new();
        let mut keys = Vec::new();
        for room in &rooms {
            for token in 0..members {
                outboxes.push(Outbox::new(usize::MAX, &budget));
                keys.push((room, room.enter(0, token, outboxes.last().unwrap().sender(), None)));
            }
        }
        let mut frames = 0;
        while let Some(room) = rooms.iter().find(|room| !room.is_congested()) {
            room.publish(Publication::Plain(&Frame::new(line, &budget)), None);
            frames += 1;
        }
        // A frame is two numbers and a counted piece of memory, and in each queue a pointer and a
        // state.
        let memory = frames * (80 + members * 16);
        assert!(memory < LIMIT * 5 / 4, "{memory} bytes: {frames} frames, {members} receivers");
        // And all of it is given back, whether it is read or not.
        for outbox in outboxes.iter_mut().step_by(2) {
            assert_eq!(outbox.drain(&mut io::sink()).unwrap(), Drained::All);
        }
        drop(outboxes);
        keys.into_iter().for_each(|(room, key)| drop(room.leave(Some(key), None)));
        assert_eq!(budget.used(), 0, "{frames} frames, {members} receivers");
    }
}
