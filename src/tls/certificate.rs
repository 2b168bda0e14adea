//! What a certificate says: for whom it is, and how long it holds.

use chrono::{DateTime, NaiveDate, Utc};
use rustls::pki_types::CertificateDer;

use super::der::{
    GENERALIZED_TIME, IA5_STRING, OBJECT_IDENTIFIER, OCTET_STRING, PRINTABLE_STRING, SEQUENCE, SET,
    TELETEX_STRING, UTC_TIME, UTF8_STRING, all, expect, first,
};

/// Of a subject, its common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The kinds of text in which a letter or a digit is one byte, as in ASCII.
const STRINGS: [u8; 4] = [UTF8_STRING, PRINTABLE_STRING, TELETEX_STRING, IA5_STRING];

/// The extension with a subject's other names.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// The extension that limits which names others may have.
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];

/// Of a subject's other names, one in the DNS.
const DNS_NAME: u8 = 0x82;

/// The parts of a certificate that need not be there, before and after the subject's key.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// What a certificate says. Whether that is true is for its issuer's signature to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whom it is for, as issuers of others are named in these, in DER.
    pub subject: Vec<u8>,
    /// The key of whom it is for, in DER.
    pub key: Vec<u8>,
    /// When it begins to hold.
    pub begins: DateTime<Utc>,
    /// When it ends to hold.
    pub ends: DateTime<Utc>,
    /// What whom it is for is called: the common name, several if it says so.
    pub common_names: Vec<Vec<u8>>,
    /// Names of it in the DNS.
    pub dns_names: Vec<Vec<u8>>,
    /// The names are limited that those may have for whom it vouches, which says nothing of common names.
    pub limits_names: bool,
}

impl Facts {
    /// Reads a certificate, in DER; `None` if it is none.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(SEQUENCE, certificate)?;
        let (mut rest, _) = expect(SEQUENCE, certificate)?;
        if first(rest)?.tag == VERSION {
            rest = first(rest)?.rest;
        }
        // The serial number, the algorithm, and the issuer.
        for _ in 0..3 {
            rest = first(rest)?.rest;
        }
        let (validity, rest) = expect(SEQUENCE, rest)?;
        let (subject, rest) = expect(SEQUENCE, rest)?;
        let (key, rest) = expect(SEQUENCE, rest)?;
        let (mut dns_names, mut limits_names) = (Vec::new(), false);
        if let Some(extensions) = all(rest).find(|part| part.tag == EXTENSIONS) {
            let (extensions, _) = expect(SEQUENCE, extensions.content)?;
            for extension in all(extensions) {
                let (kind, rest) = expect(OBJECT_IDENTIFIER, extension.content)?;
                match kind {
                    ALTERNATIVE_NAMES => dns_names.extend(alternative_names(rest)?),
                    NAME_CONSTRAINTS => limits_names = true,
                    _ => {}
                }
            }
        }
        Some(Facts {
            subject: subject.to_vec(),
            key: key.to_vec(),
            begins: time(validity)?,
            ends: time(first(validity)?.rest)?,
            common_names: common_names(subject).map(<[u8]>::to_vec).collect(),
            dns_names,
            limits_names,
        })
    }

    /// Reads certificates; what is none is left out.
    pub(crate) fn of_all(certificates: &[CertificateDer<'_>]) -> Vec<Self> {
        certificates.iter().filter_map(|certificate| Facts::of(certificate)).collect()
    }

    /// What whom it is for is called, for people to read.
    pub(crate) fn name(&self) -> String {
        let name = self.common_names.first().map_or(&b"without a common name"[..], Vec::as_slice);
        String::from_utf8_lossy(name).escape_debug().to_string()
    }
}

fn common_names(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    let sets = all(subject).filter(|set| set.tag == SET);
    let attributes = sets.flat_map(|set| all(set.content)).filter(|one| one.tag == SEQUENCE);
    attributes.filter_map(|attribute| {
        let (kind, value) = expect(OBJECT_IDENTIFIER, attribute.content)?;
        let value = first(value)?;
        (kind == COMMON_NAME && STRINGS.contains(&value.tag)).then_some(value.content)
    })
}

/// Those in the DNS, out of an extension.
fn alternative_names(extension: &[u8]) -> Option<impl Iterator<Item = Vec<u8>>> {
    // It may say before that it is critical.
    let value = all(extension).find(|value| value.tag == OCTET_STRING)?;
    let (of_all_kinds, _) = expect(SEQUENCE, value.content)?;
    let dns_names = all(of_all_kinds).filter(|name| name.tag == DNS_NAME);
    Some(dns_names.map(|name| name.content.to_vec()))
}

/// The time that stands first: `YYMMDDHHMMSSZ`, or with the whole year.
pub(super) fn time(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let value = first(bytes)?;
    let digits = std::str::from_utf8(value.content).ok()?.strip_suffix('Z')?;
    let year_digits = match value.tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    let (year, rest) = digits.split_at_checked(year_digits)?;
    let year: i32 = year.parse().ok()?;
    // Two digits are of the years from 1950 to 2049.
    let year = match value.tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        _ => year,
    };
    let pair = |index: usize| rest.get(2 * index..2 * index + 2)?.parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(year, pair(0)?, pair(1)?)?;
    Some(date.and_hms_opt(pair(2)?, pair(3)?, pair(4)?)?.and_utc())
}

#[cfg(test)]
mod tests {
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_says_for_whom_it_is_and_until_when() {
        for (year, time) in [(2031, "2031-02-03"), (2071, "2071-02-03")] {
            let mut params = CertificateParams::new(["bob".into(), "Robert".into()]).unwrap();
            params.distinguished_name.push(DnType::OrganizationName, "eve");
            params.distinguished_name.push(DnType::CommonName, "rob");
            params.not_before = date_time_ymd(2020, 4, 5);
            params.not_after = date_time_ymd(year, 2, 3);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let facts = Facts::of(certificate.der()).unwrap();
            let times = [facts.begins, facts.ends].map(|time| time.format("%F").to_string());
            assert_eq!(times, ["2020-04-05", time]);
            assert_eq!(facts.name(), "rob");
            assert_eq!(facts.common_names, [b"rob"]);
            assert_eq!(facts.dns_names, [&b"bob"[..], b"Robert"]);
            assert!(!facts.limits_names);
            for length in 0..certificate.der().len() {
                assert_eq!(Facts::of(&certificate.der()[..length]), None);
            }
        }
    }

    /// Two bytes make a letter of these, which are letters of another kind one by one.
    #[test]
    fn a_common_name_of_wide_letters_is_none() {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = Default::default();
        let wide = BmpString::try_from("\u{616c}\u{6963}").unwrap();
        params.distinguished_name.push(DnType::CommonName, DnValue::BmpString(wide));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(Facts::of(certificate.der()).unwrap().common_names, [[0; 0]; 0]);
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        for bytes in [&b""[..], b"0", b"hello", &[SEQUENCE, 2, SEQUENCE, 0]] {
            assert_eq!(Facts::of(bytes), None);
        }
    }
}
