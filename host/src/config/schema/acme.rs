use schemars::JsonSchema;
use serde::Deserialize;

/// From whom certificates come that the proxy orders and renews by itself (ACME, RFC 8555). It proves that a name is its own by
/// answering a challenge that the authority reads from that name: `http-01` on port 80, by any `http` listener, also one
/// that redirects to `https`; `tls-alpn-01` on port 443, by any listener with `tls`. Those ports of the name have to lead
/// here. A certificate is renewed when the authority says so (ARI, RFC 9773), or else after two thirds of its time; the one
/// before serves until then, and whenever that fails. What fails is tried again after seconds, then less and less often, up
/// to 6 h, and not before the authority allows it. Account and certificates are kept in `certificates_dir`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Acme {
    /// URL of the authority. Let's Encrypt has one to try with, whose certificates nobody trusts and whose limits are wide:
    /// `https://acme-staging-v02.api.letsencrypt.org/directory`. Default: `https://acme-v02.api.letsencrypt.org/directory`.
    pub(in crate::config) directory: Option<String>,
    /// `true`: you have read what the authority asks of those who have certificates from it, and agree. Nothing is ordered
    /// otherwise.
    #[serde(default)]
    pub(in crate::config) terms_of_service_agreed: bool,
    /// By which the authority may reach you, such as `admin@example.com`. Default: none.
    pub(in crate::config) email: Option<String>,
    /// Roots that the authority's own server is verified by, in PEM, for one of your own. Default: those of the system.
    pub(in crate::config) ca_file: Option<String>,
    /// The challenges that may be used, the preferred first; after one has failed it is the next one's turn. Default: both,
    /// `http-01` first if there is an `http` listener without `tls` on port 80.
    #[schemars(length(min = 1, max = 2))]
    pub(in crate::config) challenges: Option<Vec<Challenge>>,
    /// The account that you have with an authority that does not take everybody, such as ZeroSSL or Google.
    pub(in crate::config) external_account: Option<ExternalAccount>,
}

/// How an authority that does not take everybody knows whose account this is (external account binding).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ExternalAccount {
    /// Its name for the key.
    pub(in crate::config) key_id: String,
    /// A file that holds the key (HMAC) as they gave it to you, in base64url.
    pub(in crate::config) hmac_key_file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(in crate::config) enum Challenge {
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// A certificate that is ordered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct AcmeCertificate {
    /// The DNS names that it is for, without wildcards.
    #[schemars(length(min = 1, max = 100))]
    pub(in crate::config) names: Vec<String>,
}
