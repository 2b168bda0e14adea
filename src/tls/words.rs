//! What is wrong with a certificate → words for whoever can issue another one.

use rustls::{CertificateError, Error};

/// What is wrong, in words where the library has none; `whose` certificate it is.
pub(crate) fn in_words(error: &Error, whose: &str) -> String {
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        CertificateError::BadEncoding => "it is no certificate".into(),
        CertificateError::Revoked => "it is revoked".into(),
        CertificateError::UnknownIssuer => "it is from nobody who is trusted here".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it does not hold yet".into()
        }
        CertificateError::UnknownRevocationStatus => {
            "there is no list of what one of its issuers has revoked".into()
        }
        CertificateError::ApplicationVerificationFailure => {
            "too many others are shown beside it".into()
        }
        // What is in it is of a library that is not used here; its name is what it says of itself.
        CertificateError::Other(other) => match &*other.0.to_string() {
            "CaUsedAsEndEntity" => {
                format!("it is an authority's own: issue one for {whose} with it")
            }
            "UnsupportedCertVersion" => {
                "it is of version 1: issue one of version 3, with an extension file".into()
            }
            name => name.into(),
        },
        error => error.to_string(),
    }
}
