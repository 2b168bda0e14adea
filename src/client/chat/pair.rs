//! The two connections: where they lead, and what several threads share of them.
//!
//! Knows who may use which, and when. Must not know what for.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use rustix::net::Shutdown;

use crate::client::connection::{Answer, Connection};
use crate::client::error::ClientError;
use crate::client::link::{Identity, Joined, Reconnect, connect};
use crate::client::turn::Turn;

/// Connects as a sender, and then as the receiver of that identity.
pub(super) fn connect_both(
    identity: &Identity,
    turn: &mut Turn,
    reconnect: &mut dyn Reconnect,
) -> Result<(Connection, Joined), ClientError> {
    let sender = Identity { receives: false, history: None, ..identity.clone() };
    let sender = connect(&sender, turn, reconnect)?.connection;
    Ok((sender, connect(identity, turn, reconnect)?))
}

/// What the receiver is to do: to join a room. The answer goes back, or nothing does if the connection
/// is lost.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) room: Vec<u8>,
    pub(super) answer: Sender<Answer>,
}

/// Where the receiver's orders come from.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) orders: Receiver<Order>,
    /// Can be read when there is one.
    pub(super) bell: UnixStream,
}

/// What is shared of the two connections. Clones share the same.
#[derive(Clone, Debug)]
pub(super) struct Pair(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The receiver's.
    identity: Mutex<Identity>,
    /// The sender's connection. It is locked while a request is carried out, and while it is made again.
    sender: Mutex<Connection>,
    orders: Sender<Order>,
    bell: UnixStream,
    /// It is over: what happens to the connections is no news.
    over: AtomicBool,
}

impl Pair {
    pub(super) fn new(
        identity: Identity,
        sender: Connection,
    ) -> Result<(Self, Orders), ClientError> {
        let (orders, receiver) = mpsc::channel();
        let (bell, ear) = UnixStream::pair().map_err(ClientError::Broken)?;
        for stream in [&bell, &ear] {
            stream.set_nonblocking(true).map_err(ClientError::Broken)?;
        }
        let (identity, sender) = (Mutex::new(identity), Mutex::new(sender));
        let shared = Shared { identity, sender, orders, bell, over: AtomicBool::new(false) };
        Ok((Pair(Arc::new(shared)), Orders { orders: receiver, bell: ear }))
    }

    pub(super) fn identity(&self) -> MutexGuard<'_, Identity> {
        self.0.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room that one is in, if any.
    pub(super) fn room(&self) -> Option<Vec<u8>> {
        self.identity().room.clone()
    }

    /// The sender's connection, unless the server is away.
    pub(super) fn sender(&self) -> Option<MutexGuard<'_, Connection>> {
        match self.0.sender.try_lock() {
            Ok(sender) => Some(sender),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Ends the sender's connection, and waits until nobody uses it. `give_up` is called while it is in
    /// use, and gives up what its user may wait for.
    pub(super) fn take_sender(
        &self,
        end: &OwnedFd,
        mut give_up: impl FnMut(),
    ) -> MutexGuard<'_, Connection> {
        // It fails only if the connection has ended.
        let _ = rustix::net::shutdown(end.as_fd(), Shutdown::Both);
        loop {
            give_up();
            if let Some(sender) = self.sender() {
                return sender;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Gives the receiver an order.
    pub(super) fn order(&self, room: &[u8]) -> Receiver<Answer> {
        let (answer, answers) = mpsc::channel();
        // It fails if there is no receiver any more: then no answer comes.
        let _ = self.0.orders.send(Order { room: room.to_vec(), answer });
        let _ = (&self.0.bell).write(b"\n");
        answers
    }

    /// Waits until all has come that the receiver is owed, but not for longer than that, and not if the
    /// server is away.
    pub(super) fn hear_out(&self, longest: Duration) {
        if !self.is_over()
            && self.sender().is_some()
            && let Some(room) = self.room()
        {
            // What is owed from before it comes before its answer.
            let _ = self.order(&room).recv_timeout(longest);
        }
    }

    /// From now on, it is over.
    pub(super) fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }
}
