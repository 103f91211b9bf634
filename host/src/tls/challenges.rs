use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::server::versions;
use crate::config::TlsPolicy;

/// What answers the challenges of orders that are under way, and nothing else. Whoever answers takes no lock.
#[derive(Debug, Default)]
pub struct Challenges {
    open: ArcSwap<Open>,
    /// Number of the next one.
    numbers: AtomicU64,
}

#[derive(Clone, Default)]
struct Open {
    /// HTTP-01, by its token.
    http: Answers<Bytes>,
    /// TLS-ALPN-01, by the name that is to be proven.
    tls: Answers<Arc<ServerConfig>>,
}

/// Each with the number of its challenge. Two orders of one account for one name share a challenge, so there may be several.
type Answers<T> = HashMap<Box<str>, Vec<(u64, T)>>;

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("http", &self.http.len()).field("tls", &self.tls.len()).finish()
    }
}

/// Where an authority reads the answer to HTTP-01 (RFC 8555 section 8.3).
const HTTP_01: &str = "/.well-known/acme-challenge/";
/// The protocol of TLS-ALPN-01 (RFC 8737 section 4).
const TLS_ALPN_01: &[u8] = b"acme-tls/1";

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
pub struct OpenChallenge {
    challenges: Arc<Challenges>,
    number: u64,
}

impl Challenges {
    /// Answers HTTP-01 from now on.
    pub fn open_http(self: &Arc<Self>, token: &str, key_authorization: &str) -> OpenChallenge {
        let answer = Bytes::copy_from_slice(key_authorization.as_bytes());
        self.open(|open, number| {
            open.http.entry(token.into()).or_default().push((number, answer.clone()));
        })
    }

    /// Answers TLS-ALPN-01 from now on, for a name in lower case. `digest` is the SHA-256 of the key authorization.
    pub fn open_tls(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<OpenChallenge, String> {
        let config = Arc::new(server_config(name, digest)?);
        Ok(self.open(|open, number| {
            open.tls.entry(name.into()).or_default().push((number, config.clone()));
        }))
    }

    fn open(self: &Arc<Self>, add: impl Fn(&mut Open, u64)) -> OpenChallenge {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.open.rcu(|before| {
            let mut after = Open::clone(before);
            add(&mut after, number);
            after
        });
        OpenChallenge { challenges: self.clone(), number }
    }

    /// The answer to HTTP-01 at a path, if it is that of a challenge that is open.
    pub fn http_answer(&self, path: &str) -> Option<Bytes> {
        let token = path.strip_prefix(HTTP_01)?;
        self.open.load().http.get(token)?.last().map(|(_, answer)| answer.clone())
    }

    /// Whether there is a challenge that a client of TLS could be there for.
    pub fn await_tls(&self) -> bool {
        !self.open.load().tls.is_empty()
    }

    /// With what a handshake is answered that is there for TLS-ALPN-01, and for nothing else (RFC 8737 section 3).
    pub fn tls_answer(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(TLS_ALPN_01) || offered.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.open.load().tls.get(name.as_str())?.last().map(|(_, config)| config.clone())
    }
}

impl Drop for OpenChallenge {
    fn drop(&mut self) {
        self.challenges.open.rcu(|before| {
            let mut after = Open::clone(before);
            close(&mut after.http, self.number);
            close(&mut after.tls, self.number);
            after
        });
    }
}

fn close<T>(answers: &mut Answers<T>, number: u64) {
    answers.retain(|_, answers| {
        answers.retain(|(of, _)| *of != number);
        !answers.is_empty()
    });
}

/// Shows a certificate that is for this name and has the digest in it, to whoever speaks `acme-tls/1`.
fn server_config(name: &str, digest: &[u8]) -> Result<ServerConfig, String> {
    if digest.len() != 32 {
        return Err("the digest of a key authorization has 32 bytes".to_owned());
    }
    let text = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(text)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    let key = KeyPair::generate().map_err(text)?;
    let certificate = params.self_signed(&key).map_err(text)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    // Not checked as others are: the extension is critical, and known to authorities only.
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], key));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions(TlsPolicy::Intermediate))
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![TLS_ALPN_01.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_answered_for_as_long_as_it_is_open() {
        let challenges = Arc::new(Challenges::default());
        let path = format!("{HTTP_01}token");
        assert_eq!(challenges.http_answer(&path), None);
        let first = challenges.open_http("token", "token.thumb");
        let tls = challenges.open_tls("a.test", &[7; 32]).expect("a certificate");
        assert_eq!(challenges.http_answer(&path).as_deref(), Some(&b"token.thumb"[..]));
        for other in ["/token", "token", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/token/"] {
            assert_eq!(challenges.http_answer(other), None, "{other}");
        }
        assert!(challenges.await_tls());
        // Another order for the same name has the same answer, which stays when the first is done.
        let second = challenges.open_http("token", "token.thumb");
        let third = challenges.open_http("token", "token.thumb");
        drop((third, first));
        assert!(challenges.http_answer(&path).is_some());
        drop((second, tls));
        assert!(challenges.http_answer(&path).is_none() && !challenges.await_tls());
        assert!(challenges.open_tls("a.test", &[7; 31]).is_err());
    }
}
