//! Whether all that is queued comes out again, and is counted.
//!
//! Beside queues and frames, and not in their files, which are compiled once more where threads are
//! not real.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::frame::{Budget, Frame};
use super::outbox::{Drained, Outbox};
use super::sync::Arc;

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
    assert_eq!(budget.mark(50_000), 50_000);
    let frame = Frame::new(&[0; 20_000], &budget);
    assert_eq!((budget.mark(50_000), budget.mark(3000)), (5000, 3000));
    (0..100).for_each(|_| budget.add_receiver());
    assert_eq!(budget.mark(50_000), 4096);
    drop(frame);
    assert_eq!(budget.mark(50_000), 50_000);
}
