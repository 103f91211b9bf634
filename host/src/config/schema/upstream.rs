use schemars::JsonSchema;
use serde::Deserialize;

use super::TlsPolicy;

/// How TLS is spoken to the endpoints of a cluster. Their certificates are verified: a root that is trusted leads to them,
/// they are for the name, and in their time. Sessions are resumed. The files are read at every reload; a change of them makes
/// new connections.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamTls {
    /// The roots that are trusted, in PEM. Default: those of the system (of Debian's `ca-certificates`, say; the environment's
    /// SSL_CERT_FILE and SSL_CERT_DIR name others).
    pub(in crate::config) ca_file: Option<String>,
    /// Lists of revoked certificates (CRL), in PEM: one of every CA in a chain, and in its time, otherwise all of them are
    /// refused. Read at a reload. Default: none.
    pub(in crate::config) crl_file: Option<String>,
    /// The name that is asked for (SNI) and has to be on the certificate, for all endpoints. Default: the host of each
    /// endpoint's `address`; an IP address has to be on the certificate as one, and is not asked for.
    pub(in crate::config) server_name: Option<String>,
    /// A certificate for endpoints that ask for one, and those that lead from it to its root, in PEM. Default: none.
    pub(in crate::config) cert_file: Option<String>,
    /// Its private key, in PEM.
    pub(in crate::config) key_file: Option<String>,
    /// Takes any certificate. Anybody on the way can then read and change what is sent. Every load of the configuration
    /// warns of it, and the admin API shows it (`tls: unverified`). Default: false.
    #[serde(default)]
    pub(in crate::config) insecure_skip_verify: bool,
    /// As of a listener. Default: intermediate.
    #[serde(default)]
    pub(in crate::config) policy: TlsPolicy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(in crate::config) enum UpstreamProtocol {
    #[default]
    Auto,
    Http1,
    Http2,
    Http3,
}
