use std::net::SocketAddr;

use http::HeaderValue;

use super::interim::Interim;

/// Who is at the other end of a downstream connection.
#[derive(Debug)]
pub struct Client {
    pub address: SocketAddr,
    /// The address without port, as attributes show it and `X-Forwarded-For` carries it.
    pub ip: HeaderValue,
    /// Whether the client speaks TLS to us.
    pub secure: bool,
    /// What is to be sent to it before the next answer.
    pub interim: Interim,
}

impl Client {
    pub fn new(address: SocketAddr, secure: bool) -> Self {
        // IPv4 clients of an IPv6 socket are shown as what they are.
        let ip = address.ip().to_canonical().to_string();
        let ip = HeaderValue::try_from(ip).unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, ip, secure, interim: Interim::default() }
    }

    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}
