//! Those who issue certificates to clients, and what they have revoked → whether a client's will do.
//!
//! Knows certificates. Must not know connections.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use log::warn;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::validity::warn_of_times;
use crate::tls::{self, Facts, ListFacts, TlsError};

/// Certificates of others that a client may show beside its own. Who vouches for whom is found by trying.
const MOST_OTHERS: usize = 6;

/// Bytes of all that it may show: they stay for as long as the client does.
const MOST_BYTES: usize = 16 * 1024;

/// Reads who looks at the certificates of clients.
///
/// # Errors
///
/// [`TlsError`] if a file will not do.
pub(super) fn verifier(
    issuers: &Path,
    revocations: Option<&Path>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    // Read once: it may be a pipe.
    let certificates = tls::certificates(issuers)?;
    let facts = Facts::of_all(&certificates);
    warn_of_times(issuers, &facts);
    let roots = tls::trusted(issuers, certificates)?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
    let builder = match revocations {
        Some(path) => {
            let lists = tls::revocations(path)?;
            examine_lists(path, &lists, &facts)?;
            builder.with_crls(lists)
        }
        None => builder,
    };
    let blamed = revocations.unwrap_or(issuers);
    let built = builder
        .build()
        .map_err(|error| TlsError::Broken { path: blamed.into(), problem: error.to_string() })?;
    Ok(Arc::new(ShortChains(built)))
}

/// Whether these lists say of all certificates of the issuers whether they hold: otherwise none would, and
/// everybody would be refused. Logs which of them should have been replaced.
fn examine_lists(
    path: &Path,
    lists: &[CertificateRevocationListDer<'_>],
    issuers: &[Facts],
) -> Result<(), TlsError> {
    let facts: Vec<_> = lists.iter().filter_map(|list| ListFacts::of(list)).collect();
    for (index, one) in facts.iter().enumerate() {
        // The first alone would count, whichever is newer.
        if facts[..index].iter().any(|other| other.issuer == one.issuer) {
            return Err(TlsError::TwoLists { path: path.into() });
        }
        let mut theirs = issuers.iter().filter(|issuer| issuer.subject == one.issuer).peekable();
        if theirs.peek().is_some() && !theirs.any(|issuer| one.is_signed_with(&issuer.key)) {
            return Err(TlsError::Forged { path: path.into() });
        }
        if let Some(ends) = one.ends.filter(|ends| *ends <= Utc::now()) {
            let (path, ends) = (path.display(), ends.format("%F"));
            warn!("the list in {path} should have been replaced by {ends}");
        }
    }
    let has_none = |issuer: &Facts| facts.iter().all(|list| list.issuer != issuer.subject);
    match issuers.iter().find(|issuer| has_none(issuer)) {
        Some(issuer) => Err(TlsError::NoList { path: path.into(), issuer: issuer.name() }),
        None => Ok(()),
    }
}

/// Looks at certificates if they are few. To find a way through very many takes a processor for seconds,
/// and whoever shows them needs none that holds.
#[derive(Debug)]
struct ShortChains(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ShortChains {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes = own.len() + others.iter().map(|other| other.len()).sum::<usize>();
        if others.len() > MOST_OTHERS || bytes > MOST_BYTES {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        self.0.verify_client_cert(own, others, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
