/// How a client speaks TLS to us.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// Such as `TLSv1.3`.
    pub version: &'static str,
    /// By its name in the registry of IANA.
    pub cipher: &'static str,
    /// The name that it asked for (SNI).
    pub server_name: Option<Box<str>>,
    pub certificate: Option<Box<ClientCertificate>>,
}

/// Whose certificate a client has shown, which was verified.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// As in `CN=client, O=Example`.
    pub subject: Box<str>,
    /// Its alternative names of hosts and URIs, as in `DNS=a.test;URI=spiffe://a/b`.
    pub names: Box<str>,
    /// SHA-256 of the certificate, in hex.
    pub fingerprint: Box<str>,
    /// What endpoints are told, as Envoy's X-Forwarded-Client-Cert.
    pub forwarded: http::HeaderValue,
}
