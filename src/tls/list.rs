//! What a list of revoked certificates says of itself.

use chrono::{DateTime, Utc};

use super::certificate::time;
use super::der::{BIT_STRING, INTEGER, SEQUENCE, expect, first};
use super::provider::provider;

/// What a list of revoked certificates says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListFacts {
    /// Whose certificates they are, in DER.
    pub issuer: Vec<u8>,
    /// When there is to be a new list, if it says so.
    pub ends: Option<DateTime<Utc>>,
    /// All of it that is signed.
    signed: Vec<u8>,
    /// How it is signed, in DER, and the signature.
    signature: (Vec<u8>, Vec<u8>),
}

impl ListFacts {
    /// Reads a list, in DER; `None` if it is none.
    pub(crate) fn of(list: &[u8]) -> Option<Self> {
        let (list, _) = expect(SEQUENCE, list)?;
        let (mut rest, signature) = expect(SEQUENCE, list)?;
        let signed = list[..list.len() - signature.len()].to_vec();
        let (kind, signature) = expect(SEQUENCE, signature)?;
        let signature = (kind.to_vec(), bits(signature)?.to_vec());
        // The version need not be there. Then comes the algorithm.
        if first(rest)?.tag == INTEGER {
            rest = first(rest)?.rest;
        }
        let (issuer, rest) = expect(SEQUENCE, first(rest)?.rest)?;
        let made = first(rest)?;
        Some(ListFacts { issuer: issuer.to_vec(), ends: time(made.rest), signed, signature })
    }

    /// Whether the owner of this key, in DER, has signed it.
    pub(crate) fn is_signed_with(&self, key: &[u8]) -> bool {
        let (kind, signature) = &self.signature;
        let Some((key_kind, key)) = expect(SEQUENCE, key) else { return false };
        let Some(key) = bits(key) else { return false };
        let algorithms = provider().signature_verification_algorithms.all;
        algorithms.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == kind
                && algorithm.public_key_alg_id().as_ref() == key_kind
                && algorithm.verify_signature(key, &self.signed, signature).is_ok()
        })
    }
}

/// The bits that stand first, which are whole bytes.
fn bits(bytes: &[u8]) -> Option<&[u8]> {
    let (bits, _) = expect(BIT_STRING, bytes)?;
    bits.strip_prefix(&[0])
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, date_time_ymd,
    };

    use super::*;

    #[test]
    fn a_list_says_whose_it_is_and_until_when() {
        let list = |issuer: &str, year| {
            let mut params = CertificateParams::new([]).unwrap();
            params.distinguished_name.push(DnType::CommonName, issuer);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
            let key = KeyPair::generate().unwrap();
            let owner = key.subject_public_key_info();
            let issuer = Issuer::new(params, key);
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2024, 1, 1),
                next_update: date_time_ymd(year, 2, 3),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = list.signed_by(&issuer).unwrap();
            (ListFacts::of(list.der()).unwrap(), expect(SEQUENCE, &owner).unwrap().0.to_vec())
        };
        let (mut one, key) = list("one", 2031);
        let (other, _) = list("one", 2071);
        assert_eq!(one.ends.unwrap().format("%F").to_string(), "2031-02-03");
        assert_eq!(one.issuer, other.issuer);
        assert_ne!(one.issuer, list("other", 2031).0.issuer);
        assert!(one.is_signed_with(&key) && !other.is_signed_with(&key));
        one.signed.reverse();
        assert!(!one.is_signed_with(&key) && !one.is_signed_with(b"no key"));
        for bytes in [&b""[..], b"0", b"hello", &[SEQUENCE, 2, SEQUENCE, 0]] {
            assert_eq!(ListFacts::of(bytes), None);
        }
    }
}
