use judgement::{Ejections, Probing, in_a_row};
use plimsoll_sdk::{Outcome, OutcomeClass};

use crate::config::Rules;
use crate::origin::Origin;
use crate::statistics::Tally;

/// What is known about one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id_hash: u64,
    pub(crate) probing: Probing,
    pub(crate) ejections: Ejections,
    /// Failures in a row, by detector.
    in_a_row: InARow,
    any: Tally,
    local: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct InARow {
    server_errors: u32,
    gateway_failures: u32,
    local_failures: u32,
}

impl Record {
    pub(crate) fn new(id_hash: u64) -> Self {
        Self {
            id_hash,
            probing: Probing::default(),
            ejections: Ejections::default(),
            in_a_row: InARow::default(),
            any: Tally::default(),
            local: Tally::default(),
        }
    }

    pub(crate) fn tally(&self, origin: Origin) -> &Tally {
        match origin {
            Origin::Any => &self.any,
            Origin::Local => &self.local,
        }
    }

    /// What was counted is out of date.
    pub(crate) fn forget(&mut self) {
        self.in_a_row = InARow::default();
        self.new_interval();
    }

    pub(crate) fn new_interval(&mut self) {
        (self.any, self.local) = (Tally::default(), Tally::default());
    }

    /// Why an outcome ejects it, if it does.
    pub(crate) fn hear(&mut self, outcome: &Outcome, rules: &Rules) -> Option<String> {
        if self.ejections.is_out() {
            // What was under way when it was ejected tells nothing new.
            return None;
        }
        let status = match outcome.class {
            OutcomeClass::ClientAbort => return None,
            OutcomeClass::Success | OutcomeClass::ServerError => Some(outcome.status),
            OutcomeClass::ConnectFailure | OutcomeClass::Timeout | OutcomeClass::Reset => None,
        };
        self.local.count(status.is_some());
        if status.is_some() {
            self.in_a_row.local_failures = 0;
        } else {
            self.in_a_row.local_failures = self.in_a_row.local_failures.saturating_add(1);
            if rules.splits {
                let most = rules.local_failures.filter(|most| self.in_a_row.local_failures >= *most)?;
                return Some(in_a_row(most, "attempt", "got no answer"));
            }
        }
        // Without an answer, that is a failure of a gateway, too.
        let (error, gateway) = match outcome.class {
            OutcomeClass::Success => (false, false),
            _ => (true, status.is_none_or(|status| (502..=504).contains(&status))),
        };
        self.any.count(!error);
        let counted = |count: u32, failed: bool| if failed { count.saturating_add(1) } else { 0 };
        self.in_a_row.server_errors = counted(self.in_a_row.server_errors, error);
        self.in_a_row.gateway_failures = counted(self.in_a_row.gateway_failures, gateway);
        let InARow { server_errors, gateway_failures, .. } = self.in_a_row;
        if let Some(most) = rules.server_errors.filter(|most| server_errors >= *most) {
            return Some(in_a_row(most, "request", "failed"));
        }
        let most = rules.gateway_failures.filter(|most| gateway_failures >= *most)?;
        Some(in_a_row(most, "request", "failed as a gateway does"))
    }
}
