//! How much one turn of a worker is for.

use std::time::Duration;

/// Bytes that one read takes at most.
pub(crate) const READ: usize = 64 * 1024;

/// Events that are taken from the system at a time.
pub(crate) const EVENTS: usize = 1024;

/// Clients of each lane that are served in one turn at most, so that nobody's answer waits for too
/// many.
pub(crate) const CLIENTS: usize = 256;

/// Clients whose certificates are looked at once more in one turn at most: a signature is worth many
/// lines.
pub(crate) const EXAMINED: usize = 16;

/// How long a turn may go on serving those who are in a handshake: a signature can take milliseconds, and
/// who has come through waits meanwhile.
pub(crate) const GREETINGS: Duration = Duration::from_millis(2);

/// Handshakes that may be under way on a worker.
pub(crate) const HANDSHAKES: usize = 256;

/// Lines that are carried out in one turn at most, shared equally by those who are served in it.
const LINES: usize = 8192;

/// Lines of one client that are carried out in one turn at most.
pub(crate) const LINES_EACH: usize = 256;

/// Newcomers that are accepted in one turn at most.
pub(crate) const NEWCOMERS: usize = 64;

/// Receivers that are written to in one turn for each thing that it took in, so that writing keeps
/// up with reading; then the worker looks again. Who is written to later gets what has come meanwhile
/// with the same write, and an answer does not wait for all of them. The fewer, the more goes into
/// one write, and the later it is there.
const RECEIVERS_EACH: usize = 5;

/// Receivers that are written to in one turn at most, however much was taken in.
const RECEIVERS: usize = 256;

/// Of many who wait, at least one in so many is written to in one turn. Frames that one write does
/// not take along would gain nothing from a smaller share.
const SHARE: usize = 8;

/// Receivers that are written to after the answers: while that goes on, the senders can already
/// get their next texts ready.
pub(crate) const AFTER_ANSWERS: usize = 16;

/// Receivers in large rooms that are written to between two glances at the small ones.
pub(crate) const BETWEEN_GLANCES: usize = 32;

/// Clients that are served in one glance at most, and receivers that are written to.
pub(crate) const GLANCE: usize = 32;

/// Lines of one client that are carried out in one glance at most.
pub(crate) const LINES_A_GLANCE: usize = 16;

/// How many lines of each of so many clients a turn is for.
pub(crate) fn lines_each(clients: usize) -> usize {
    LINES_EACH.min(LINES / clients.max(1))
}

/// How many of `waiting` receivers are written to in a turn that took in so much.
pub(crate) fn receivers(waiting: usize, intake: usize) -> usize {
    let few = RECEIVERS.min(RECEIVERS_EACH * intake.max(1));
    waiting.min(few.max(waiting / SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_keeps_up_with_reading_and_large_rooms() {
        let shares = [
            // Waiting, taken in, and how many are written to.
            (0, 9, 0),
            (10, 0, 5),
            (10, 1, 5),
            (10, 2, 10),
            (10, 1000, 10),
            (47, 1, 5),
            (48, 1, 6),
            (300, 51, 255),
            (300, 1000, 256),
            (2048, 1000, 256),
            (2056, 1000, 257),
            (10_000, 1, 1250),
        ];
        for (waiting, intake, written) in shares {
            assert_eq!(receivers(waiting, intake), written, "{waiting} wait, {intake} taken in");
        }
    }
}
