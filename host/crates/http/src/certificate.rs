//! Until when a certificate is good: the only thing in it that is of interest before anybody connects.
//!
//! X.509 is read as far as that (RFC 5280, 4.1): a certificate is a sequence that begins with a sequence of
//! version, serial number, algorithm, issuer, and then the two times.

use everstate_types::Timestamp;

use crate::time::read_time;

/// A certificate that ends in less time than that is worth a warning, in milliseconds.
pub const CERTIFICATE_ENDS_SOON_MS: u64 = 14 * 24 * 60 * 60 * 1_000;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;

/// When it ends. `None`: it cannot be read.
pub(crate) fn end_of(certificate: &[u8]) -> Option<Timestamp> {
    let (SEQUENCE, whole, _) = element(certificate)? else { return None };
    let (SEQUENCE, signed, _) = element(whole)? else { return None };
    let (first, _, rest) = element(signed)?;
    // The version may be left out.
    let rest = if first == VERSION { element(rest)?.2 } else { rest };
    let (_, _, after_algorithm) = element(rest)?;
    let (_, _, after_issuer) = element(after_algorithm)?;
    let (SEQUENCE, validity, _) = element(after_issuer)? else { return None };
    let (_, _, end) = element(validity)?;
    let (kind, end, _) = element(end)?;
    time(kind, std::str::from_utf8(end).ok()?)
}

/// The first element: its tag, what is in it, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..0x80 => (usize::from(length), rest),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            if digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year.
fn time(kind: u8, text: &str) -> Option<Timestamp> {
    let century = match text.get(..2)? {
        _ if kind != UTC_TIME => "",
        year if year < "50" => "20",
        _ => "19",
    };
    let digits = format!("{century}{}", text.strip_suffix('Z')?);
    if digits.len() != 14 || !digits.is_ascii() {
        return None;
    }
    let part = |at: usize| &digits[at..at + 2];
    let (year, month, day) = (&digits[..4], part(4), part(6));
    read_time(&format!("{year}-{month}-{day}T{}:{}:{}Z", part(8), part(10), part(12)))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::end_of;

    #[test]
    fn end_of_a_certificate_is_read_in_both_forms_of_a_time() {
        for (year, millis) in [(2031, 1_930_694_400_000), (2061, 2_877_465_600_000)] {
            let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
            params.not_after = date_time_ymd(year, 3, 8);
            let key = KeyPair::generate().expect("a key");
            let certificate = params.self_signed(&key).expect("signed");
            let end = end_of(certificate.der()).map(everstate_types::Timestamp::as_millis);
            assert_eq!(end, Some(millis));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 2, 0x30, 0]]
        {
            assert_eq!(end_of(bytes), None);
        }
    }
}
