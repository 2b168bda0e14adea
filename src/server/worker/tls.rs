//! TLS over a TCP socket: bytes are decrypted and encrypted on their way.
//!
//! What waits for a client goes into one record, up to [`RECORD`]: to encrypt one, and to send it, costs
//! about the same however little is in it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{Error, ServerConfig, ServerConnection};

use super::got::Got;
use super::plain::Tcp;
use crate::server::chat::vouched::Vouched;
use crate::server::tls::Security;
use crate::tls::in_words;

/// Bytes of one record at most.
const RECORD: usize = 16 * 1024;

/// Bytes that are received at a time at most.
const RECEIVED: usize = 16 * 1024;

/// What a record has beside its bytes, about.
const OVERHEAD: usize = 32;

/// How a client begins that speaks TLS.
const HANDSHAKE: u8 = 0x16;

/// What a client is told that does not. It would wait for an answer for ever, and could make nothing of
/// one in TLS.
const NO_TLS: &[u8] = b"err:this server speaks TLS, connect with --tls\n";

/// A TCP socket over which TLS is spoken, or may be.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The socket.
    pub tcp: Tcp,
    speech: Speech,
    security: Security,
    /// By what its certificate was found to be good.
    examined_by: Option<Arc<ServerConfig>>,
    /// The client has said that no more comes.
    has_ended: bool,
    /// What was received while there was no room for what comes of it.
    undecrypted: Vec<u8>,
    /// What is to be encrypted.
    plain: Vec<u8>,
    /// Bytes that were encrypted and are not sent yet, about.
    unsent: usize,
    /// What is wrong with what the client says.
    pub trouble: Option<Box<str>>,
}

/// What a client speaks.
#[derive(Debug)]
enum Speech {
    /// That is known when it has said something.
    Unknown,
    /// No TLS, which is allowed.
    Plain,
    /// TLS.
    Tls(Box<ServerConnection>),
}

impl Tls {
    /// A client that has connected.
    pub(crate) fn new(tcp: Tcp, security: Security) -> Self {
        let speech = Speech::Unknown;
        let (undecrypted, plain) = (Vec::new(), Vec::new());
        Tls {
            tcp,
            speech,
            security,
            examined_by: None,
            has_ended: false,
            undecrypted,
            plain,
            unsent: 0,
            trouble: None,
        }
    }

    /// The client speaks TLS.
    pub(crate) fn is_spoken(&self) -> bool {
        matches!(self.speech, Speech::Tls(_))
    }

