use plimsoll_sdk::host::LoadReport;

/// When a weight counts, in milliseconds, and how much errors do.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) blackout_ms: u64,
    pub(crate) expiration_ms: u64,
    pub(crate) penalty: f64,
}

/// What an endpoint can take by its reports.
#[derive(Debug)]
pub(crate) struct Weight {
    pub(crate) slot: u32,
    pub(crate) id_hash: u64,
    value: f64,
    updated_ms: u64,
    /// Since when there have been reports; none while there are none.
    reports_since_ms: Option<u64>,
}

impl Weight {
    pub(crate) fn new(slot: u32, id_hash: u64) -> Self {
        Self { slot, id_hash, value: 0.0, updated_ms: 0, reports_since_ms: None }
    }

    /// Takes the last report in. One that says nothing of requests or utilization changes nothing.
    pub(crate) fn update(&mut self, terms: &Terms, now_ms: u64, report: Option<LoadReport>) {
        let Some(report) = report else { return };
        let reported_ms = now_ms.saturating_sub(report.age_ms.into());
        let old = u64::from(report.age_ms) >= terms.expiration_ms;
        let Some(value) = value(terms, &report).filter(|_| !old) else { return };
        if self.reports_since_ms.is_none() || now_ms.saturating_sub(self.updated_ms) >= terms.expiration_ms {
            self.reports_since_ms = Some(reported_ms);
        }
        self.updated_ms = reported_ms;
        self.value = value;
    }

    /// None while it does not count.
    pub(crate) fn get(&self, terms: &Terms, now_ms: u64) -> Option<f64> {
        let since_ms = self.reports_since_ms?;
        let fresh = now_ms.saturating_sub(self.updated_ms) < terms.expiration_ms;
        let proven = now_ms.saturating_sub(since_ms) >= terms.blackout_ms;
        (fresh && proven).then_some(self.value)
    }
}

/// Requests a second for each unit of utilization, to which the share of errors is added.
fn value(terms: &Terms, report: &LoadReport) -> Option<f64> {
    let utilization = if report.utilization > 0 { report.utilization } else { report.cpu };
    if utilization == 0 || report.requests_per_second == 0 {
        return None;
    }
    let requests = f64::from(report.requests_per_second);
    let errors = f64::from(report.errors_per_second) / requests;
    Some(requests / (f64::from(utilization) / 1000.0 + errors * terms.penalty))
}
