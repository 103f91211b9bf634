use crate::{ConfigErrors, Endpoints, Pick, Ready, host};

/// Consistent hashing with bounded loads (V. Mirrokni, M. Thorup, M. Zadimoghaddam, 2018): no endpoint gets more than its
/// share of the attempts under way, times a factor; a key whose endpoint is full goes on to the next one in the order
/// that the hash gives. The bound counts as in HAProxy's and Envoy's `hash_balance_factor`.
#[derive(Clone, Debug, Default)]
pub struct BoundedLoad {
    /// In percent of the mean; 0 for no bound.
    factor: u64,
    slots: Vec<u32>,
    weight: u64,
    /// Attempts under way to all endpoints, as they were last summed up.
    under_way: u64,
    picks_until_sum: usize,
}

/// Endpoints whose load is looked at one after the other; then all are.
const PROBES: usize = 32;
/// With so many endpoints their loads are summed up for every pick; with more, only once for each this many of them.
const SUMMED_AT_ONCE: usize = 64;

impl BoundedLoad {
    /// `factor` in percent of the mean load: 0 for no bound, or 100 to 10000. The error is about `/hash_balance_factor`.
    pub fn new(factor: u32) -> Result<Self, ConfigErrors> {
        if factor != 0 && !(100..=10_000).contains(&factor) {
            let message = format_args!("expected 0 (no bound) or a percentage from 100 to 10000, not {factor}");
            return Err(ConfigErrors::at("/hash_balance_factor", message));
        }
        Ok(Self { factor: factor.into(), ..Self::default() })
    }

    /// Call it whenever the endpoints change.
    pub fn update(&mut self, endpoints: &Endpoints) {
        self.picks_until_sum = 0;
        if self.factor != 0 {
            self.slots = endpoints.ready().iter().map(|e| e.slot).collect();
            self.weight = endpoints.ready().iter().map(|e| u64::from(e.weight)).sum();
        }
    }

    /// The first of `candidates` that has not been tried and is not full. `candidates` are slots of
    /// [`Endpoints::ready`] in the order that the key leads to them, repeated or not.
    #[inline]
    pub fn choose(&mut self, request: &Pick<'_>, mut candidates: impl Iterator<Item = u32>) -> Option<u32> {
        if self.factor == 0 && request.tried.is_empty() {
            return candidates.next();
        }
        self.choose_with_care(request, &mut candidates)
    }

    /// The rarer way. Not generic, so that it is compiled once and for size.
    fn choose_with_care(&mut self, request: &Pick<'_>, candidates: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        let ready = request.endpoints.ready();
        let first = candidates.next()?;
        let mut untried = std::iter::once(first).chain(candidates).filter(|slot| !request.is_tried(*slot));
        if ready.iter().all(|e| request.is_tried(e.slot)) {
            return Some(first);
        }
        if self.factor == 0 {
            return untried.next().or_else(|| ready.iter().map(|e| e.slot).find(|slot| !request.is_tried(*slot)));
        }
        self.sum_up();
        let mut seen = [0; PROBES];
        let is_ready = |slot: &&u32| ready.binary_search_by_key(*slot, |e| e.slot).is_ok();
        let left = ready.len().saturating_sub(request.tried.iter().filter(is_ready).count());
        for probe in 0..PROBES.min(left) {
            let Some(slot) = untried.find(|slot| !seen[..probe].contains(slot)) else { break };
            seen[probe] = slot;
            if self.has_room(slot, ready) {
                return Some(slot);
            }
        }
        self.lightest(request)
    }

    fn has_room(&self, slot: u32, ready: &[Ready]) -> bool {
        let endpoint = ready.binary_search_by_key(&slot, |e| e.slot).ok().and_then(|at| ready.get(at));
        endpoint.is_some_and(|endpoint| u64::from(host::in_flight(slot)) < self.room(endpoint))
    }

    fn lightest(&self, request: &Pick<'_>) -> Option<u32> {
        let ready = request.endpoints.ready();
        // The least loaded for its weight: it is not full, unless what was tried took the rest of the room.
        let loads = host::in_flight_many(&self.slots);
        let left = ready.iter().zip(&loads).filter(|(e, _)| !request.is_tried(e.slot));
        let lightest = left.min_by(|(a, load_of_a), (b, load_of_b)| {
            let left = u64::from(**load_of_a) * u64::from(b.weight);
            left.cmp(&(u64::from(**load_of_b) * u64::from(a.weight)))
        });
        lightest.map(|(endpoint, _)| endpoint.slot)
    }

