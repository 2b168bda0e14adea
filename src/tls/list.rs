//! What a list of revoked certificates says of itself.

use chrono::{DateTime, Utc};

use super::certificate::time;
use super::der::{INTEGER, SEQUENCE, expect, first};

/// What a list of revoked certificates says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListFacts {
    /// Whose certificates they are, in DER.
    pub issuer: Vec<u8>,
    /// When there is to be a new list, if it says so.
    pub ends: Option<DateTime<Utc>>,
}

impl ListFacts {
    /// Reads a list, in DER; `None` if it is none.
    pub(crate) fn of(list: &[u8]) -> Option<Self> {
        let (list, _) = expect(SEQUENCE, list)?;
        let (mut rest, _) = expect(SEQUENCE, list)?;
        // The version need not be there. Then comes the algorithm.
        if first(rest)?.tag == INTEGER {
            rest = first(rest)?.rest;
        }
        let (issuer, rest) = expect(SEQUENCE, first(rest)?.rest)?;
        let made = first(rest)?;
        Some(ListFacts { issuer: issuer.to_vec(), ends: time(made.rest) })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
        KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;

    #[test]
    fn a_list_says_whose_it_is_and_until_when() {
        let list = |issuer: &str, year| {
            let mut params = CertificateParams::new([]).unwrap();
            params.distinguished_name.push(DnType::CommonName, issuer);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
            let issuer = Issuer::new(params, KeyPair::generate().unwrap());
            let list = CertificateRevocationListParams {
                this_update: date_time_ymd(2024, 1, 1),
                next_update: date_time_ymd(year, 2, 3),
                crl_number: SerialNumber::from(1),
                issuing_distribution_point: None,
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            let list = list.signed_by(&issuer).unwrap();
            ListFacts::of(list.der()).unwrap()
        };
        let one = list("one", 2031);
        assert_eq!(one.ends.unwrap().format("%F").to_string(), "2031-02-03");
        assert_eq!(one.issuer, list("one", 2071).issuer);
        assert_ne!(one.issuer, list("other", 2031).issuer);
        for bytes in [&b""[..], b"0", b"hello", &[SEQUENCE, 2, SEQUENCE, 0]] {
            assert_eq!(ListFacts::of(bytes), None);
        }
    }
}
