use std::sync::Arc;
use std::time::Instant;

use plimsoll_resilience::{Concurrency, Terms};

use crate::config;
use crate::snapshot::{UnderWay, Waiting};

/// How many attempts may be under way at a cluster, where that is found by how long answers take.
#[derive(Clone, Debug)]
pub(super) struct Adaptation {
    terms: Terms,
    began: Instant,
    found: Concurrency,
}

impl Adaptation {
    /// That of a cluster, which goes on with what was found `before` on the same terms.
    pub(super) fn of(config: &config::Cluster, before: Option<&Self>) -> Option<Self> {
        let terms = config.adaptive_concurrency?;
        let before = before.filter(|before| before.terms == terms).cloned();
        Some(before.unwrap_or_else(|| Self { terms, began: Instant::now(), found: Concurrency::new(terms) }))
    }

    pub(super) fn limit(&self) -> u32 {
        self.found.limit()
    }

    /// Puts the limit into force.
    pub(super) fn enforce(&self, under_way: &UnderWay) {
        under_way.adaptive.set(self.limit());
    }

    /// Looks at what workers have shown. Where the limit grows, those who wait hear of it.
    pub(super) fn follow(&mut self, under_way: &Arc<UnderWay>, waiting: &Waiting) {
        let before = self.limit();
        self.found.hear(self.began.elapsed(), &under_way.heard(), || fastrand::u64(..));
        self.enforce(under_way);
        if self.limit() > before {
            waiting.offer();
        }
    }
}
