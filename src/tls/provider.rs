//! What encrypts.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// What encrypts.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
