use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The roots that the system trusts, read once they are wanted.
#[derive(Debug, Default)]
pub struct SystemRoots(Option<Arc<RootCertStore>>);

impl SystemRoots {
    pub(super) fn read(&mut self) -> Result<Arc<RootCertStore>, String> {
        if let Some(roots) = &self.0 {
            return Ok(roots.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (read, _unusable) = roots.add_parsable_certificates(found.certs);
        if read == 0 {
            let causes: Vec<String> = found.errors.iter().map(|error| format!(" ({error})")).collect();
            return Err(format!(
                "this system has no root certificates{}; the package `ca-certificates` brings them, or `ca_file` names \
                 others",
                causes.concat()
            ));
        }
        Ok(self.0.insert(Arc::new(roots)).clone())
    }
}

/// All certificates of a text in PEM as roots.
pub(super) fn roots_in(pem: &str) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("a certificate cannot be read: {error}"))?;
        roots.add(certificate).map_err(|error| format!("a certificate cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("the file has no certificate in PEM (`-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(Arc::new(roots))
}