    /// The client has to come to the end of the handshake.
    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.speech {
            Speech::Unknown => !self.security.allows_plain(),
            Speech::Plain => false,
            Speech::Tls(session) => session.is_handshaking(),
        }
    }

    fn certificates(&self) -> &[CertificateDer<'static>] {
        match &self.speech {
            Speech::Tls(session) => session.peer_certificates().unwrap_or_default(),
            _ => &[],
        }
    }

    /// What vouches for the client's name, after the handshake; `None` if its certificate holds no
    /// longer.
    pub(crate) fn vouched(&mut self) -> Option<Vouched> {
        self.still_holds().then(|| self.security.terms().vouch(self.certificates()))
    }

    /// The client's certificate is to be looked at once more, since files were read again.
    pub(crate) fn is_doubtful(&self) -> bool {
        let by = self.examined_by.as_ref();
        by.is_some_and(|config| !Arc::ptr_eq(config, &self.security.terms().config))
    }

    /// The client's certificate is good by what has been read last, too.
    pub(crate) fn still_holds(&mut self) -> bool {
        // At the end of the handshake there is another look.
        if self.is_handshaking() || !self.is_doubtful() {
            return true;
        }
        let terms = self.security.terms();
        let holds = terms.still_hold(self.certificates());
        self.examined_by = Some(terms.config);
        holds
    }

    /// Reads what is there, by way of `buffer`, which holds what is received before what comes of it.
    pub(crate) fn read(&mut self, buffer: &mut [u8], thorough: bool) -> io::Result<Got> {
        match &mut self.speech {
            Speech::Plain => return self.tcp.read(buffer, thorough),
            Speech::Tls(session) => {
                if let Some(got) = decrypted(session, buffer)? {
                    return Ok(got);
                }
            }
            Speech::Unknown => {}
        }
        if !self.undecrypted.is_empty() {
            let undecrypted = mem::take(&mut self.undecrypted);
            self.decrypt(&undecrypted)?;
            return self.decrypted(buffer);
        }
        let most = buffer.len().min(RECEIVED);
        let (count, is_last) = match self.tcp.read(&mut buffer[..most], thorough)? {
            Got::Some(count) => (count, false),
            Got::Last(count) => (count, true),
            // It has not said that this is the end.
            Got::End if self.is_spoken() && !self.tcp.is_limited() => {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            got => return Ok(got),
        };
        if matches!(self.speech, Speech::Unknown) && count > 0 {
            self.begin(buffer[0])?;
            if self.is_spoken() {
                // To answer it is work, which is for those whose turn that is.
                self.undecrypted = buffer[..count].to_vec();
                return Ok(Got::Some(0));
            }
        }
        let got = match self.speech {
            Speech::Tls(_) => {
                self.decrypt(&buffer[..count])?;
                self.decrypted(buffer)?
            }
            _ => Got::Some(count),
        };
        // There is nothing left anywhere if all that came of it has found room.
        let is_all = is_last && self.undecrypted.is_empty() && !self.has_ended;
        Ok(match got {
            Got::Some(count) if is_all && count < buffer.len() => Got::Last(count),
            got => got,
        })
    }

    /// The first byte tells what a client speaks.
    fn begin(&mut self, first: u8) -> io::Result<()> {
        if first == HANDSHAKE {
            let config = self.security.terms().config;
            self.examined_by = Some(Arc::clone(&config));
            let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
            // What is encrypted is counted here, and sent before there is more.
            session.set_buffer_limit(None);
            self.speech = Speech::Tls(Box::new(session));
        } else if self.security.allows_plain() {
            self.speech = Speech::Plain;
        } else {
            let _ = self.tcp.stream.write(NO_TLS);
            return Err(self.fail("the client does not speak TLS".into()));
        }
        Ok(())
    }

    /// Decrypts what was received, as far as there is room for what comes of it.
    fn decrypt(&mut self, mut received: &[u8]) -> io::Result<()> {
        let Speech::Tls(session) = &mut self.speech else { return Ok(()) };
        while !received.is_empty() {
            session.read_tls(&mut received)?;
            match session.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() >= RECORD => {
                    self.has_ended |= state.peer_has_closed();
                    self.undecrypted = received.to_vec();
                    break;
                }
                Ok(state) => self.has_ended |= state.peer_has_closed(),
                Err(error) => {
                    // The client is told why.
                    let _ = self.send();
                    return Err(self.fail(trouble(&error).into()));
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, trouble: Box<str>) -> io::Error {
        self.trouble = Some(trouble);
        ErrorKind::InvalidData.into()
    }

    /// Takes what has been decrypted, if there is anything.
    fn decrypted(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        match &mut self.speech {
            Speech::Tls(session) => Ok(decrypted(session, buffer)?.unwrap_or(Got::Some(0))),
            _ => Ok(Got::Some(0)),
        }
    }

    /// Takes bytes that are to be sent.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// Takes bytes of several slices that are to be sent.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_handshaking() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if !self.is_spoken() {
            return self.tcp.stream.write_vectored(slices);
        }
        if self.plain.len() >= RECORD {
            self.flush()?;
        }
        let before = self.plain.len();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        self.plain.reserve_exact(total.min(RECORD - before));
        for slice in slices {
            let count = slice.len().min(RECORD - self.plain.len());
            self.plain.extend_from_slice(&slice[..count]);
        }
        Ok(self.plain.len() - before)
    }

    /// Sends what was written, in as few records as there can be. What has been encrypted is sent before
    /// any more is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        if !self.plain.is_empty() {
            self.encrypt()?;
            self.send()?;
        }
        Ok(())
    }

    fn encrypt(&mut self) -> io::Result<()> {
        // Most clients are quiet most of the time: no buffer is kept for them.
        let plain = mem::take(&mut self.plain);
        if let Speech::Tls(session) = &mut self.speech {
            session.writer().write_all(&plain)?;
            self.unsent += plain.len() + OVERHEAD;
        }
        Ok(())
    }

    /// Sends what is encrypted, and the handshake's messages.
    fn send(&mut self) -> io::Result<()> {
        if let Speech::Tls(session) = &mut self.speech {
            while session.wants_write() {
                let count = session.write_tls(&mut self.tcp.stream)?;
                self.unsent = self.unsent.saturating_sub(count);
            }
        }
        self.unsent = 0;
        Ok(())
    }

    /// Bytes that were written and are not sent yet, about.
    pub(crate) fn pending(&self) -> usize {
        let unsent = match &self.speech {
            Speech::Tls(session) if session.wants_write() => self.unsent.max(1),
            _ => 0,
        };
        self.plain.len() + unsent
    }

    /// Ends the connection, and says so, or cuts it.
    pub(crate) fn close(&mut self, cut: bool) {
        if !cut && let Speech::Tls(session) = &mut self.speech {
            session.send_close_notify();
            let _ = self.send();
        }
        self.tcp.close(cut);
    }
}

/// Takes what has been decrypted; `None` if there is nothing yet.
fn decrypted(session: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<Option<Got>> {
    match session.reader().read(buffer) {
        // The client has said that this is the end.
        Ok(0) => Ok(Some(Got::End)),
        Ok(count) => Ok(Some(Got::Some(count))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
/// What is wrong with a client, for the log.
fn trouble(error: &Error) -> String {
    let words = in_words(error, "the client");
    match error {
        Error::InvalidCertificate(_) => format!("the client's certificate will not do: {words}"),
        _ => words,
    }
}
