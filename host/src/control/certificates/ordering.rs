use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::kept::{self, Trouble};
use super::report::tell_expiry;
use crate::acme::{Authority, Failure, Issued, Renewal, backoff};
use crate::config::{AcmeNames, Challenge};
use crate::control::beside::beside;
use crate::control::state::Control;
use crate::telemetry::AcmeOrder;
use crate::tls::{Certificate, unix_seconds};

/// Longest wait that an authority can impose.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// What was just issued is not renewed sooner, whatever clocks and authorities say, unless its lifetime is short.
const PAUSE: Duration = Duration::from_secs(3600);

/// Sees to it that there is a certificate for these names, for as long as it is polled.
pub(super) async fn keep_ordered(
    control: Weak<Control>,
    authority: Arc<Authority>,
    names: AcmeNames,
    wanted_now: Arc<Notify>,
) {
    let mut pause = Duration::ZERO;
    loop {
        let Some((certificate, trouble, renewal)) = control.upgrade().and_then(|control| control.known_of(&names))
        else {
            return;
        };
        let wait = match (certificate, trouble) {
            (_, Some(trouble)) => seconds_until(trouble.retry_at),
            (None, None) => Duration::ZERO,
            (Some(certificate), None) => {
                let renewal = authority.renewal(&certificate, renewal.and_then(|renewal| renewal.window)).await;
                let Some(control) = control.upgrade() else { return };
                control.note_renewal(&names, renewal);
                let wait = renewal.due_in().unwrap_or_default().max(std::mem::take(&mut pause));
                if wait > renewal.look_again {
                    drop(control);
                    if tokio::time::timeout(renewal.look_again, wanted_now.notified()).await.is_err() {
                        continue;
                    }
                    Duration::ZERO
                } else {
                    wait
                }
            }
        };
        // Either is a reason to order.
        let _ = tokio::time::timeout(wait, wanted_now.notified()).await;
        let Some(control) = control.upgrade() else { return };
        if control.is_draining() {
            return;
        }
        pause = control.order(&authority, &names).await;
    }
}

fn seconds_until(at: i64) -> Duration {
    Duration::from_secs(u64::try_from(at.saturating_sub(unix_seconds())).unwrap_or_default())
}

type Known = (Option<Arc<Certificate>>, Option<Trouble>, Option<Renewal>);

impl Control {
    fn known_of(&self, names: &AcmeNames) -> Option<Known> {
        let state = self.lock();
        let order = state.ordered.by_names.get(names)?;
        Some((order.certificate.clone(), order.trouble.clone(), order.renewal))
    }

    fn note_renewal(&self, names: &AcmeNames, renewal: Renewal) {
        if let Some(order) = self.lock().ordered.by_names.get_mut(names) {
            order.renewal = Some(renewal);
        }
    }

    /// Orders a certificate once. Answers how long what was issued is left alone at the least.
    async fn order(&self, authority: &Arc<Authority>, names: &AcmeNames) -> Duration {
        let (before, failures) = {
            let mut state = self.lock();
            let Some(order) = state.ordered.by_names.get_mut(names) else { return Duration::ZERO };
            order.is_under_way = true;
            (order.certificate.clone(), order.trouble.as_ref().map_or(0, |trouble| trouble.failures))
        };
        let challenges = &authority.config().challenges;
        let turn = failures as usize % challenges.len().max(1);
        let challenge = challenges.get(turn).copied().unwrap_or(Challenge::TlsAlpn01);
        let directory = &authority.config().directory;
        tracing::info!(%names, directory, challenge = challenge.as_str(), "ordering a certificate");
        let issued = authority.order(names, challenge, before.as_deref()).await;
        let taken = match issued {
            Ok(issued) => take(authority, names, issued).await,
            Err(failure) => Err(failure),
        };
        match taken {
            Ok(certificate) => self.issued(names, certificate),
            Err(failure) => {
                let trouble = trouble_of(&failure, failures.saturating_add(1), challenges.len());
                let (authority, of, kept) = (authority.clone(), names.clone(), trouble.clone());
                let writing = move || kept::write_trouble(authority.directory(), &of, &kept);
                if let Ok(Err(error)) = beside("keeping what went wrong", writing).await {
                    tracing::warn!("keeping what went wrong with an order failed: {error}");
                }
                self.not_issued(names, &failure, trouble);
                Duration::ZERO
            }
        }
    }

    fn issued(&self, names: &AcmeNames, certificate: Arc<Certificate>) -> Duration {
        self.registry.acme_ordered(AcmeOrder::Success);
        let left = certificate.not_after.saturating_sub(unix_seconds());
        tracing::info!(%names, serial = certificate.serial, "certificate was issued, good for {} h", left / 3600);
        let mut state = self.lock();
        if let Some(order) = state.ordered.by_names.get_mut(names) {
            order.certificate = Some(certificate);
            (order.trouble, order.renewal, order.is_under_way) = (None, None, false);
        }
        state.offer_certificates();
        Duration::from_secs(u64::try_from(left / 4).unwrap_or_default()).min(PAUSE)
    }

    fn not_issued(&self, names: &AcmeNames, failure: &Failure, trouble: Trouble) {
        self.registry.acme_ordered(if failure.is_rate_limited { AcmeOrder::RateLimited } else { AcmeOrder::Failure });
        let (seconds, failures) = (seconds_until(trouble.retry_at).as_secs(), trouble.failures);
        let mut state = self.lock();
        let Some(order) = state.ordered.by_names.get_mut(names) else { return };
        (order.is_under_way, order.trouble) = (false, Some(trouble));
        match &order.certificate {
            Some(certificate) => {
                tracing::warn!(%names, failures, "no certificate, tried again in {seconds} s, the one before stays: {failure}");
                tell_expiry(certificate);
            }
            None => tracing::error!(%names, failures, "no certificate, tried again in {seconds} s: {failure}"),
        }
    }
}

/// What a failure comes to, of so many in a row.
fn trouble_of(failure: &Failure, failures: u32, challenges: usize) -> Trouble {
    let own = backoff(failures, challenges);
    let imposed = failure.retry_after.unwrap_or_default().min(LONGEST_WAIT);
    let wait = i64::try_from(own.max(imposed).as_secs()).unwrap_or(i64::MAX);
    let retry_at = unix_seconds().saturating_add(wait);
    Trouble { message: failure.message.clone(), failures, retry_at, is_imposed: imposed > own }
}

/// Keeps what was issued.
async fn take(authority: &Arc<Authority>, names: &AcmeNames, issued: Issued) -> Result<Arc<Certificate>, Failure> {
    let (authority, names) = (authority.clone(), names.clone());
    let writing = beside("keeping the certificate", move || kept::write(authority.directory(), &names, &issued));
    let written = writing.await.map_err(|panicked| Failure::new(panicked.to_string()))?;
    written.map(Arc::new).map_err(Failure::new)
}
