use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::kept;
use super::ordered::PreparedOrders;
use super::ordering::keep_ordered;
use super::report::CertificateReport;
use super::uploads::CertificateError;
use crate::acme::Authority;
use crate::config::{AcmeNames, Config};
use crate::control::mistake::Mistake;
use crate::control::state::{Control, State};
use crate::control::task::Task;

impl Control {
    /// Orders from now on what was prepared.
    pub(in crate::control) fn go_over_to_orders(self: &Arc<Self>, state: &mut State, prepared: PreparedOrders) {
        state.ordered.go_over_to(prepared, |authority, names, wanted_now| {
            Task::spawn(keep_ordered(Arc::downgrade(self), authority, names, wanted_now))
        });
    }

    /// What a configuration orders. Reads what is kept of it.
    pub(in crate::control) fn prepare_orders(&self, config: &Config) -> Result<PreparedOrders, Vec<Mistake>> {
        let tls = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let wanted: BTreeSet<AcmeNames> = tls.flat_map(|tls| tls.acme.iter().cloned()).collect();
        let Some(acme) = config.acme.as_ref().filter(|_| !wanted.is_empty()) else {
            return Ok(PreparedOrders::default());
        };
        let (directory, live) = {
            let state = self.lock();
            (state.uploads.directory().map(Path::to_owned), state.ordered.authority.clone())
        };
        let directory = match directory {
            Some(directory) => directory,
            // A check orders nothing.
            None if self.workers.is_empty() => PathBuf::new(),
            None => {
                let message = "there is no directory that certificates could be kept in, since this proxy was started without \
                               one";
                return Err(vec![Mistake { pointer: "/certificates_dir".to_owned(), message: message.to_owned() }]);
            }
        };
        let authority = match live.filter(|live| live.config() == acme) {
            Some(live) => live,
            None => Arc::new(
                Authority::new(acme.clone(), &directory, self.challenges.clone())
                    .map_err(|message| vec![Mistake { pointer: "/acme/ca_file".to_owned(), message }])?,
            ),
        };
        let kept = wanted.into_iter().map(|names| {
            let kept = kept::read(authority.directory(), &names);
            (names, kept)
        });
        let kept = kept.collect();
        Ok(PreparedOrders { authority: Some(authority), kept })
    }

    /// Orders a certificate now, whatever is known of when that is to be. `name` is what it is called in
    /// [`Control::certificates`].
    pub fn renew_certificate(&self, name: &str) -> Result<CertificateReport, CertificateError> {
        let state = self.lock();
        let found = state.ordered.by_names.iter().find(|(names, _)| names.to_string() == name);
        let Some((names, order)) = found else { return Err(CertificateError::NotOrdered(name.to_owned())) };
        if !order.is_under_way {
            tracing::info!(target: "audit", %names, "certificate is ordered on demand");
            order.wanted_now.notify_one();
        }
        Ok(state.ordered_report(names, order))
    }
}
