use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::state::{Control, State};
use crate::telemetry::CertificateSample;
use crate::tls::{Certificate, unix_seconds};

/// A certificate that listeners have.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct CertificateReport {
    /// By which it was uploaded, or the file that it is in.
    pub name: String,
    /// `file` or `uploaded`.
    pub source: String,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    pub subject: String,
    pub issuer: String,
    /// Hexadecimal.
    pub serial: String,
    pub not_before_unix_seconds: i64,
    pub not_after_unix_seconds: i64,
    /// Whether it is so now.
    pub valid: bool,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    /// The listeners that offer it.
    pub listeners: Vec<String>,
    /// Why its files as they are now could not be used; this is the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What expires within this time is told.
const SOON_SECONDS: i64 = 14 * DAY_SECONDS;
const DAY_SECONDS: i64 = 24 * 3600;

impl CertificateReport {
    fn new(name: String, source: &str, certificate: &Certificate) -> Self {
        let addresses = certificate.addresses.iter().map(ToString::to_string);
        Self {
            name,
            source: source.to_owned(),
            names: certificate.names.iter().map(ToString::to_string).chain(addresses).collect(),
            subject: certificate.subject.clone(),
            issuer: certificate.issuer.clone(),
            serial: certificate.serial.clone(),
            not_before_unix_seconds: certificate.not_before,
            not_after_unix_seconds: certificate.not_after,
            valid: certificate.is_valid_at(unix_seconds()),
            fingerprint: certificate.fingerprint.clone(),
            listeners: Vec::new(),
            trouble: None,
        }
    }
}

impl State {
    pub(super) fn uploaded_report(&self, name: &str, certificate: &Certificate) -> CertificateReport {
        let mut report = CertificateReport::new(name.to_owned(), "uploaded", certificate);
        let takes_it = self.tls.iter().filter(|(_, listener)| listener.uploaded);
        report.listeners = takes_it.map(|(name, _)| name.clone()).collect();
        report
    }

    fn certificates(&self) -> Vec<Arc<Certificate>> {
        let files = self.tls.values().flat_map(|listener| &listener.files).map(|files| &files.certificate);
        files.chain(self.uploads.certificates()).cloned().collect()
    }
}

impl Control {
    /// All certificates: those of files first, then those that were uploaded.
    pub fn certificates(&self) -> Vec<CertificateReport> {
        let state = self.lock();
        // Several listeners may have the same, and while a file changes not the same of it.
        let mut files: BTreeMap<(String, String), CertificateReport> = BTreeMap::new();
        for (listener, tls) in &state.tls {
            for known in &tls.files {
                let name = known.files.cert_file.display().to_string();
                let key = (name.clone(), known.certificate.fingerprint.clone());
                let new = || CertificateReport::new(name, "file", &known.certificate);
                let report = files.entry(key).or_insert_with(new);
                report.trouble.clone_from(&known.trouble);
                if !report.listeners.contains(listener) {
                    report.listeners.push(listener.clone());
                }
            }
        }
        let uploads = state.uploads.by_name.iter().map(|(name, certificate)| state.uploaded_report(name, certificate));
        files.into_values().chain(uploads).collect()
    }

    /// What a scrape shows of them.
    pub(in crate::control) fn certificate_samples(&self) -> Vec<CertificateSample> {
        let sample = |certificate: Arc<Certificate>| CertificateSample {
            name: certificate.name().to_owned(),
            serial: certificate.serial.clone(),
            not_after: certificate.not_after,
        };
        self.lock().certificates().into_iter().map(sample).collect()
    }

    /// Warns of those that have expired or soon will.
    pub(in crate::control) fn tell_expiring(&self) {
        let certificates = self.lock().certificates();
        certificates.iter().for_each(|certificate| tell_expiry(certificate));
    }
}

pub(super) fn tell_expiry(certificate: &Certificate) {
    let left = certificate.not_after.saturating_sub(unix_seconds());
    let (name, serial) = (certificate.name(), &certificate.serial);
    if left <= 0 {
        tracing::warn!(name, serial, "certificate has expired, {} days ago", -left / DAY_SECONDS);
    } else if left < SOON_SECONDS {
        tracing::warn!(name, serial, "certificate expires in {} days", left / DAY_SECONDS);
    }
}
