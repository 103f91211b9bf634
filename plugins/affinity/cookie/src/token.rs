//! What the client is handed: a version, the hash of the endpoint's id, and an HMAC-SHA256 over both, cut to 128 bits; in
//! base64url. It says nothing of when it was issued: the contract offers no time that two machines share.

use hmac::{Hmac, KeyInit, Mac};
use plimsoll_sdk::host;
use sha2::Sha256;

const VERSION: u8 = 1;
const SIGNED_LEN: usize = 1 + 8;
const MAC_LEN: usize = 16;
const BYTES: usize = SIGNED_LEN + MAC_LEN;
/// Characters of a token.
pub(crate) const LEN: usize = (BYTES * 8).div_ceil(6);

/// Keys in the order of their use: the first signs, all verify.
#[derive(Clone)]
pub(crate) struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

impl Signer {
    /// None if there is no key to be had.
    pub(crate) fn new(secrets: &[String], label: &str) -> Option<Self> {
        let key = |secret: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(label.as_bytes());
            mac.update(&[0]);
            Some(mac)
        };
        let keys = if secrets.is_empty() {
            vec![key(&host::derive_key(label)?)?]
        } else {
            secrets.iter().map(|secret| key(secret.as_bytes())).collect::<Option<_>>()?
        };
        Some(Self { keys })
    }

    pub(crate) fn issue(&self, id_hash: u64) -> String {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..SIGNED_LEN].copy_from_slice(&id_hash.to_be_bytes());
        let (signed, mac) = bytes.split_at_mut(SIGNED_LEN);
        if let Some(key) = self.keys.first() {
            mac.copy_from_slice(&key.clone().chain_update(signed).finalize().into_bytes()[..MAC_LEN]);
        }
        encode(&bytes)
    }

    /// The endpoint that the token was issued for; none unless one of the keys signed it.
    pub(crate) fn verify(&self, token: &[u8; LEN]) -> Option<u64> {
        let bytes = decode(token)?;
        let (signed, mac) = bytes.split_at(SIGNED_LEN);
        let [VERSION, id_hash @ ..] = signed else { return None };
        let valid = |key: &Hmac<Sha256>| key.clone().chain_update(signed).verify_truncated_left(mac).is_ok();
        if !self.keys.iter().any(valid) {
            return None;
        }
        id_hash.try_into().ok().map(u64::from_be_bytes)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8; BYTES]) -> String {
    let mut text = String::with_capacity(LEN);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, i| group << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// None unless it is exactly what [`encode`] makes: each token has one spelling.
fn decode(text: &[u8; LEN]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    for (chunk, place) in text.chunks(4).zip(bytes.chunks_mut(3)) {
        let mut group = 0u32;
        for i in 0..4 {
            let digit = match chunk.get(i) {
                Some(letter) => digit(*letter)?,
                None => 0,
            };
            group = group << 6 | digit;
        }
        for (i, byte) in place.iter_mut().enumerate() {
            *byte = (group >> (16 - 8 * i)) as u8;
        }
        if place.len() < 3 && group & ((1 << (8 * (3 - place.len()))) - 1) != 0 {
            return None;
        }
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
