//! Why certificates and keys will not do.

use std::path::PathBuf;

use thiserror::Error;

use crate::system::files::FileError;

/// Why certificates and keys will not do.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// A file's bytes are not to be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what it should be.
    #[error("{} has no {what} in PEM", .path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// A part of it is broken.
    #[error("{} is broken: {problem}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two lists are of one issuer: only one of them would count.
    #[error("{} has two lists of the same issuer: leave the older one out", .path.display())]
    TwoLists {
        /// The file.
        path: PathBuf,
    },
    /// A list is not from the issuer that it names.
    #[error("{} has a list that its issuer has not signed: fetch it again", .path.display())]
    Forged {
        /// The file.
        path: PathBuf,
    },
    /// Nothing would hold that one of the issuers has vouched for.
    #[error("{} has no list of the issuer {issuer}: append it", .path.display())]
    NoList {
        /// The file.
        path: PathBuf,
        /// What the issuer is called.
        issuer: String,
    },
    /// A key is no secret.
    #[error("others can read the key {}: chmod it to 600", .path.display())]
    OpenKey {
        /// The file.
        path: PathBuf,
    },
    /// A key is of no kind that TLS is spoken with here.
    #[error(
        "the key {} will not do: RSA of 2048 to 4096 bits, P-256, P-384 and Ed25519 will",
        .path.display()
    )]
    StrangeKey {
        /// The file.
        path: PathBuf,
    },
    /// A key is somebody else's.
    #[error("the key {} belongs to another account: chown it to the one that uses it", .path.display())]
    ForeignKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate and a key are no pair.
    #[error("the key {} is not that of the certificate {}", .key.display(), .certificate.display())]
    NoPair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// There is no TLS to be had.
    #[error("TLS cannot be spoken: {0}")]
    Library(#[source] rustls::Error),
    /// The system has no list of those who may issue certificates.
    #[error("this system has no list of trusted certificates; name some with --cacert")]
    NoRoots,
}
