//! The flags of clients that are about TLS → how it is spoken with a server.

use std::path::PathBuf;

use crate::client::ClientError;
use crate::client::tls::{Security, Trust};
use crate::client::transport::Address;
use crate::error::Error;
use crate::usage::call::Call;

/// These flags.
#[derive(Debug)]
pub(super) struct Flags {
    pub tls: bool,
    pub cacert: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub insecure: bool,
}

impl Flags {
    /// One of them is there.
    pub(super) fn are_given(&self) -> bool {
        let Flags { tls, cacert, cert, key, insecure } = self;
        *tls || cacert.is_some() || cert.is_some() || key.is_some() || *insecure
    }

    /// Where a server is, and how to speak with it.
    pub(super) fn address(
        self,
        call: &Call<'_>,
        host: String,
        port: u16,
    ) -> Result<Address, Error> {
        if !self.tls && self.are_given() {
            return Err(call.wrong("--cacert, --cert, --key and --insecure need --tls").into());
        }
        let Flags { tls, cacert, cert, key, insecure } = self;
        if cacert.is_some() && insecure {
            return Err(call.wrong("--cacert and --insecure exclude each other").into());
        }
        if tls && host.contains('/') {
            return Err(call.wrong("there is no TLS on a Unix socket").into());
        }
        let identity = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err(call.wrong("--cert and --key need each other").into()),
        };
        let trust = Trust { issuers: cacert, identity, anybody: insecure };
        let security = tls.then(|| Security::new(&trust)).transpose();
        Ok(Address { host, port, security: security.map_err(ClientError::from)? })
    }
}
