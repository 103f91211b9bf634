use plimsoll_resilience::{Backoff, Budget, Conditions, Policy};

use super::Checker;
use crate::config::model::Retries;
use crate::config::schema;
use crate::config::schema::RetryOn;

const MOST_BODY_BYTES: u64 = 1 << 20;

impl Checker<'_> {
    pub(super) fn retries(&mut self, path: &str, retries: schema::Retries) -> Retries {
        let bytes = retries.body_bytes.0;
        if bytes > MOST_BODY_BYTES {
            self.mistake(&format!("{path}/body_bytes"), format!("expected up to 1MiB, found {bytes} bytes"));
        }
        let backoff = Backoff { base: retries.backoff.base.0, max: retries.backoff.max.0 };
        if backoff.base > backoff.max {
            self.mistake(&format!("{path}/backoff/max"), "expected no less than `base`");
        }
        let policy = Policy {
            on: conditions(&retries),
            non_idempotent: retries.non_idempotent,
            backoff,
            hedge_after: self.timeout(&format!("{path}/hedge_after"), retries.hedge_after),
            longest_pause: retries.max_retry_after.0,
            budget: Budget { percent: retries.budget.percent, min: retries.budget.min },
        };
        Retries { policy, body_bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
    }
}

fn conditions(retries: &schema::Retries) -> Conditions {
    let on = |kind| retries.on.contains(&kind);
    let mut statuses = retries.statuses.clone();
    if on(RetryOn::GatewayError) {
        statuses.extend([502, 503, 504]);
    }
    if on(RetryOn::ServerError) {
        statuses.extend(500..600);
    }
    Conditions {
        connect: on(RetryOn::ConnectFailure),
        refused: on(RetryOn::RefusedStream),
        reset: on(RetryOn::Reset),
        timeout: on(RetryOn::Timeout),
        malformed: on(RetryOn::Malformed),
        statuses: statuses.into(),
        grpc: retries.grpc_statuses.iter().map(|status| *status as u16).collect(),
    }
}
