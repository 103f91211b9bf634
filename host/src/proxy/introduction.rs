//! How endpoints learn of a client before its first byte, where their cluster speaks the PROXY protocol to them or is transparent.

use std::net::SocketAddr;

use plimsoll_proxy_protocol::{Addresses, Ssl, write};

use super::client::{Client, Encrypted};
use super::cluster::Cluster;
use super::source::Source;
use crate::upstream::Introduction;

/// What a connection on behalf of `source` is introduced by; nothing where the cluster does without. `local` tells where
/// the client has connected to, which costs a system call; `server_name` is what it has asked for as far as that was looked at.
pub(super) fn introduction(
    cluster: &Cluster,
    client: &Client,
    source: &Source,
    local: impl FnOnce() -> Option<SocketAddr>,
    server_name: Option<&str>,
) -> Introduction {
    let shown = cluster.config.transparent.then_some(source.address.ip());
    let Some(wanted) = cluster.config.proxy_protocol else {
        return Introduction { source: shown, header: Vec::new() };
    };
    let destination = client.announced.as_ref().and_then(|announced| announced.destination).or_else(local);
    let addresses = destination.map(|destination| Addresses::new(source.address, destination));
    let mut details = client.announced.as_ref().map(|announced| announced.details.clone()).unwrap_or_default();
    if let Some(tls) = client.tls.as_deref() {
        details.ssl = Some(Box::new(about_tls(tls)));
        details.authority = tls.described.server_name.clone();
        details.application_protocol = tls.application_protocol.clone();
    } else if let Some(name) = server_name {
        details.authority = Some(name.into());
    }
    Introduction { source: shown, header: write(wanted.version, addresses, &details, wanted.tlvs) }
}

fn about_tls(tls: &Encrypted) -> Ssl {
    let certificate = tls.described.certificate.as_deref();
    let names = certificate.into_iter().flat_map(|certificate| certificate.subject.split(", "));
    Ssl {
        encrypted: true,
        verified: certificate.is_some(),
        version: Some(tls.described.version.into()),
        cipher: Some(tls.described.cipher.into()),
        common_name: names.filter_map(|name| name.strip_prefix("CN=")).next().map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{ClientCertificate, ClientTls};

    #[test]
    fn a_certificate_is_told_by_its_common_name() {
        let shown = |subject: &str| ClientCertificate {
            subject: subject.into(),
            names: "".into(),
            fingerprint: "".into(),
            forwarded: http::HeaderValue::from_static(""),
        };
        let with = |certificate| {
            let described = ClientTls { version: "TLSv1.3", cipher: "C", server_name: None, certificate };
            about_tls(&Encrypted { described, certificate: None, application_protocol: None })
        };
        let told = with(Some(Box::new(shown("O=Example, CN=client"))));
        assert_eq!((told.verified, told.common_name.as_deref()), (true, Some("client")));
        assert_eq!((with(None).verified, with(None).common_name), (false, None));
    }
}
