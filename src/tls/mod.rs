//! Certificates and keys, as files have them → what either end of a connection over TLS needs.
//!
//! Knows nothing of connections, nor of what is said over them.

mod certificate;
mod der;
mod error;
mod files;
mod list;
mod provider;
mod words;

pub(crate) use certificate::Facts;
pub(crate) use error::TlsError;
pub(crate) use files::{Identity, certificates, revocations, roots, trusted};
pub(crate) use list::ListFacts;
pub(crate) use provider::provider;
pub(crate) use words::in_words;

/// What both ends call the protocol that they speak over TLS.
pub(crate) const PROTOCOL: &[u8] = b"chatbox";
