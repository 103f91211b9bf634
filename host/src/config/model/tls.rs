use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use http::HeaderValue;

use super::acme::AcmeNames;

/// How a listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub certificates: Vec<Certificate>,
    /// Those that are ordered.
    pub acme: Vec<AcmeNames>,
    /// Whether it has those that were uploaded, too.
    pub uploaded: bool,
    pub policy: TlsPolicy,
    /// What Strict-Transport-Security says.
    pub hsts: Option<HeaderValue>,
    /// None: it is all ours.
    pub passthrough: Option<Passthrough>,
    /// None: clients are not asked for one.
    pub client_certificates: Option<ClientCertificates>,
    /// Answers safe requests before the end of a handshake.
    pub early_data: bool,
    /// JSON Pointer to it in the source.
    pub pointer: String,
}

/// Clusters by the names whose TLS is passed through to them: in lower case, wildcards with their `*.`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passthrough(pub(crate) BTreeMap<String, String>);

impl Passthrough {
    /// The cluster for a name that a client asks for.
    pub fn cluster(&self, name: &str) -> Option<&str> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = || self.0.get(&format!("*.{}", name.split_once('.')?.1));
        self.0.get(&name).or_else(wildcard).map(String::as_str)
    }
}

/// Whose certificates clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whoever has none is refused.
    pub required: bool,
    /// The certificates that are trusted, in PEM.
    pub ca: String,
    /// Lists of what is revoked, in PEM.
    pub crl: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPolicy {
    /// TLS 1.2 and 1.3.
    Intermediate,
    /// TLS 1.3.
    Modern,
}

/// A certificate with its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub chain: String,
    pub key: String,
}

/// Without the key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub ocsp_file: Option<PathBuf>,
    /// JSON Pointer to it in the source.
    pub pointer: String,
}

impl Certificate {
    /// Whether it is of the same files, wherever in the configuration each is.
    pub fn is_same(&self, other: &Self) -> bool {
        let files = |of: &Self| (of.cert_file.clone(), of.key_file.clone(), of.ocsp_file.clone());
        files(self) == files(other)
    }
}

/// How TLS is spoken to endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The certificates that are trusted, in PEM. None: those of the system.
    pub ca: Option<String>,
    /// Lists of what is revoked, in PEM.
    pub crl: Option<String>,
    /// In the place of the host of each endpoint.
    pub server_name: Option<String>,
    /// What endpoints get to see that ask for one.
    pub certificate: Option<KeyPair>,
    /// Whether the endpoints' certificates are verified.
    pub verifies: bool,
    pub policy: TlsPolicy,
}
