//! A transport that has what TLS and Unix sockets bring: bytes that were received and not handed out,
//! something to write before there is anything to read, a count of received bytes that is not that
//! of lines, an end that is said, and no address.
//!
//! A client says [`HELLO`] and goes on when it hears the same. Then each side sends records: their
//! length, up to [`RECORD`], and so many bytes, veiled; one of length 0 is the end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

use super::got::Got;

/// What each side says first.
const HELLO: u8 = b'H';

/// Bytes of a record.
const RECORD: usize = 100;

/// Bytes that may wait to be sent.
const PENDING: usize = 4096;

/// Bytes that one read hands out.
const HANDED_OUT: usize = 30;

/// The server's end.
#[derive(Debug)]
pub(crate) struct TestTransport {
    pub stream: TcpStream,
    received: Vec<u8>,
    plain: Vec<u8>,
    to_send: Vec<u8>,
    has_heard_hello: bool,
    has_ended: bool,
    quota: Option<usize>,
}

impl TestTransport {
    pub(crate) fn new(stream: TcpStream) -> Self {
        TestTransport {
            stream,
            received: Vec::new(),
            plain: Vec::new(),
            to_send: Vec::new(),
            has_heard_hello: false,
            has_ended: false,
            quota: None,
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        if self.plain.is_empty() && !self.has_ended {
            let mut raw = [0; 1000];
            let most = self.quota.map_or(raw.len(), |quota| quota.min(raw.len()));
            match self.stream.read(&mut raw[..most]) {
                Ok(0) if self.quota.is_some() => return Ok(Got::End),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.quota.iter_mut().for_each(|quota| *quota -= count);
                    self.received.extend_from_slice(&raw[..count]);
                    self.unveil();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(if self.quota.is_some() { Got::End } else { Got::Nothing });
                }
                Err(error) => return Err(error),
            }
        }
        let count = self.plain.len().min(buffer.len()).min(HANDED_OUT);
        buffer[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        Ok(if count == 0 && self.has_ended { Got::End } else { Got::Some(count) })
    }

    fn unveil(&mut self) {
        if !self.has_heard_hello && !self.received.is_empty() {
            assert_eq!(self.received.remove(0), HELLO);
            self.has_heard_hello = true;
            self.to_send.push(HELLO);
        }
        let (plain, ended) = unveil(&mut self.received);
        self.plain.extend(plain);
        self.has_ended |= ended;
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to_send.len() >= PENDING {
            self.flush()?;
        }
        let count = bytes.len().min(RECORD);
        veil(&bytes[..count], &mut self.to_send);
        Ok(count)
    }

    pub(crate) fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(&all)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.to_send.is_empty() {
            let count = self.stream.write(&self.to_send)?;
            self.to_send.drain(..count);
        }
        Ok(())
    }

    pub(crate) fn pending(&self) -> usize {
        self.to_send.len()
    }

    pub(crate) fn limit_to_received(&mut self) {
        let received = rustix::io::ioctl_fionread(&self.stream).unwrap() as usize;
        self.quota.get_or_insert(received);
    }

    pub(crate) fn close(&mut self, cut: bool) {
        if cut {
            rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO))
                .unwrap();
            return;
        }
        self.to_send.push(0);
        let _ = self.flush();
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut discard = [0; 4096];
        while self.stream.read(&mut discard).is_ok_and(|count| count > 0) {}
    }
}

/// Appends a record with these bytes, one at least.
fn veil(bytes: &[u8], records: &mut Vec<u8>) {
    records.push(bytes.len() as u8);
    records.extend(bytes.iter().map(|byte| byte ^ 0x2a));
}

/// Takes whole records off the front; returns their bytes, and whether the end was among them.
fn unveil(records: &mut Vec<u8>) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    while let Some(&length) = records.first() {
        let length = usize::from(length);
        if length == 0 {
            return (plain, true);
        }
        if records.len() <= length {
            break;
        }
        plain.extend(records.drain(..=length).skip(1).map(|byte| byte ^ 0x2a));
    }
    (plain, false)
}

/// A client's end, over a socket that does not block.
#[derive(Debug, Default)]
pub(crate) struct TestClient {
    to_send: Vec<u8>,
    records: Vec<u8>,
    received: Vec<u8>,
    has_said_hello: bool,
    has_heard_hello: bool,
    /// The server has said that this is the end.
    pub has_ended: bool,
}

impl TestClient {
    /// Takes bytes to be sent.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        bytes.chunks(RECORD).for_each(|chunk| veil(chunk, &mut self.records));
    }

    /// Says that no more comes.
    pub(crate) fn end(&mut self) {
        self.records.push(0);
    }

    /// Sends what may be sent, and returns what has arrived.
    pub(crate) fn exchange(&mut self, mut stream: &std::fs::File) -> Vec<u8> {
        if !self.has_said_hello {
            self.to_send.push(HELLO);
            self.has_said_hello = true;
        }
        if self.has_heard_hello {
            self.to_send.append(&mut self.records);
        }
        while let Ok(count @ 1..) = stream.write(&self.to_send) {
            self.to_send.drain(..count);
        }
        let mut raw = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut raw) {
            self.received.extend_from_slice(&raw[..count]);
        }
        if !self.has_heard_hello && !self.received.is_empty() {
            assert_eq!(self.received.remove(0), HELLO);
            self.has_heard_hello = true;
        }
        let (plain, ended) = unveil(&mut self.received);
        self.has_ended |= ended;
        plain
    }
}
