//! Whether all that is queued comes out again.
//!
//! Beside the queue, and not in its file, which is compiled once more where threads are not real.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::frame::Budget;
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
