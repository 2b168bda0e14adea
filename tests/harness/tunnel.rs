//! A connection over TLS that a test uses as if it were not: a thread of its own carries bytes between
//! the test's socket and the server's, and holds no more of them than it takes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustls::ClientConnection;

/// Both ends of a tunnel, and what is on its way.
struct Tunnel {
    session: ClientConnection,
    tcp: TcpStream,
    test: UnixStream,
    /// What was decrypted and the test has not taken yet.
    heard: Vec<u8>,
    /// The test sends no more.
    is_silent: bool,
    /// The server sends no more.
    is_over: bool,
}

/// The test's end of a new one.
pub fn dig(session: ClientConnection, tcp: TcpStream) -> UnixStream {
    let (near, test) = UnixStream::pair().unwrap();
    tcp.set_nonblocking(true).unwrap();
    test.set_nonblocking(true).unwrap();
    let (heard, is_silent, is_over) = (Vec::new(), false, false);
    let mut tunnel = Tunnel { session, tcp, test, heard, is_silent, is_over };
    // It ends when one of its ends does, and is not heard of again.
    thread::spawn(move || while tunnel.carry().is_some() {});
    near
}

impl Tunnel {
    /// Waits for something to carry, and does; `None` if that is over.
    fn carry(&mut self) -> Option<()> {
        let when = |condition, flags| if condition { flags } else { PollFlags::empty() };
        let (empty, wants_write) = (self.heard.is_empty(), self.session.wants_write());
        let tcp = when(empty && !self.is_over, PollFlags::IN) | when(wants_write, PollFlags::OUT);
        // What is said before that, the library would keep.
        let hears = !wants_write && !self.is_silent && !self.session.is_handshaking();
        let test = when(hears, PollFlags::IN) | when(!empty, PollFlags::OUT);
        let mut fds = [PollFd::new(&self.tcp, tcp), PollFd::new(&self.test, test)];
        poll(&mut fds, None).ok()?;
        let [tcp, test] = fds.map(|fd| fd.revents());
        if (tcp | test).intersects(PollFlags::ERR) {
            return None;
        }
        if tcp.intersects(PollFlags::OUT) {
            self.session.write_tls(&mut self.tcp).ok()?;
        }
        if tcp.intersects(PollFlags::IN) {
            self.receive()?;
        }
        if test.intersects(PollFlags::OUT) {
            let count = self.test.write(&self.heard).ok()?;
            self.heard.drain(..count);
        }
        if hears && test.intersects(PollFlags::IN | PollFlags::HUP) {
            self.listen()?;
        }
        if self.is_over && self.heard.is_empty() {
            let _ = self.test.shutdown(Shutdown::Write);
        }
        if !(tcp | test).contains(PollFlags::HUP) {
            return Some(());
        }
        // The system goes on telling of it.
        thread::sleep(Duration::from_millis(1));
        let has_server_left = tcp.contains(PollFlags::HUP) && self.is_over && self.heard.is_empty();
        let has_test_left = test.contains(PollFlags::HUP) && self.is_silent;
        let is_left = has_server_left || has_test_left && !self.session.wants_write();
        (!is_left).then_some(())
    }

    fn receive(&mut self) -> Option<()> {
        self.session.read_tls(&mut self.tcp).ok()?;
        self.session.process_new_packets().ok()?;
        match self.session.reader().read_to_end(&mut self.heard) {
            Ok(_) => self.is_over = true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        Some(())
    }

    fn listen(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        match self.test.read(&mut bytes) {
            Ok(0) => {
                self.is_silent = true;
                self.session.send_close_notify();
            }
            Ok(count) => self.session.writer().write_all(&bytes[..count]).ok()?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        Some(())
    }
}
