use std::sync::Weak;
use std::time::{Duration, Instant};

use super::listeners::{CertificateFiles, Stamps, stamps};
use super::report::tell_expiry;
use crate::config;
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::telemetry::ReloadResult;
use crate::tls::Certificate;

/// How often files are looked at. What has changed is read once it is the same at two looks: a certificate and its key are
/// two files, and whoever replaces them does so one after the other.
const EVERY: Duration = Duration::from_secs(1);
/// How often certificates are told that are about to expire.
const TELL: Duration = Duration::from_secs(24 * 3600);

/// Reads certificates again when their files have changed.
pub(in crate::control) async fn watch_certificates(control: Weak<Control>) {
    let mut told = Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(control) = control.upgrade() else { return };
        control.look_at_certificates().await;
        if told.elapsed() >= TELL {
            told = Instant::now();
            control.tell_expiring();
        }
    }
}

/// What was found of a certificate's files.
struct Found {
    files: config::Certificate,
    stamps: Stamps,
    /// None while they still change.
    read: Option<Result<Certificate, String>>,
}

impl Control {
    async fn look_at_certificates(&self) {
        let known: Vec<CertificateFiles> =
            self.lock().tls.values().flat_map(|listener| listener.files.iter().cloned()).collect();
        if known.is_empty() {
            return;
        }
        let looking = beside("looking at certificates", move || known.into_iter().filter_map(look).collect::<Vec<_>>());
        // A panic is in the log, and the certificates stay.
        let Ok(found) = looking.await else { return };
        if found.is_empty() {
            return;
        }
        let mut state = self.lock();
        for Found { files, stamps, read } in found {
            let Some(read) = read else {
                state.each_with(&files, |known| known.changing = Some(stamps));
                continue;
            };
            let file = files.cert_file.display();
            let result = match read {
                Ok(certificate) => {
                    let certificate = std::sync::Arc::new(certificate);
                    tracing::info!(%file, serial = certificate.serial, "certificate has changed, the new one is used");
                    tell_expiry(&certificate);
                    state.each_with(&files, |known| {
                        (known.certificate, known.trouble) = (certificate.clone(), None);
                    });
                    ReloadResult::Success
                }
                Err(error) => {
                    tracing::warn!(%file, "certificate has changed and cannot be used, the one before stays: {error}");
                    state.each_with(&files, |known| known.trouble = Some(error.clone()));
                    ReloadResult::Failure
                }
            };
            state.each_with(&files, |known| (known.stamps, known.changing) = (stamps, None));
            self.registry.certificate_reloaded(result);
        }
        state.offer_certificates();
    }
}

impl crate::control::state::State {
    /// Does something to these files, which several listeners may have.
    fn each_with(&mut self, files: &config::Certificate, mut of: impl FnMut(&mut CertificateFiles)) {
        let all = self.tls.values_mut().flat_map(|listener| &mut listener.files);
        all.filter(|known| known.files.is_same(files)).for_each(&mut of);
    }
}

fn look(known: CertificateFiles) -> Option<Found> {
    let stamps = stamps(&known.files);
    if stamps == known.stamps {
        return None;
    }
    let read = (known.changing == Some(stamps)).then(|| Certificate::read(&known.files));
    Some(Found { files: known.files, stamps, read })
}
