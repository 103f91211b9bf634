use std::sync::Arc;

use crate::snapshot::{Change, EndpointSet};

/// How late a change of availability, weight or ramp may be told, in milliseconds.
const LATE_MS: u64 = 1000;

/// The endpoints of a cluster, as they are and as its evaluator knows them. Evaluators are told them whole, and most changes follow
/// from what they have said themselves: so they hear of those together, now and then, and at once only of other members. Otherwise
/// thousands of endpoints would be told again for each of them that fails.
#[derive(Debug, Default)]
pub(super) struct Telling {
    latest: Arc<EndpointSet>,
    told: Arc<EndpointSet>,
    told_ms: u64,
    /// Members have come, gone or moved since.
    has_others: bool,
}

impl Telling {
    pub(super) fn note(&mut self, endpoints: &Arc<EndpointSet>) {
        self.latest = endpoints.clone();
        let changes = endpoints.changes_since(&self.told);
        self.has_others = changes.iter().any(|change| matches!(change, Change::Put(_) | Change::Removed(_)));
    }

    /// What the evaluator is to be told before it is asked now, and then counts as told.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<Arc<EndpointSet>> {
        let is_new = self.told.generation() != self.latest.generation();
        if !is_new || !self.has_others && now_ms.saturating_sub(self.told_ms) < LATE_MS {
            return None;
        }
        self.told = self.latest.clone();
        (self.told_ms, self.has_others) = (now_ms, false);
        Some(self.told.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Availability, Endpoint, test_endpoint};

    fn set(generation: u64, endpoints: &[&Endpoint]) -> Arc<EndpointSet> {
        Arc::new(EndpointSet::new(generation, endpoints.iter().map(|endpoint| Arc::new((*endpoint).clone()))))
    }

    #[test]
    fn members_are_told_at_once_and_how_they_are_within_a_second() {
        let (one, other) = (test_endpoint(0, "one"), test_endpoint(1, "other"));
        let out = Endpoint { availability: Availability::Unavailable, ..one.clone() };
        let mut telling = Telling::default();
        let generation = |telling: &mut Telling, now_ms| telling.due(now_ms).map(|set| set.generation());
        telling.note(&set(1, &[&one]));
        assert_eq!(generation(&mut telling, 0), Some(1));
        assert_eq!(generation(&mut telling, 5000), None, "it knows");
        telling.note(&set(2, &[&out]));
        assert_eq!(generation(&mut telling, 5001), Some(2), "nothing was told for a while");
        telling.note(&set(3, &[&one]));
        telling.note(&set(4, &[&out]));
        assert_eq!(generation(&mut telling, 5999), None);
        telling.note(&set(5, &[&out, &other]));
        assert_eq!(generation(&mut telling, 5999), Some(5));
        telling.note(&set(6, &[&one, &other]));
        assert_eq!([5999, 6998, 6999].map(|now| generation(&mut telling, now)), [None, None, Some(6)]);
    }

    #[test]
    fn who_has_come_and_gone_meanwhile_need_not_be_told() {
        let (one, other) = (test_endpoint(0, "one"), test_endpoint(1, "other"));
        let mut telling = Telling::default();
        telling.note(&set(1, &[&one]));
        assert!(telling.due(0).is_some());
        telling.note(&set(2, &[&one, &other]));
        telling.note(&set(3, &[&one]));
        assert!(telling.due(0).is_none());
    }
}
