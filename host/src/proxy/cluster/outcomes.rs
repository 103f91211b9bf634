//! What becomes of a cluster's attempts: counted now, and told to plugins in batches.

use std::rc::Rc;
use std::time::Duration;

use plimsoll_fields::Fields;

use super::Cluster;
use crate::proxy::context::{BATCH, Context, Gathering, OutcomeBatch};
use crate::proxy::load_report;
use crate::snapshot::{Outcome, OutcomeClass};
use crate::telemetry::{AttemptOutcome, LoadReportResult};
use crate::timer::now_ms;
use crate::upstream::LocalEndpoint;

impl Cluster {
    /// Notes what became of an attempt: in the counters now, for the plugins in a batch.
    pub(in crate::proxy) fn note(self: &Rc<Self>, context: &Context, local: &LocalEndpoint, outcome: Outcome) {
        let counters = &local.endpoint.counters;
        if outcome.class.is_failure() {
            counters.count_failure();
        }
        self.shard.attempt(attempt_label(outcome.class));
        if self.config.adaptive_concurrency.is_some() {
            self.show(&outcome);
        }
        if outcome.first_byte_us > 0 {
            counters.sample_first_byte(outcome.first_byte_us);
            self.shard.first_byte(Duration::from_micros(outcome.first_byte_us.into()));
        }
        if !(self.tells_balancer.get() || self.tells_health) {
            return;
        }
        let gathered = {
            let mut outcomes = self.outcomes.borrow_mut();
            outcomes.push(outcome);
            outcomes.len()
        };
        if gathered == 1 {
            context.gathers(self.clone());
        } else if gathered >= BATCH {
            self.tell_outcomes(context);
        }
    }

    /// Shows by what the bound of attempts is found. Errors may be quick for want of work.
    fn show(&self, outcome: &Outcome) {
        match outcome.class {
            OutcomeClass::Success if outcome.first_byte_us > 0 => {
                self.under_way.adaptive.answered(outcome.first_byte_us);
            }
            OutcomeClass::Timeout => self.under_way.adaptive.answered(outcome.total_us),
            _ => {}
        }
    }

    /// Takes what an endpoint says of its load out of the fields of its answer.
    pub(in crate::proxy) fn note_load(&self, local: &LocalEndpoint, headers: &mut Fields) {
        match load_report::take(headers) {
            Ok(None) => {}
            Ok(Some(report)) => {
                local.endpoint.counters.report(report, now_ms());
                self.shard.load_report(LoadReportResult::Taken);
            }
            Err(load_report::Malformed) => self.shard.load_report(LoadReportResult::Malformed),
        }
    }
}

impl Gathering for Cluster {
    fn tell_outcomes(&self, context: &Context) {
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        if outcomes.is_empty() {
            return;
        }
        if self.tells_balancer.get() {
            self.balancing.outcomes(&outcomes);
        }
        if self.tells_health {
            context.tell(OutcomeBatch { cluster: self.name.clone(), outcomes });
        }
    }
}

fn attempt_label(class: OutcomeClass) -> AttemptOutcome {
    match class {
        OutcomeClass::Success => AttemptOutcome::Success,
        OutcomeClass::ServerError => AttemptOutcome::ServerError,
        OutcomeClass::ConnectFailure => AttemptOutcome::ConnectFailure,
        OutcomeClass::Timeout => AttemptOutcome::Timeout,
        OutcomeClass::Reset => AttemptOutcome::Reset,
        OutcomeClass::ClientAbort => AttemptOutcome::ClientAbort,
    }
}
