/// How a client speaks TLS to us.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// Such as `TLSv1.3`.
    pub version: &'static str,
    /// By its name in the registry of IANA.
    pub cipher: &'static str,
    /// The name that it asked for (SNI).
    pub server_name: Option<Box<str>>,
}
