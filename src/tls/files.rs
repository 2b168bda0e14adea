//! Files → certificates, keys, and lists of what was revoked.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::geteuid;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::error::TlsError;
use super::provider::provider;
use super::words::in_words;
use crate::system::files::{FileError, contents, open};

/// MiB of a file: the certificates of everybody whom a system trusts are less.
const MOST: u64 = 4;

/// MiB of a list of revoked certificates: public authorities have large ones.
const MOST_REVOKED: u64 = 64;

/// Where systems keep the certificates of those whom they trust, the first that is there. The variable
/// is OpenSSL's; where it is set, no other place counts.
const ROOTS_VARIABLE: &str = "SSL_CERT_FILE";
const ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// A certificate with those of its issuers, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity(pub Arc<CertifiedKey>);

impl Identity {
    /// Reads them from two files.
    ///
    /// # Errors
    ///
    /// [`TlsError`], also if the key is no secret, or that of another certificate.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let secret = secret(key)?;
        match CertifiedKey::from_der(chain, secret, &provider()) {
            Ok(pair) => Ok(Identity(Arc::new(pair))),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::NoPair { certificate: certificate.into(), key: key.into() })
            }
            // Of a key that is none it says only that.
            Err(Error::General(_)) => Err(TlsError::StrangeKey { path: key.into() }),
            Err(error) => Err(broken(certificate, &in_words(&error, "this end"))),
        }
    }
}

/// The certificates of a file, one at least.
///
/// # Errors
///
/// [`TlsError`].
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    parse(path, &contents(path, open(path)?, MOST)?, "certificate")
}

/// The lists of revoked certificates of a file, one at least.
///
/// # Errors
///
/// [`TlsError`].
pub(crate) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    parse(path, &contents(path, open(path)?, MOST_REVOKED)?, "list of revoked certificates")
}

/// Those whose certificates count, from a file, or else from where the system has them.
///
/// # Errors
///
/// [`TlsError`].
pub(crate) fn roots(path: Option<&Path>) -> Result<RootCertStore, TlsError> {
    if let Some(path) = path {
        return trusted(path, certificates(path)?);
    }
    let path = match std::env::var_os(ROOTS_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => {
            let mut places = ROOTS.iter().map(PathBuf::from);
            places.find(|path| path.exists()).ok_or(TlsError::NoRoots)?
        }
    };
    let mut roots = RootCertStore::empty();
    // One of them that is strange need not matter.
    let (taken, _) = roots.add_parsable_certificates(certificates(&path)?);
    if taken == 0 { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// Those whose certificates these are, which were in that file.
///
/// # Errors
///
/// [`TlsError`] if one of them will not do.
pub(crate) fn trusted(
    path: &Path,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|error| broken(path, &in_words(&error, "this end")))?;
    }
    Ok(roots)
}

/// The key of a file of our account or root's that nobody else can read; its group may if root owns it.
fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = open(path)?;
    let found = file.metadata().map_err(|source| FileError::Read { path: path.into(), source })?;
    if !found.is_file() && !found.file_type().is_fifo() {
        let source = io::Error::other("it is neither a file nor a pipe");
        return Err(FileError::Read { path: path.into(), source }.into());
    }
    // Its owner can read it and change it, whatever its mode.
    if found.uid() != 0 && found.uid() != geteuid().as_raw() {
        return Err(TlsError::ForeignKey { path: path.into() });
    }
    let closed_to = if found.uid() == 0 { 0o037 } else { 0o077 };
    if found.mode() & closed_to != 0 {
        return Err(TlsError::OpenKey { path: path.into() });
    }
    let bytes = contents(path, file, MOST)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(error) if matches!(error, pem::Error::NoItemsFound) || is_locked(&bytes) => {
            let what = "private key without a passphrase";
            Err(TlsError::Nothing { path: path.into(), what })
        }
        Err(error) => Err(broken(path, &in_form(&error))),
    }
}

/// A key with a passphrase, which not every form has in its name.
fn is_locked(pem: &[u8]) -> bool {
    memchr::memmem::find(pem, b"Proc-Type: 4,ENCRYPTED").is_some()
}

fn parse<T: PemObject>(path: &Path, bytes: &[u8], what: &'static str) -> Result<Vec<T>, TlsError> {
    let items = T::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| broken(path, &in_form(&error)))?;
    if items.is_empty() {
        return Err(TlsError::Nothing { path: path.into(), what });
    }
    Ok(items)
}

/// What is wrong with PEM, in words where the library has numbers.
fn in_form(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its last lines are missing".into(),
        pem::Error::IllegalSectionStart { .. } => {
            "a line of it begins like a section and is none".into()
        }
        error => error.to_string(),
    }
}

fn broken(path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::Broken { path: path.into(), problem: problem.to_string() }
}