    /// Attempts that the endpoint may have under way: its share of all of them and of the one to come, times the factor.
    fn room(&self, endpoint: &Ready) -> u64 {
        let all = ((self.under_way + 1) * self.factor).div_ceil(100);
        (all * u64::from(endpoint.weight)).div_ceil(self.weight.max(1))
    }

    fn sum_up(&mut self) {
        if self.picks_until_sum == 0 {
            self.under_way = host::in_flight_many(&self.slots).iter().map(|&load| u64::from(load)).sum();
            self.picks_until_sum = self.slots.len().div_ceil(SUMMED_AT_ONCE);
        }
        self.picks_until_sum = self.picks_until_sum.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{endpoints, set_in_flight};

    fn known(factor: u32, weights: &[u32]) -> (BoundedLoad, Endpoints) {
        let (mut bounded, mut known) = (BoundedLoad::new(factor).unwrap(), Endpoints::default());
        known.replace(1, endpoints(weights));
        bounded.update(&known);
        (bounded, known)
    }

    fn choose(bounded: &mut BoundedLoad, endpoints: &Endpoints, tried: &[u32], order: &[u32]) -> Option<u32> {
        let request = crate::Request::new(&[], &[]);
        let pick = Pick { key: None, keys: &[], request, attempt: 1, tried, endpoints };
        bounded.choose(&pick, order.iter().copied())
    }

    #[test]
    fn without_a_bound_the_first_untried_is_chosen() {
        let (mut bounded, known) = known(0, &[1, 1, 1]);
        set_in_flight(2, 1000);
        assert_eq!(choose(&mut bounded, &known, &[], &[2, 1, 0]), Some(2));
        assert_eq!(choose(&mut bounded, &known, &[2], &[2, 2, 1, 0]), Some(1));
        assert_eq!(choose(&mut bounded, &known, &[0, 1, 2], &[2, 1, 0]), Some(2));
        // Orders need not be complete.
        assert_eq!(choose(&mut bounded, &known, &[2], &[2]), Some(0));
        assert_eq!(choose(&mut bounded, &known, &[], &[]), None);
    }

    #[test]
    fn a_full_endpoint_gives_way_to_the_next_in_order() {
        let (mut bounded, known) = known(125, &[1, 1, 1, 1]);
        // 10 and the one to come, times 1.25, are 14 places: 4 each.
        for (slot, load) in [(0, 4), (1, 4), (2, 2), (3, 0)] {
            set_in_flight(slot, load);
        }
        assert_eq!(choose(&mut bounded, &known, &[], &[0, 1, 2, 3]), Some(2));
        assert_eq!(choose(&mut bounded, &known, &[2], &[0, 1, 2, 3]), Some(3));
        set_in_flight(0, 3);
        assert_eq!(choose(&mut bounded, &known, &[], &[0, 1, 2, 3]), Some(0));
    }

    #[test]
    fn room_follows_the_weights() {
        let (mut bounded, known) = known(100, &[3, 1]);
        // 8 with the one to come: 6 and 2 places.
        set_in_flight(0, 5);
        set_in_flight(1, 2);
        assert_eq!(choose(&mut bounded, &known, &[], &[1, 0]), Some(0));
        set_in_flight(1, 1);
        assert_eq!(choose(&mut bounded, &known, &[], &[1, 0]), Some(1));
    }

    #[test]
    fn when_the_order_is_full_the_least_loaded_is_chosen() {
        let (mut bounded, known) = known(100, &[1; 100]);
        (0..100).for_each(|slot| set_in_flight(slot, 5));
        set_in_flight(77, 1);
        let order: Vec<u32> = (0..100).collect();
        assert_eq!(choose(&mut bounded, &known, &[], &order), Some(77));
        assert_eq!(choose(&mut bounded, &known, &[77], &[77, 77]), Some(0));
    }

    #[test]
    fn factors_between_none_and_the_mean_are_refused() {
        for factor in [1, 99, 10_001, u32::MAX] {
            let errors = BoundedLoad::new(factor).unwrap_err();
            assert_eq!(errors.iter().next().unwrap().path, "/hash_balance_factor", "{factor}");
        }
        for factor in [0, 100, 125, 10_000] {
            assert!(BoundedLoad::new(factor).is_ok(), "{factor}");
        }
    }
}
