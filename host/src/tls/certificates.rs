use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// The certificates of a listener, by the names that they are for (RFC 6066 section 3): the exact name, then the wildcard
/// (RFC 9525 section 6.3), then the first one. Of several for one name the one counts that was issued last of those that are
/// valid now. They can be replaced while connections are made; a handshake sees the old ones or the new ones.
#[derive(Debug, Default)]
pub struct Certificates(ArcSwap<Index>);

#[derive(Debug, Default)]
struct Index {
    /// The newest first.
    by_name: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    default: Option<Arc<Certificate>>,
}

impl Certificates {
    /// From now on these count, of which the first is for clients that ask for another name, or for none.
    pub fn replace(&self, all: impl IntoIterator<Item = Arc<Certificate>>) {
        let mut index = Index::default();
        for certificate in all {
            for name in &certificate.names {
                index.by_name.entry(name.clone()).or_default().push(certificate.clone());
            }
            index.default.get_or_insert(certificate);
        }
        for certificates in index.by_name.values_mut() {
            // Where two are alike, the order in which they were given decides.
            certificates.sort_by_key(|certificate| Reverse((certificate.not_before, certificate.not_after)));
        }
        self.0.store(Arc::new(index));
    }

    /// The certificate that a client gets which asks for this name. None as long as there is none at all.
    pub fn for_name(&self, name: Option<&str>) -> Option<Arc<Certificate>> {
        self.0.load().for_name(name, unix_seconds())
    }
}

impl Index {
    fn for_name(&self, name: Option<&str>, now: i64) -> Option<Arc<Certificate>> {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return self.default.clone() };
        let exact = self.by_name.get(name.as_str());
        let wildcard = name.split_once('.').and_then(|(_, parent)| self.by_name.get(format!("*.{parent}").as_str()));
        let candidates = || exact.into_iter().chain(wildcard).flatten();
        let valid = candidates().find(|certificate| certificate.is_valid_at(now));
        // Of those that are not, a client hears more than of none.
        valid.or_else(|| candidates().next()).or(self.default.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name()).map(|certificate| certificate.key.clone())
    }
}

/// The time as certificates have it. A clock before 1970 is one that is not set.
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
