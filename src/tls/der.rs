//! The little of DER that it takes to find one's way in a certificate.

/// One value, and what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) rest: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const TELETEX_STRING: u8 = 0x14;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The first value of `bytes`, if they are DER.
pub(super) fn first(bytes: &[u8]) -> Option<Value<'_>> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&length, bytes) = bytes.split_first()?;
    let (length, bytes) = match length {
        0..=0x7f => (usize::from(length), bytes),
        // More than four bytes are no length of anything that was read.
        0x81..=0x84 => {
            let (digits, bytes) = bytes.split_at_checked(usize::from(length & 0x7f))?;
            let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, bytes)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some(Value { tag, content, rest })
}

/// The content of the first value, if that has this tag, and what comes after it.
pub(super) fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = first(bytes)?;
    (value.tag == tag).then_some((value.content, value.rest))
}

/// All values of `bytes`, up to where they are none.
pub(super) fn all(mut bytes: &[u8]) -> impl Iterator<Item = Value<'_>> {
    std::iter::from_fn(move || {
        let value = first(bytes)?;
        bytes = value.rest;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_read_in_all_forms() {
        for (head, length) in [
            (&[SET, 3][..], 3),
            (&[SET, 0x81, 200], 200),
            (&[SET, 0x82, 1, 0], 256),
            (&[SET, 0x83, 0, 1, 0], 256),
        ] {
            let bytes = [head, &vec![7; length], b"rest"].concat();
            let (content, rest) = expect(SET, &bytes).unwrap();
            assert_eq!((content.len(), rest), (length, &b"rest"[..]));
            assert_eq!(first(&bytes[..bytes.len() - 5]), None);
        }
        for bytes in [&[][..], &[SET], &[SET, 0x80], &[SET, 0x85, 0, 0, 0, 0, 0], &[SET, 0x82, 1]] {
            assert_eq!(first(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in vec(any::<u8>(), 0..200)) {
            prop_assert!(all(&bytes).count() <= bytes.len());
        }
    }
}
