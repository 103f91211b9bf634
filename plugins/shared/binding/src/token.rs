//! What a client is handed: a version, the masked hash of the endpoint's id, two dates if they matter, and an HMAC-SHA256
//! over all of it, cut to 128 bits; in base64url. The mask is a second HMAC, of the first: an id is mostly an address, and
//! there are few enough addresses to try the hashes of all.

use hmac::{Hmac, KeyInit, Mac};
use plimsoll_sdk::{ConfigErrors, host};
use sha2::Sha256;

const UNDATED: u8 = 1;
const DATED: u8 = 2;
const ID_LEN: usize = 8;
const DATES_LEN: usize = 8;
const MAC_LEN: usize = 16;
const FEWEST_BYTES: usize = 1 + ID_LEN + MAC_LEN;
const MOST_BYTES: usize = FEWEST_BYTES + DATES_LEN;
const FEWEST_LETTERS: usize = letters(FEWEST_BYTES);
/// Characters of the longest token.
pub(crate) const MOST_LETTERS: usize = letters(MOST_BYTES);
const SHORTEST_SECRET: usize = 16;

const fn letters(bytes: usize) -> usize {
    (bytes * 8).div_ceil(6)
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Hash of the id of the endpoint.
    pub id_hash: u64,
    pub dates: Option<Dates>,
}

/// Seconds since the beginning of 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// When the client was bound.
    pub issued: u32,
    /// When the token was last renewed.
    pub seen: u32,
}

/// Keys in the order of their use: the first signs, all verify.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

impl Signer {
    /// Keys made of the `secrets` of a configuration, then those of its `epochs`, which the host derives from the secret
    /// of the proxy; that of epoch 0 when there are none of either. A token of one `label` is worth nothing under another.
    pub fn new(secrets: &[String], epochs: &[u32], label: &str, errors: &mut ConfigErrors) -> Self {
        let mut keys = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            if secret.len() < SHORTEST_SECRET {
                errors.push(format!("/keys/{index}"), format_args!("expected at least {SHORTEST_SECRET} bytes"));
            }
            keys.extend(key(secret.as_bytes(), label));
        }
        let epochs = if secrets.is_empty() && epochs.is_empty() { &[0][..] } else { epochs };
        for epoch in epochs {
            let derived = host::derive_key(&format!("{label} epoch {epoch}"));
            match derived.and_then(|secret| key(&secret, label)) {
                Some(key) => keys.push(key),
                None => errors.push("", "the host derives no key to sign with: give `keys`"),
            }
        }
        Self { keys }
    }

    pub fn issue(&self, token: Token) -> String {
        let mut bytes = Vec::with_capacity(MOST_BYTES);
        bytes.push(if token.dates.is_some() { DATED } else { UNDATED });
        bytes.extend(token.id_hash.to_be_bytes());
        if let Some(dates) = token.dates {
            bytes.extend(dates.issued.to_be_bytes());
            bytes.extend(dates.seen.to_be_bytes());
        }
        // There is a key, or the configuration was refused.
        if let Some(key) = self.keys.first() {
            let mac = authenticate(key, &[&bytes]);
            let mac = &mac[..MAC_LEN];
            mask(key, mac, &mut bytes);
            bytes.extend(mac);
        }
        encode(&bytes)
    }

    /// What the text says; none unless one of the keys signed it.
    pub fn verify(&self, text: &[u8]) -> Option<Token> {
        let bytes = decode(text)?;
        let (masked, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LEN)?)?;
        let signed = self.keys.iter().find_map(|key| {
            let mut signed = masked.to_vec();
            mask(key, mac, &mut signed);
            same(&authenticate(key, &[&signed])[..MAC_LEN], mac).then_some(signed)
        })?;
        let (version, rest) = signed.split_first()?;
        let (id_hash, dates) = rest.split_first_chunk()?;
        let dates = match (*version, dates) {
            (UNDATED, []) => None,
            (DATED, [i0, i1, i2, i3, s0, s1, s2, s3]) => Some(Dates {
                issued: u32::from_be_bytes([*i0, *i1, *i2, *i3]),
                seen: u32::from_be_bytes([*s0, *s1, *s2, *s3]),
            }),
            _ => return None,
        };
        Some(Token { id_hash: u64::from_be_bytes(*id_hash), dates })
    }
}

/// A value as `TOKEN~VALUE`, in its parts. None when what is before the first `~` has not the form of a token, whoever
/// signed it.
pub fn split_prefix(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().take(MOST_LETTERS + 1).position(|byte| *byte == b'~')?;
    let (token, rest) = (&value[..at], &value[at + 1..]);
    let bytes = decode(token)?;
    let expected = match *bytes.first()? {
        UNDATED => FEWEST_BYTES,
        DATED => MOST_BYTES,
        _ => return None,
    };
    (bytes.len() == expected).then_some((token, rest))
}

