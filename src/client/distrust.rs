//! Why a client and a server do not come to trust each other → what the user can do about it.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use thiserror::Error;

use crate::terminal::visible::visible;
use crate::tls::in_words;

/// Why a client and a server do not come to trust each other.
#[derive(Debug, Error)]
pub(crate) enum Distrust {
    /// The server's certificate does not hold any more, or not yet.
    #[error("the server's certificate has expired, or does not hold yet: it needs a new one")]
    Expired,
    /// The server's certificate is for others.
    #[error("the server's certificate is not for this name{0}: connect to one that it is for")]
    OtherName(String),
    /// Nobody known has issued the server's certificate.
    #[error(
        "the server's certificate is from nobody who is trusted here: name its issuer with --cacert"
    )]
    UnknownIssuer,
    /// The server's certificate is wrong in another way.
    #[error("the server's certificate will not do: {0}")]
    Bad(String),
    /// Something else than TLS came.
    #[error("the server does not speak TLS there: connect without --tls")]
    NoTls,
    /// The server has ended the connection before it was one.
    #[error(
        "the server ended the connection as soon as TLS began: it has no place, or does not speak \
         TLS there"
    )]
    Ended,
    /// The server has refused the client before TLS began, in plain text, as anybody on the way could.
    #[error("the server, without TLS, says: {}", visible(.0))]
    Refusal(Vec<u8>),
    /// The server wants a certificate.
    #[error("the server wants to see a certificate: show one with --cert and --key")]
    Wanted,
    /// The server does not like the client's certificate.
    #[error("the server refuses the certificate of --cert: {}", alert(*.0))]
    Refused(AlertDescription),
    /// They have nothing in common.
    #[error("there is no TLS that both the server and this client speak: {0}")]
    Other(Error),
}

impl From<Error> for Distrust {
    fn from(error: Error) -> Self {
        use AlertDescription as Alert;
        match error {
            Error::InvalidCertificate(ref why) => match why {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Distrust::Expired,
                CertificateError::NotValidForName => Distrust::OtherName(String::new()),
                CertificateError::NotValidForNameContext { presented, .. } => {
                    Distrust::OtherName(but_for(presented))
                }
                // Who has signed it has at most the name of somebody who is trusted.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Distrust::UnknownIssuer
                }
                _ => Distrust::Bad(in_words(&error, "the server")),
            },
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Distrust::NoTls,
            Error::AlertReceived(Alert::CertificateRequired) => Distrust::Wanted,
            Error::AlertReceived(
                alert @ (Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError),
            ) => Distrust::Refused(alert),
            error => Distrust::Other(error),
        }
    }
}

/// For whom a certificate is, in words; its names are as the library shows them. A few will do.
fn but_for(names: &[String]) -> String {
    const MOST: usize = 5;
    let name = |name: &String| {
        let (kind, name) = name.strip_suffix(')')?.split_once('(')?;
        let is_host = ["DnsName", "IpAddress"].contains(&kind);
        is_host.then(|| visible(name.trim_matches('"').as_bytes()))
    };
    let names: Vec<_> = names.iter().filter_map(name).take(MOST).collect();
    if names.is_empty() { String::new() } else { format!(", but for {}", names.join(" or ")) }
}

/// What a server says of a certificate, in words.
fn alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateExpired => "it has expired, or does not hold yet",
        AlertDescription::UnknownCA => "it is from somebody else than the server trusts",
        _ => "it will not do for a client",
    }
}
