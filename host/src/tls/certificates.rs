use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::config;

/// The certificates of a listener, by the names that they are for (RFC 6066 section 3): the exact name, then the wildcard
/// (RFC 9525 section 6.3), then the first one of the configuration. Of two for one name the first counts.
#[derive(Debug)]
pub(super) struct Certificates {
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl Certificates {
    /// Reads all of them. Fails with what is wrong, and with which (JSON Pointer).
    pub(super) fn read(
        certificates: &[config::Certificate],
        provider: &CryptoProvider,
    ) -> Result<Self, Vec<(String, String)>> {
        let (mut by_name, mut default, mut mistakes) = (HashMap::new(), None, Vec::new());
        for certificate in certificates {
            match read(certificate, provider) {
                Ok((key, names)) => {
                    for name in names {
                        by_name.entry(name).or_insert_with(|| key.clone());
                    }
                    default.get_or_insert(key);
                }
                Err(message) => mistakes.push((certificate.pointer.clone(), message)),
            }
        }
        match default {
            Some(default) if mistakes.is_empty() => Ok(Self { by_name, default }),
            _ => Err(mistakes),
        }
    }

    fn for_name(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return &self.default };
        let wildcard = || self.by_name.get(format!("*.{}", name.split_once('.')?.1).as_str());
        self.by_name.get(name.as_str()).or_else(wildcard).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.for_name(hello.server_name()).clone())
    }
}

/// A certificate with its key, and the names that it is for, in lower case.
fn read(
    certificate: &config::Certificate,
    provider: &CryptoProvider,
) -> Result<(Arc<CertifiedKey>, Vec<Box<str>>), String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let Some(leaf) = chain.first() else {
        return Err("the certificate file has no certificate in PEM (`-----BEGIN CERTIFICATE-----`)".into());
    };
    let names = EndEntityCert::try_from(leaf)
        .map_err(|error| format!("the certificate cannot be used: {error}"))?
        .valid_dns_names()
        .map(|name| name.to_ascii_lowercase().into())
        .collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())
        .map_err(|error| format!("the key file has no private key in PEM that can be read: {error}"))?;
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        error => format!("the key cannot be used: {error}"),
    })?;
    Ok((Arc::new(key), names))
}