fn key(secret: &[u8], label: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(label.as_bytes());
    mac.update(&[0]);
    Some(mac)
}

/// The HMAC of the parts. One function for all that asks for it: inlined it is the largest part of a plugin.
#[inline(never)]
fn authenticate(key: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = key.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// Hides the id, or shows it again. What is signed never begins with a 0, so this is never a signature.
fn mask(key: &Hmac<Sha256>, mac: &[u8], signed: &mut [u8]) {
    let mask = authenticate(key, &[&[0], mac]);
    for (byte, mask) in signed.iter_mut().skip(1).take(ID_LEN).zip(mask) {
        *byte ^= mask;
    }
}

/// Takes the same time wherever they differ: how long a refusal took must not tell how much of a forgery was right.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(letters(bytes.len()));
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, i| group << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// None unless it is exactly what [`encode`] makes of as many bytes as a token may have: each token has one spelling.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !(FEWEST_LETTERS..=MOST_LETTERS).contains(&text.len()) {
        return None;
    }
    let mut bytes = Vec::with_capacity(MOST_BYTES);
    for chunk in text.chunks(4) {
        let mut group = 0u32;
        for i in 0..4 {
            group = group << 6 | chunk.get(i).map_or(Some(0), |letter| digit(*letter))?;
        }
        // Four letters are three bytes, three are two and two are one; one is none, and must not be.
        let whole = chunk.len() - 1;
        if whole == 0 || group & ((1 << (8 * (3 - whole))) - 1) != 0 {
            return None;
        }
        bytes.extend((0..whole).map(|i| (group >> (16 - 8 * i)) as u8));
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(label: &str) -> Signer {
        let mut errors = ConfigErrors::new();
        let signer = Signer::new(&["a secret of some length".into()], &[], label, &mut errors);
        assert!(errors.is_empty());
        signer
    }

    proptest! {
        #[test]
        fn what_is_issued_is_verified(id_hash: u64, dates in proptest::option::of((0u32.., 0u32..))) {
            let token = Token { id_hash, dates: dates.map(|(issued, seen)| Dates { issued, seen }) };
            let text = signer("a").issue(token);
            prop_assert_eq!(text.len(), if dates.is_some() { MOST_LETTERS } else { FEWEST_LETTERS });
            prop_assert_eq!(signer("a").verify(text.as_bytes()), Some(token));
            prop_assert_eq!(signer("b").verify(text.as_bytes()), None);
            let prefixed = format!("{text}~x~y");
            prop_assert_eq!(split_prefix(prefixed.as_bytes()), Some((text.as_bytes(), &b"x~y"[..])));
        }

        #[test]
        fn one_other_bit_or_a_part_is_worth_nothing(id_hash: u64, dated: bool, bit in 0usize..352, cut in 0usize..44) {
            let dates = dated.then_some(Dates { issued: 7, seen: 9 });
            let text = signer("a").issue(Token { id_hash, dates });
            let mut other = text.clone().into_bytes();
            let at = bit / 8 % other.len();
            other[at] ^= 1 << (bit % 8);
            prop_assert_eq!(signer("a").verify(&other), None);
            prop_assert_eq!(signer("a").verify(&text.as_bytes()[..cut.min(text.len() - 1)]), None);
        }

        #[test]
        fn whatever_bytes_come_are_no_trap(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(signer("a").verify(&bytes), None);
            prop_assert_eq!(split_prefix(&bytes).map(|(token, rest)| token.len() + rest.len() + 1 == bytes.len()).unwrap_or(true), true);
        }
    }

    #[test]
    fn a_token_of_eight_kilobytes_is_refused() {
        assert_eq!(signer("a").verify(&[b'A'; 8192]), None);
        assert_eq!(split_prefix(&[b'A'; 8192]), None);
    }

    #[test]
    fn the_hash_of_the_id_does_not_show() {
        let text = signer("a").issue(Token { id_hash: 0x0123_4567_89ab_cdef, dates: None });
        let bytes = decode(text.as_bytes()).unwrap();
        assert_ne!(&bytes[1..9], &0x0123_4567_89ab_cdef_u64.to_be_bytes());
    }

    #[test]
    fn what_only_looks_like_a_prefix_is_none() {
        for value in ["", "~", "abc~def", "srv1~", "no prefix at all"] {
            assert_eq!(split_prefix(value.as_bytes()), None, "{value}");
        }
    }
}
