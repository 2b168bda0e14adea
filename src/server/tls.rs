//! Files with certificates and keys → how TLS is spoken with clients.
//!
//! All of it is read at the start, and again when that is asked for: then all of it counts, or, if a file
//! will not do, what was there before.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;

use super::chat::sync::lock;
use super::chat::vouched::{Vouched, Voucher};
use super::config::TlsConfig;
use super::issuers::verifier;
use super::validity::warn_of_times;
use crate::system::files::check_again;
use crate::tls::{self, Facts, Identity, TlsError};
use crate::wire::protocol::Name;

/// How TLS is spoken with clients, as long as it is not read again.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// What a connection needs.
    pub config: Arc<ServerConfig>,
    /// Looks at the certificates of clients, if these have to have one.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// How TLS is spoken with clients, for all who speak it. Clones share the same.
#[derive(Clone, Debug)]
pub(crate) struct Security {
    files: Arc<TlsConfig>,
    terms: Arc<Mutex<Terms>>,
}

impl Security {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if one of them will not do.
    pub(crate) fn new(files: &TlsConfig) -> Result<Self, TlsError> {
        let terms = Arc::new(Mutex::new(Terms::read(files)?));
        Ok(Security { files: Arc::new(files.clone()), terms })
    }

    /// Reads the files again, for those who come from now on.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if one of them will not do; then nothing changes.
    pub(crate) fn renew(&self) -> Result<(), TlsError> {
        let TlsConfig { certificate, key, client_issuers, revocations, .. } = &*self.files;
        let others = client_issuers.iter().chain(revocations);
        for path in [certificate, key].into_iter().chain(others) {
            check_again(path)?;
        }
        let terms = Terms::read(&self.files)?;
        *lock(&self.terms) = terms;
        Ok(())
    }

    /// What counts now.
    pub(crate) fn terms(&self) -> Terms {
        lock(&self.terms).clone()
    }

    /// Clients have to have certificates.
    pub(crate) fn wants_certificates(&self) -> bool {
        self.files.client_issuers.is_some()
    }

    /// Whoever does not speak TLS is heard, too.
    pub(crate) fn allows_plain(&self) -> bool {
        self.files.allow_plain
    }
}

impl Terms {
    fn read(files: &TlsConfig) -> Result<Self, TlsError> {
        let TlsConfig { certificate, key, client_issuers, revocations, .. } = files;
        let Identity(pair) = Identity::read(certificate, key)?;
        let builder = ServerConfig::builder_with_provider(tls::provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Library)?;
        let verifier = match client_issuers {
            Some(issuers) => Some(verifier(issuers, revocations.as_deref())?),
            None => None,
        };
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        warn_of_times(certificate, &Facts::of_all(&pair.cert));
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![tls::PROTOCOL.to_vec()];
        // A session that is resumed would outlive a revocation, and costs as much as it saves where
        // connections last.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Terms { config: Arc::new(config), verifier })
    }

    /// What vouches for a client with these certificates.
    pub(crate) fn vouch(&self, certificates: &[CertificateDer<'static>]) -> Vouched {
        match (&self.verifier, certificates.first()) {
            (None, _) => Vouched::Nothing,
            (Some(_), Some(own)) => vouched(own, certificates),
            (Some(_), None) => Vouched::Unknown("there is no certificate of yours"),
        }
    }

    /// A client with these certificates may still be here.
    pub(crate) fn still_hold(&self, certificates: &[CertificateDer<'static>]) -> bool {
        let Some(verifier) = &self.verifier else { return true };
        let Some((own, issuers)) = certificates.split_first() else { return false };
        verifier.verify_client_cert(own, issuers, UnixTime::now()).is_ok()
    }
}

/// The names of a certificate that are names of users; and all that are shown, its own included.
fn vouched(own: &CertificateDer<'_>, shown: &[CertificateDer<'_>]) -> Vouched {
    let limits_names = |certificate| Facts::of(certificate).is_none_or(|facts| facts.limits_names);
    // An issuer who may name some people alone would otherwise name others.
    let is_limited = shown.iter().any(|certificate| limits_names(certificate));
    let facts = Facts::of(own);
    let names = facts.iter().flat_map(|Facts { common_names, dns_names, .. }| {
        let common_names = if is_limited { &[][..] } else { common_names };
        common_names.iter().chain(dns_names)
    });
    let mut names: Vec<_> = names.filter_map(|name| Name::parse(name).ok()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Vouched::Unknown("your certificate has no name of letters and digits");
    }
    Vouched::By(Voucher::Certificate, names.into())
}
