//! TLS over a TCP connection to a server: whom to trust, and bytes that are encrypted on their way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::dial::CONNECT;
use super::distrust::Distrust;
use crate::system::descriptors;
use crate::tls::{self, Identity, TlsError};
use crate::wire::protocol::Reply;

/// Bytes of one record at most.
const RECORD: usize = 16 * 1024;

/// Whom to trust, and who one is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Those who may issue the server's certificate; `None` for those whom the system trusts.
    pub issuers: Option<PathBuf>,
    /// The client's own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whoever answers is trusted.
    pub anybody: bool,
}

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub(crate) struct Security {
    config: Arc<ClientConfig>,
    /// Whoever answers is trusted.
    anybody: bool,
}

impl Security {
    /// Reads what it takes.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file will not do.
    pub(crate) fn new(trust: &Trust) -> Result<Self, TlsError> {
        let provider = tls::provider();
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Library)?;
        let builder = if trust.anybody {
            let anybody = Arc::new(Anybody(algorithms));
            builder.dangerous().with_custom_certificate_verifier(anybody)
        } else {
            builder.with_root_certificates(tls::roots(trust.issuers.as_deref())?)
        };
        let mut config = match &trust.identity {
            Some((certificate, key)) => {
                let Identity(pair) = Identity::read(certificate, key)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![tls::PROTOCOL.to_vec()];
        Ok(Security { config: Arc::new(config), anybody: trust.anybody })
    }

    /// Shakes hands with the server of that name. Reads and writes of `tcp` fail where they would wait;
    /// this waits.
    ///
    /// # Errors
    ///
    /// What the system says, or [`Distrust`].
    pub(super) fn shake_hands(&self, host: &str, tcp: TcpStream) -> io::Result<Tls> {
        let name = match ServerName::try_from(host.to_owned()) {
            // What is no name in a certificate, such as 127.1, matters to nobody then.
            Err(_) if self.anybody => ServerName::from(tcp.peer_addr()?.ip()),
            name => name.map_err(io::Error::other)?,
        };
        let session = ClientConnection::new(Arc::clone(&self.config), name).map_err(failed)?;
        let mut tls = Tls { tcp, session: Box::new(session) };
        // What is encrypted is sent before there is more.
        tls.session.set_buffer_limit(None);
        let deadline = Instant::now() + CONNECT;
        while tls.session.is_handshaking() {
            tls.advance(deadline)?;
        }
        // The last message need not have gone.
        while tls.session.wants_write() {
            tls.advance(deadline)?;
        }
        Ok(tls)
    }
}

/// A TCP connection over which TLS is spoken.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The connection.
    pub tcp: TcpStream,
    session: Box<ClientConnection>,
}

impl Tls {
    /// Waits until something can be received or sent, and does that.
    fn advance(&mut self, deadline: Instant) -> io::Result<()> {
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        let flags = if self.session.wants_write() {
            PollFlags::IN | PollFlags::OUT
        } else if self.session.is_handshaking() {
            PollFlags::IN
        } else {
            return Ok(());
        };
        let most = deadline.saturating_duration_since(Instant::now());
        if !descriptors::wait(&mut [PollFd::new(&self.tcp, flags)], Some(most))? {
            return Err(ErrorKind::TimedOut.into());
        }
        if let Some(refusal) = self.refusal() {
            return Err(io::Error::other(Distrust::Refusal(refusal)));
        }
        match self.receive() {
            Ok(0) if self.session.is_handshaking() => Err(io::Error::other(Distrust::Ended)),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// What a server says that has no place for the client, and has not come to TLS.
    fn refusal(&self) -> Option<Vec<u8>> {
        let mut start = [0; 512];
        let count = self.tcp.peek(&mut start).ok()?;
        match Reply::parse(start[..count].trim_ascii_end()) {
            Ok(Reply::Err(reason)) => Some(reason.to_vec()),
            _ => None,
        }
    }

    /// Something is encrypted and not sent yet.
    pub(crate) fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Receives some bytes, and decrypts them; 0 at the end.
    fn receive(&mut self) -> io::Result<usize> {
        let count = self.session.read_tls(&mut self.tcp)?;
        if let Err(error) = self.session.process_new_packets() {
            // The server is told why.
            let _ = self.send();
            return Err(failed(error));
        }
        Ok(count)
    }

    /// Says that this is the end of what is sent.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}

/// The server is told that this is the end, or it would count the connection as lost.
impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// All that has been received is decrypted and read before anything else is received, so that whoever
/// waits for more need look at the socket alone.
impl Read for Tls {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.wants_write() {
            let _ = self.send();
        }
        loop {
            match self.session.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The library has more to say than a user wants to know.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "it ended without a word",
                    ));
                }
                read => return read,
            }
            self.receive()?;
        }
    }
}

/// What is taken is on its way, or is going to be when there is room: see [`Tls::wants_write`].
impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        let count = self.session.writer().write(&bytes[..bytes.len().min(RECORD)])?;
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

fn failed(error: Error) -> io::Error {
    io::Error::other(Distrust::from(error))
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
