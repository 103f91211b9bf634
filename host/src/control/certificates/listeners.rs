use std::collections::BTreeMap;
use std::sync::Arc;

use super::ordered::Ordered;
use super::uploads::Uploads;
use crate::config::{self, AcmeNames, Config};
use crate::control::mistake::Mistake;
use crate::discovery::Stamp;
use crate::tls::{Certificate, ServerTls, Tickets};

/// How a listener speaks TLS, and where its certificates come from.
#[derive(Clone, Debug)]
pub(in crate::control) struct ListenerTls {
    pub(in crate::control) server: ServerTls,
    pub(super) files: Vec<CertificateFiles>,
    /// Those that are ordered.
    pub(super) ordered: Vec<AcmeNames>,
    /// Whether it has those that were uploaded, too.
    pub(super) uploaded: bool,
}

/// A certificate of the configuration.
#[derive(Clone, Debug)]
pub(super) struct CertificateFiles {
    pub(super) files: config::Certificate,
    /// As the files were when they were read last.
    pub(super) stamps: Stamps,
    /// As they were at the last look, if they have changed.
    pub(super) changing: Option<Stamps>,
    pub(super) certificate: Arc<Certificate>,
    /// Why the files as they are now could not be used.
    pub(super) trouble: Option<String>,
}

/// Of a certificate, its key and its answer of OCSP.
pub(super) type Stamps = [Option<Stamp>; 3];

pub(super) fn stamps(files: &config::Certificate) -> Stamps {
    [Some(Stamp::of(&files.cert_file)), Some(Stamp::of(&files.key_file)), files.ocsp_file.as_deref().map(Stamp::of)]
}

impl ListenerTls {
    /// How the listeners of a configuration speak TLS, by their names, with the files as they are now.
    pub(in crate::control) fn all_of(
        config: &Config,
        tickets: &Tickets,
    ) -> Result<BTreeMap<String, Self>, Vec<Mistake>> {
        let (mut made, mut mistakes) = (BTreeMap::new(), Vec::new());
        for listener in &config.listeners {
            let Some(tls) = &listener.tls else { continue };
            let mut files = Vec::new();
            for certificate in &tls.certificates {
                // Taken before reading: what changes meanwhile is noticed at the next look.
                let stamps = stamps(certificate);
                match Certificate::read(certificate) {
                    Ok(read) => files.push(CertificateFiles {
                        files: certificate.clone(),
                        stamps,
                        changing: None,
                        certificate: Arc::new(read),
                        trouble: None,
                    }),
                    Err(message) => mistakes.push(Mistake { pointer: certificate.pointer.clone(), message }),
                }
            }
            match ServerTls::new(tls, listener, tickets) {
                Ok(server) => {
                    made.insert(
                        listener.name.clone(),
                        Self { server, files, ordered: tls.acme.clone(), uploaded: tls.uploaded },
                    );
                }
                Err((pointer, message)) => mistakes.push(Mistake { pointer, message }),
            }
        }
        if mistakes.is_empty() { Ok(made) } else { Err(mistakes) }
    }

    /// Has its clients get what there is now.
    pub(in crate::control) fn offer(&self, ordered: &Ordered, uploads: &Uploads) {
        let files = self.files.iter().map(|files| files.certificate.clone());
        let ordered = self.ordered.iter().filter_map(|names| ordered.certificate(names));
        let uploads = uploads.certificates().filter(|_| self.uploaded);
        self.server.certificates.replace(files.chain(ordered).chain(uploads.cloned()));
    }
}
