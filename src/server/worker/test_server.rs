//! What tests of whole workers share: two workers with real sockets and no threads.
//!
//! Clients come over Unix sockets but where TCP matters: what is sent there has arrived, while loopback
//! may take its time on a busy machine, and a test that steps cannot tell that from a server that does
//! nothing.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Poll;
use rustix::io::ioctl_fionbio;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{Shutdown, shutdown};

use super::Worker;
use super::door::{Door, Newcomer};
use super::plain::Plain;
use super::sessions::Sessions;
use super::shared::{Message, SLOW_NAMED, Shared};
use super::slot;
use super::spawn::mailbox;
use super::transport::Transport;
use crate::server::accounts::Accounts;
use crate::server::chat::admission::Admission;
use crate::server::chat::frame::Budget;
use crate::server::chat::id::Peer;
use crate::server::chat::lane::Lane;
use crate::server::chat::log::Log;
use crate::server::chat::placement::Placement;
use crate::server::chat::room::Room;
use crate::server::chat::rooms::Rooms;
use crate::server::chat::vouched::Vouched;
use crate::server::config::Limits;
use crate::server::shutdown::{Pace, wind_down};
use crate::system::rate_limited::Warning;

pub(crate) const WORKERS: usize = 2;

/// Texts that a sender sends in one go.
pub(crate) const BURST: usize = 100;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) const PATIENT: Limits = Limits {
    login_timeout: MINUTE,
    queue_limit: 1000,
    total_queue_limit: usize::MAX,
    stall_timeout: MINUTE,
};

/// The workers, and where clients come from.
pub(crate) struct TestServer {
    pub shared: Arc<Shared>,
    pub workers: Vec<Worker>,
    listener: TcpListener,
    is_over_tcp: bool,
}

/// A client's end of a connection.
pub(crate) struct Client(pub File);

impl Client {
    pub(crate) fn new(socket: impl Into<OwnedFd>) -> Self {
        let client = Client(File::from(socket.into()));
        client.may_wait(false);
        client
    }

    /// Whether it waits for what does not come, or does not fit, at once.
    pub(crate) fn may_wait(&self, may: bool) {
        ioctl_fionbio(&self.0, !may).unwrap();
    }

    /// Says no more, if the server has not ended it.
    pub(crate) fn end(&self) {
        let _ = shutdown(&self.0, Shutdown::Write);
    }

