use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use quinn::crypto::HmacKey;
use rustls::server::ProducesTickets;

/// What makes tickets to resume sessions (RFC 8446 section 4.6.1): one for all listeners. Its keys follow from a secret and
/// the time, so that whoever has the secret resumes what another process began: replicas, and the same proxy after a restart.
/// Nothing is kept, and nothing has to be told to others. A ticket is the number of its epoch, a nonce, and the session,
/// encrypted and authenticated by AES-256-GCM.
#[derive(Clone)]
pub struct Tickets(Arc<Keys>);

struct Keys(Prk);

/// How long one key encrypts. A few billion random nonces are safe under one (NIST SP 800-38D section 8.3).
const EPOCH_SECONDS: u64 = 6 * 3600;
const EPOCH_BYTES: usize = 8;
/// Largest ticket that is looked at; those of clients with certificates carry these.
const TICKET_BYTES: usize = 64 << 10;

impl Tickets {
    pub fn new(secret: &[u8]) -> Self {
        Self(Arc::new(Keys(Salt::new(HKDF_SHA256, b"plimsoll tls tickets").extract(secret))))
    }

    /// By which clients of QUIC are told that their connection is gone: by whoever has the secret, so that they learn at once of
    /// a restart (RFC 9000 section 10.3.2).
    pub(super) fn reset_key(&self) -> Arc<dyn HmacKey> {
        let mut key = [0; 32];
        // What has another length is the key of something else. It does not fail for one of 32 bytes.
        let derived = self.0.0.expand(&[b"quic reset"], HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        debug_assert!(derived.is_ok(), "a key of the hash's own length");
        Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    pub(super) fn producer(&self) -> Arc<dyn ProducesTickets> {
        self.0.clone()
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    fn key(&self, epoch: u64) -> Option<RandomizedNonceKey> {
        let mut key = [0; 32];
        let info = epoch.to_be_bytes();
        self.0.expand(&[&info], HKDF_SHA256).and_then(|okm| okm.fill(&mut key)).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
    }

    fn encrypt_at(&self, epoch: u64, session: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = session.to_vec();
        let epoch_bytes = epoch.to_be_bytes();
        let nonce = self.key(epoch)?.seal_in_place_append_tag(Aad::from(epoch_bytes), &mut sealed).ok()?;
        Some([&epoch_bytes[..], nonce.as_ref(), &sealed].concat())
    }

    /// The epoch before is resumed, too, and the one after, whose replica has a clock that is ahead.
    fn decrypt_at(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES {
            return None;
        }
        let (epoch_bytes, rest) = ticket.split_first_chunk::<EPOCH_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let epoch = u64::from_be_bytes(*epoch_bytes);
        if epoch.abs_diff(now) > 1 {
            return None;
        }
        let mut opened = sealed.to_vec();
        let key = self.key(epoch)?;
        let session =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(*epoch_bytes), &mut opened).ok()?;
        let length = session.len();
        opened.truncate(length);
        Some(opened)
    }
}

impl ProducesTickets for Keys {
    fn enabled(&self) -> bool {
        true
    }

    /// One that was made at the end of its epoch is good for this long.
    fn lifetime(&self) -> u32 {
        EPOCH_SECONDS as u32
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(epoch(), session)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(epoch(), ticket)
    }
}

fn epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / EPOCH_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &[u8]) -> Arc<Keys> {
        Tickets::new(secret).0
    }

    #[test]
    fn whoever_has_the_secret_resumes_for_one_epoch_more() {
        let ticket = keys(b"one").encrypt_at(100, b"a session").expect("a ticket");
        for (now, known) in [(98, false), (99, true), (100, true), (101, true), (102, false)] {
            assert_eq!(keys(b"one").decrypt_at(now, &ticket).is_some(), known, "{now}");
        }
        assert_eq!(keys(b"one").decrypt_at(100, &ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(keys(b"two").decrypt_at(100, &ticket), None);
        assert_ne!(keys(b"one").encrypt_at(100, b"a session").expect("another"), ticket);
    }

    #[test]
    fn connections_are_ended_by_who_has_the_secret_and_nobody_else() {
        let token = |secret: &[u8]| {
            let mut token = [0; 32];
            Tickets::new(secret).reset_key().sign(b"an id", &mut token);
            token
        };
        assert_eq!(token(b"one"), token(b"one"));
        assert_ne!(token(b"one"), token(b"two"));
    }

    #[test]
    fn a_ticket_that_was_changed_is_none() {
        let keys = keys(b"one");
        let ticket = keys.encrypt_at(100, b"a session").expect("a ticket");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.decrypt_at(100, &changed), None, "{at}");
            assert_eq!(keys.decrypt_at(100, &ticket[..at]), None, "{at}");
        }
        assert_eq!(keys.decrypt_at(100, &vec![0; TICKET_BYTES + 1]), None);
    }
}
