use std::fmt;

/// From whom certificates are ordered (RFC 8555), which the operator has agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// URL, `https`.
    pub directory: String,
    pub email: Option<String>,
    /// What its own server is verified by, in PEM. None: what the system trusts.
    pub ca: Option<String>,
    /// The preferred first.
    pub challenges: Vec<Challenge>,
    pub external_account: Option<ExternalAccount>,
}

/// How an authority knows whose account it is (RFC 8555 section 7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    pub key_id: String,
    pub hmac_key: Vec<u8>,
}

/// Without the key.
impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// How a name is proven to be one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// RFC 8555 section 8.3.
    Http01,
    /// RFC 8737.
    TlsAlpn01,
}

impl Challenge {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// The names of a certificate that is ordered: in lower case, each once, the first one the one that it is called by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcmeNames(pub Vec<String>);

/// Separated by commas.
impl fmt::Display for AcmeNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}