    /// Ends the connection, over TCP with a reset.
    pub(crate) fn reset(self) {
        set_socket_linger(&self.0, Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Sends as much of it as fits.
    pub(crate) fn try_send(&mut self, text: &str) {
        let _ = self.0.write(text.as_bytes());
    }

    /// What has arrived.
    pub(crate) fn heard(&mut self) -> String {
        String::from_utf8(self.heard_bytes()).unwrap()
    }

    /// What has arrived.
    pub(crate) fn heard_bytes(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        // A server that has stopped reads no more, and says so with a reset.
        let expected = [ErrorKind::WouldBlock, ErrorKind::ConnectionReset];
        match self.0.read_to_end(&mut heard) {
            Err(error) if !expected.contains(&error.kind()) => panic!("{error}"),
            _ => heard,
        }
    }
}

/// Adds what has arrived to what was heard before.
pub(crate) fn listen(receivers: &mut [Client], heard: &mut [String]) {
    for (heard, receiver) in heard.iter_mut().zip(receivers) {
        heard.push_str(&receiver.heard());
    }
}

impl TestServer {
    pub(crate) fn new() -> Self {
        Self::with(PATIENT)
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::of(WORKERS, limits, 1000)
    }

    /// Worker 1 is a reserve.
    pub(crate) fn with_reserve() -> Self {
        Self::of(1, PATIENT, 1000)
    }

    pub(crate) fn with_places(places: usize) -> Self {
        Self::of(WORKERS, PATIENT, places)
    }

    /// One whose texts are kept, and whose worker 1 is a regular one.
    pub(crate) fn with_log(log: Arc<dyn Log>) -> Self {
        Self::build(WORKERS, PATIENT, Admission::new(1000, None), Some(log))
    }

    pub(crate) fn of(regulars: usize, limits: Limits, places: usize) -> Self {
        Self::build(regulars, limits, Admission::new(places, None), None)
    }

    /// One that takes so many clients from this machine. Worker 1 is a reserve.
    pub(crate) fn with_max_per_address(most: usize) -> Self {
        Self::build(1, PATIENT, Admission::new(1000, Some(most)), None)
    }

    /// One whose clients come over TCP from now on.
    pub(crate) fn over_tcp(self) -> Self {
        TestServer { is_over_tcp: true, ..self }
    }

    fn build(
        regulars: usize,
        limits: Limits,
        admission: Admission,
        log: Option<Arc<dyn Log>>,
    ) -> Self {
        let boxes: Vec<_> = (0..WORKERS).map(|_| mailbox().unwrap()).collect();
        let (mut mailboxes, mut loops) = (Vec::new(), Vec::new());
        for (mailbox, poll, inbox) in boxes {
            mailboxes.push(mailbox);
            loops.push((poll, inbox));
        }
        let shared = Arc::new(Shared {
            mailboxes,
            log,
            placement: Arc::new(if regulars == WORKERS {
                Placement::regular(WORKERS)
            } else {
                Placement::automatic(WORKERS, WORKERS)
            }),
            rooms: Arc::new(Rooms::default()),
            accounts: Accounts::new(|_| Ok(None)).0,
            admission: Arc::new(admission),
            budget: Arc::new(Budget::new(limits.total_queue_limit)),
            limits,
            tally: Arc::default(),
            slow_receivers: Mutex::new(Warning::at_most(SLOW_NAMED)),
        });
        let worker = |(index, (poll, inbox)): (usize, (Poll, mpsc::Receiver<Message>))| {
            Worker::new(index, Arc::clone(&shared), inbox, poll)
        };
        let workers = loops.into_iter().enumerate().map(worker).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        TestServer { shared, workers, listener, is_over_tcp: false }
    }

    /// A new client on a worker.
    pub(crate) fn client(&mut self, worker: usize) -> Client {
        let client = self.connect(worker);
        self.step(worker);
        client
    }

    /// A new client that its worker has not heard of yet.
    pub(crate) fn connect(&mut self, worker: usize) -> Client {
        if self.is_over_tcp {
            return self.connect_over(worker, |stream| Transport::Tcp(Plain::new(stream)));
        }
        let (client, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = Plain::new(mio::net::UnixStream::from_std(stream));
        let peer = Peer::Inet(self.listener.local_addr().unwrap());
        self.admit(worker, Transport::Unix(stream), peer);
        Client::new(client)
    }

    /// Such a client, with that transport over TCP.
    pub(crate) fn connect_over(
        &mut self,
        worker: usize,
        transport: impl FnOnce(mio::net::TcpStream) -> Transport,
    ) -> Client {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = self.listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        self.admit(worker, transport(mio::net::TcpStream::from_std(stream)), Peer::Inet(peer));
        Client::new(client)
    }

    fn admit(&self, worker: usize, transport: Transport, peer: Peer) {
        let permit = self.shared.admission.take(peer.origin()).unwrap();
        let newcomer = Newcomer { transport, peer, vouched: Vouched::Nothing };
        let assignment = self.shared.placement.assign(worker);
        self.shared.tell(worker, Message::Connected(slot::Client { newcomer, permit, assignment }));
    }

    /// From now on worker 0 accepts clients; returns where.
    pub(crate) fn accept(&mut self) -> SocketAddr {
        self.listener.set_nonblocking(true).unwrap();
        let socket = mio::net::TcpListener::from_std(self.listener.try_clone().unwrap());
        self.workers[0].accept_at(vec![Door::Tcp(socket)]).unwrap();
        self.listener.local_addr().unwrap()
    }

    /// A client on a worker, which says this and is heard.
    pub(crate) fn client_saying(&mut self, worker: usize, text: &str) -> Client {
        let mut client = self.client(worker);
        client.send(text);
        let mut answers = 0;
        let is_answered = |server: &mut Self| {
            server.step_all();
            answers += client.heard().lines().count();
            !server.is_over_tcp || answers >= text.lines().count()
        };
        self.wait_for(is_answered, "it is not answered");
        client
    }

    /// So many receivers in the room `hall`.
    pub(crate) fn receivers(&mut self, count: usize) -> Vec<Client> {
        (0..count).map(|_| self.client_saying(0, "rlogin:eve\njoin:hall\n")).collect()
    }

    /// A room in which somebody is.
    pub(crate) fn room(&self, name: &str) -> Arc<Room> {
        let rooms = self.shared.rooms.all();
        rooms.into_iter().find(|room| room.name().as_str() == name).unwrap()
    }

    /// A worker looks at its sockets and its messages.
    pub(crate) fn look(&mut self, worker: usize) {
        self.workers[worker].look(Some(Duration::ZERO));
    }

    /// A whole turn of a worker.
    pub(crate) fn step(&mut self, worker: usize) {
        self.look(worker);
        self.workers[worker].work();
    }

    /// A sender sends [`BURST`] texts, if it can; returns how many answers it gets.
    pub(crate) fn answered(&mut self, sender: &mut Client) -> usize {
        let texts = format!("sendall:{}\n", "x".repeat(200)).repeat(BURST);
        let _ = sender.0.write_all(texts.as_bytes());
        self.step_all();
        sender.heard().matches("ok:sent\n").count()
    }

    /// The server begins to stop.
    pub(crate) fn stop(&self, pace: Pace) -> JoinHandle<()> {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || wind_down(&shared, pace))
    }

    /// The workers go on until the server has stopped, and what it wrote has arrived.
    pub(crate) fn step_until(&mut self, stopped: &JoinHandle<()>) {
        while !stopped.is_finished() {
            (0..WORKERS).for_each(|worker| self.step(worker));
        }
        self.step_all();
    }

    /// A worker goes on until it has nothing to do.
    pub(crate) fn step_until_idle(&mut self, worker: usize) {
        self.step(worker);
        while self.workers[worker].wait() == Some(Duration::ZERO) {
            self.step(worker);
        }
    }

    /// Waits until something holds, for which `step` does what there is to do.
    pub(crate) fn wait_for(&mut self, mut step: impl FnMut(&mut Self) -> bool, otherwise: &str) {
        let deadline = Instant::now() + MINUTE;
        while !step(self) {
            assert!(Instant::now() < deadline, "{otherwise}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn step_all(&mut self) {
        for _ in 0..5 {
            (0..WORKERS).for_each(|worker| self.step(worker));
        }
    }
}

/// What tests look at, and in which pieces they let a worker do its work.
impl Worker {
    /// Serves those who are to be served in a turn.
    pub(crate) fn serve_all(&mut self) {
        self.serve();
    }

    /// The worker writes what is queued, and closes connections.
    pub(crate) fn is_draining(&self) -> bool {
        self.sessions.phase.is_draining()
    }

    /// How many there are on each list, after slow receivers have been looked at.
    pub(crate) fn lists(&mut self) -> String {
        let sessions = &mut self.sessions;
        sessions.slow.check_soon();
        sessions.check_slow();
        let lists = [&sessions.ready, &sessions.greetings, &sessions.changed, &sessions.writes];
        let [ready, greetings, changed, writes] =
            lists.map(|list| Lane::ALL.map(|lane| list.len(lane)));
        format!(
            "{} connections, {ready:?} to serve, {greetings:?} to greet, {changed:?} to settle, \
             {writes:?} to write to, {} slow, {} to log in",
            sessions.slots.tokens().len(),
            sessions.slow.len(),
            sessions.login_deadlines.len(),
        )
    }

    /// Lines, newcomers and messages since receivers were written to last.
    pub(crate) fn intake(&self) -> usize {
        self.sessions.intake
    }
}

/// What tests look at, and what they set.
impl Sessions {
    /// The most bytes that a client is owed.
    pub(crate) fn most_owed(&self) -> usize {
        self.slots.iter().map(|slot| slot.connection.owed()).max().unwrap_or(0)
    }

    /// The most bytes that were read of a client and wait.
    pub(crate) fn most_held(&self) -> usize {
        self.slots.iter().map(|slot| slot.connection.held()).max().unwrap_or(0)
    }

    /// Sets how long the systems of clients may take nothing.
    pub(crate) fn set_user_timeout(&mut self, time: Duration) {
        for token in self.slots.tokens() {
            self.slots[token].connection.transport.set_user_timeout(time);
        }
    }
}
