use std::io;
use std::path::Path;
use std::sync::Arc;

use super::report::{CertificateReport, tell_expiry};
use super::uploads::{CertificateError, MOST, Uploads, is_name};
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::io::replace_private_file;
use crate::tls::Certificate;

impl Control {
    /// Takes over the certificates that a directory keeps, and keeps others there.
    pub fn open_certificates(&self, directory: &Path) {
        self.lock().uploads = Uploads::open(directory);
    }

    /// Takes a certificate with its key, in PEM, in the place of the one of this name if there is one. Handshakes that begin
    /// from now on see it. Nothing has changed when it fails.
    pub async fn put_certificate(&self, name: &str, pem: Vec<u8>) -> Result<CertificateReport, CertificateError> {
        if !is_name(name) {
            return Err(CertificateError::BadName);
        }
        let _one_at_a_time = self.changing_certificates.lock().await;
        let path = {
            let state = self.lock();
            if state.uploads.by_name.len() >= MOST && !state.uploads.by_name.contains_key(name) {
                return Err(CertificateError::TooMany);
            }
            state.uploads.file(name)
        };
        let taking = beside("keeping the certificate", move || {
            let certificate = Certificate::from_pem(&pem, &pem, None).map_err(CertificateError::Unusable)?;
            if let Some(path) = path {
                replace_private_file(&path, &pem)
                    .map_err(|error| CertificateError::Save { path: path.display().to_string(), error })?;
            }
            Ok(certificate)
        });
        let certificate = Arc::new(taking.await.map_err(CertificateError::from).flatten()?);
        tracing::info!(target: "audit", certificate = name, serial = certificate.serial, "certificate was uploaded");
        tell_expiry(&certificate);
        let mut state = self.lock();
        state.uploads.by_name.insert(name.to_owned(), certificate.clone());
        state.offer_certificates();
        Ok(state.uploaded_report(name, &certificate))
    }

    /// Forgets a certificate that was uploaded. Connections that were made with it go on.
    pub async fn remove_certificate(&self, name: &str) -> Result<(), CertificateError> {
        let _one_at_a_time = self.changing_certificates.lock().await;
        let path = {
            let state = self.lock();
            if !state.uploads.by_name.contains_key(name) {
                return Err(CertificateError::Unknown(name.to_owned()));
            }
            state.uploads.file(name)
        };
        if let Some(path) = path {
            let shown = path.display().to_string();
            let removing = beside("removing the certificate", move || std::fs::remove_file(path));
            match removing.await? {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CertificateError::Save { path: shown, error });
                }
                _ => {}
            }
        }
        let mut state = self.lock();
        state.uploads.by_name.remove(name);
        state.offer_certificates();
        tracing::info!(target: "audit", certificate = name, "certificate was removed");
        Ok(())
    }
}
