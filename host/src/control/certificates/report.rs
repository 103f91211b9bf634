use std::collections::BTreeMap;
use std::sync::Arc;

use super::ordered::Order;
use crate::config::AcmeNames;
use crate::control::state::{Control, State};
use crate::telemetry::CertificateSample;
use crate::tls::{Certificate, unix_seconds};

/// A certificate that listeners have.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct CertificateReport {
    /// By which it was uploaded, the file that it is in, or the names that it is ordered for, separated by commas.
    pub name: String,
    /// `file`, `acme` or `uploaded`.
    pub source: String,
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// This and what follows of it is not there before a certificate that is ordered has been issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before_unix_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after_unix_seconds: Option<i64>,
    /// SHA-256, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Whether there is one that is valid now.
    pub valid: bool,
    /// The listeners that offer it.
    pub listeners: Vec<String>,
    /// Why its files as they are now could not be used, or why the last order came to nothing; this is the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Of one that is ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<OrderReport>,
}

/// How a certificate is ordered.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct OrderReport {
    /// URL of the authority.
    pub directory: String,
    /// Whether it is being ordered now.
    pub under_way: bool,
    /// When it is renewed, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renews_at_unix_seconds: Option<i64>,
    /// Whether that is what the authority says (ARI).
    pub renews_by_authority: bool,
    /// Orders in a row that came to nothing.
    pub failures: u32,
    /// When the next one begins after these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries_at_unix_seconds: Option<i64>,
}

/// What expires within this time is told.
const SOON_SECONDS: i64 = 14 * DAY_SECONDS;
const DAY_SECONDS: i64 = 24 * 3600;

impl CertificateReport {
    fn new(name: String, source: &str, certificate: &Certificate) -> Self {
        let addresses = certificate.addresses.iter().map(ToString::to_string);
        Self {
            names: certificate.names.iter().map(ToString::to_string).chain(addresses).collect(),
            subject: Some(certificate.subject.clone()),
            issuer: Some(certificate.issuer.clone()),
            serial: Some(certificate.serial.clone()),
            not_before_unix_seconds: Some(certificate.not_before),
            not_after_unix_seconds: Some(certificate.not_after),
            fingerprint: Some(certificate.fingerprint.clone()),
            valid: certificate.is_valid_at(unix_seconds()),
            ..Self::of_none(name, source, &[])
        }
    }

    /// Of one that is not there yet.
    fn of_none(name: String, source: &str, names: &[String]) -> Self {
        Self {
            name,
            source: source.to_owned(),
            names: names.to_vec(),
            subject: None,
            issuer: None,
            serial: None,
            not_before_unix_seconds: None,
            not_after_unix_seconds: None,
            fingerprint: None,
            valid: false,
            listeners: Vec::new(),
            trouble: None,
            acme: None,
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

    pub(super) fn ordered_report(&self, names: &AcmeNames, order: &Order) -> CertificateReport {
        let name = names.to_string();
        let mut report = match &order.certificate {
            Some(certificate) => CertificateReport::new(name, "acme", certificate),
            None => CertificateReport::of_none(name, "acme", &names.0),
        };
        let has_it = self.tls.iter().filter(|(_, listener)| listener.ordered.contains(names));
        report.listeners = has_it.map(|(name, _)| name.clone()).collect();
        let trouble = order.trouble.as_ref();
        report.trouble = trouble.map(|trouble| trouble.message.clone());
        report.acme = self.ordered.authority.as_ref().map(|authority| OrderReport {
            directory: authority.config().directory.clone(),
            under_way: order.is_under_way,
            renews_at_unix_seconds: order.renewal.map(|renewal| renewal.at),
            renews_by_authority: order.renewal.is_some_and(|renewal| renewal.window.is_some()),
            failures: trouble.map_or(0, |trouble| trouble.failures),
            retries_at_unix_seconds: trouble.map(|trouble| trouble.retry_at),
        });
        report
    }

    fn certificates(&self) -> Vec<Arc<Certificate>> {
        let files = self.tls.values().flat_map(|listener| &listener.files).map(|files| &files.certificate);
        files.chain(self.ordered.certificates()).chain(self.uploads.certificates()).cloned().collect()
    }
}

impl Control {
    /// All certificates: those of files first, then those that are ordered, then those that were uploaded.
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
        let ordered = state.ordered.by_names.iter().map(|(names, order)| state.ordered_report(names, order));
        files.into_values().chain(ordered).chain(uploads).collect()
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
