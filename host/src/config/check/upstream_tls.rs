use rustls::pki_types::ServerName;

use super::listener::{CRL_FILE_BYTES, tls_policy};
use super::{CA_FILE_BYTES, Checker};
use crate::config::model::{Endpoint, KeyPair, UpstreamTls};
use crate::config::schema;

impl Checker<'_> {
    pub(super) fn upstream_tls(&mut self, path: &str, tls: &schema::UpstreamTls) -> UpstreamTls {
        let ca =
            tls.ca_file.as_ref().and_then(|file| self.read_at_most(&format!("{path}/ca_file"), file, CA_FILE_BYTES));
        if tls.insecure_skip_verify && tls.ca_file.is_some() {
            self.mistake(
                &format!("{path}/insecure_skip_verify"),
                "either `ca_file` or `insecure_skip_verify`, not both",
            );
        }
        let crl =
            tls.crl_file.as_ref().and_then(|file| self.read_at_most(&format!("{path}/crl_file"), file, CRL_FILE_BYTES));
        if tls.insecure_skip_verify && tls.crl_file.is_some() {
            self.mistake(&format!("{path}/crl_file"), "with `insecure_skip_verify` nobody looks whether it is revoked");
        }
        let certificate = match (&tls.cert_file, &tls.key_file) {
            (Some(chain), Some(key)) => {
                let chain = self.read(&format!("{path}/cert_file"), chain);
                let key = self.read(&format!("{path}/key_file"), key);
                chain.zip(key).map(|(chain, key)| KeyPair { chain, key })
            }
            (None, None) => None,
            _ => {
                self.mistake(path, "`cert_file` and `key_file` go together");
                None
            }
        };
        if let Some(name) = tls.server_name.as_deref().filter(|name| ServerName::try_from(*name).is_err()) {
            let message = format!("expected a name or an IP address as on a certificate, found \"{name}\"");
            self.mistake(&format!("{path}/server_name"), message);
        }
        UpstreamTls {
            ca,
            crl,
            server_name: tls.server_name.clone(),
            certificate,
            verifies: !tls.insecure_skip_verify,
            policy: tls_policy(tls.policy),
        }
    }

    /// Whether every endpoint has a name that can be on a certificate.
    pub(super) fn names_for_tls(&mut self, path: &str, tls: &UpstreamTls, endpoints: &[Endpoint]) {
        if tls.server_name.is_some() {
            return;
        }
        for endpoint in endpoints {
            let host = &endpoint.address.host;
            if ServerName::try_from(host.as_str()).is_err() {
                self.mistake(path, format!("\"{host}\" cannot be on a certificate; `server_name` says what is"));
            }
        }
    }
}
