use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use plimsoll_model::LoadReport;

/// The last report of an endpoint. Its parts are stored one by one: a reader may see parts of two reports, which were
/// true within moments of each other.
#[derive(Debug, Default)]
pub(super) struct LastReport {
    cpu: AtomicU32,
    memory: AtomicU32,
    utilization: AtomicU32,
    requests_per_second: AtomicU32,
    errors_per_second: AtomicU32,
    /// 0 before the first.
    at_ms: AtomicU64,
}

impl LastReport {
    pub(super) fn store(&self, report: LoadReport, now_ms: u64) {
        self.cpu.store(report.cpu, Ordering::Relaxed);
        self.memory.store(report.memory, Ordering::Relaxed);
        self.utilization.store(report.utilization, Ordering::Relaxed);
        self.requests_per_second.store(report.requests_per_second, Ordering::Relaxed);
        self.errors_per_second.store(report.errors_per_second, Ordering::Relaxed);
        self.at_ms.store(now_ms.max(1), Ordering::Release);
    }

    pub(super) fn load(&self) -> Option<(LoadReport, u64)> {
        let at_ms = self.at_ms.load(Ordering::Acquire);
        if at_ms == 0 {
            return None;
        }
        let report = LoadReport {
            cpu: self.cpu.load(Ordering::Relaxed),
            memory: self.memory.load(Ordering::Relaxed),
            utilization: self.utilization.load(Ordering::Relaxed),
            requests_per_second: self.requests_per_second.load(Ordering::Relaxed),
            errors_per_second: self.errors_per_second.load(Ordering::Relaxed),
        };
        Some((report, at_ms))
    }
}

/// What endpoints say under names of their own, in thousandths.
pub type Named = Vec<(Box<str>, u64)>;

/// All that an endpoint says with an answer, or to a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    pub load: LoadReport,
    /// Whatever else.
    pub named: Named,
}

/// What an endpoint said last under names of its own. Those of one report take the place of those before. Readers wait for
/// nobody.
#[derive(Debug, Default)]
pub(super) struct NamedMetrics(ArcSwapOption<Named>);

/// Most names of an endpoint; further ones are left out.
const MOST_NAMED_METRICS: usize = 32;

impl NamedMetrics {
    pub(super) fn store(&self, mut metrics: Named) {
        if metrics.is_empty() && self.0.load().is_none() {
            return;
        }
        metrics.truncate(MOST_NAMED_METRICS);
        self.0.store((!metrics.is_empty()).then(|| Arc::new(metrics)));
    }

    pub(super) fn all(&self) -> Option<Arc<Named>> {
        self.0.load_full()
    }

    pub(super) fn get(&self, name: &str) -> Option<u64> {
        let metrics = self.0.load();
        metrics.as_ref()?.iter().find(|(known, _)| **known == *name).map(|(_, value)| *value)
    }
}
