use crate::{Endpoints, Ready, host};

/// Chooses the endpoint with the least score for its weight. Those that have the same take turns by smooth weighted round
/// robin, as nginx does it for `least_conn` and `least_time`: who is tied gains its weight, and who is chosen pays what
/// all that are tied gained.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// What each of [`Endpoints::ready`] holds, with its slot.
    held: Vec<(u32, i64)>,
}

/// What a random start may cost, in looks at an endpoint: some 0.5 ms.
const MOST_LOOKS: usize = 1 << 17;

impl Turns {
    /// Call it whenever the endpoints change. Those that stay keep what they hold.
    pub fn update(&mut self, endpoints: &Endpoints) {
        let ready = endpoints.ready();
        let total: i64 = ready.iter().map(|e| i64::from(e.weight)).sum();
        let before = std::mem::take(&mut self.held);
        let held = |slot| before.binary_search_by_key(&slot, |(slot, _)| *slot).map_or(0, |at| before[at].1);
        // Weights may have shrunk: nobody holds or owes more than one round.
        self.held = ready.iter().map(|e| (e.slot, held(e.slot).clamp(-total, total))).collect();
    }

    /// Goes a random number of turns ahead, so that workers and machines do not choose in step.
    pub fn start_anywhere(&mut self, endpoints: &Endpoints) {
        let ready = endpoints.ready();
        let total: u64 = ready.iter().map(|e| u64::from(e.weight)).sum();
        let most = (MOST_LOOKS / ready.len().max(1)).max(1) as u64;
        for _ in 0..host::random() % total.clamp(1, most) {
            self.least(ready, |_| Some(0));
        }
    }

    /// Index of the chosen one of `ready`, which [`Self::update`] was called with. Scores are at most 2^37, so that
    /// they can be multiplied with weights; who has none takes no part.
    pub fn least(&mut self, ready: &[Ready], score: impl Fn(usize) -> Option<u64>) -> Option<usize> {
        let mut best: Option<(usize, u64, u64)> = None;
        let mut tied = false;
        for (index, endpoint) in ready.iter().enumerate() {
            let Some(score) = score(index) else { continue };
            let weight = u64::from(endpoint.weight);
            match best {
                Some((_, least, of)) if score * of > least * weight => {}
                Some((_, least, of)) if score * of == least * weight => tied = true,
                _ => {
                    best = Some((index, score, weight));
                    tied = false;
                }
            }
        }
        let (first, least, of) = best?;
        if !tied {
            return Some(first);
        }
        let (mut chosen, mut most, mut total) = (first, i64::MIN, 0);
        for (index, (endpoint, (_, held))) in ready.iter().zip(&mut self.held).enumerate().skip(first) {
            if score(index).is_none_or(|score| score * of != least * u64::from(endpoint.weight)) {
                continue;
            }
            *held += i64::from(endpoint.weight);
            total += i64::from(endpoint.weight);
            if *held > most {
                (chosen, most) = (index, *held);
            }
        }
        if let Some((_, held)) = self.held.get_mut(chosen) {
            *held -= total;
        }
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::endpoints;

    fn known(weights: &[u32]) -> (Turns, Endpoints) {
        let (mut turns, mut known) = (Turns::default(), Endpoints::default());
        known.replace(1, endpoints(weights));
        turns.update(&known);
        (turns, known)
    }

    #[test]
    fn the_least_for_its_weight_is_chosen() {
        let (mut turns, known) = known(&[4, 1, 2]);
        let mut least = |scores: [u64; 3]| turns.least(known.ready(), |index| Some(scores[index]));
        assert_eq!(least([7, 2, 4]), Some(0));
        assert_eq!(least([9, 2, 5]), Some(1));
        assert_eq!(least([9, 3, 4]), Some(2));
    }

    #[test]
    fn those_tied_take_smooth_turns() {
        let (mut turns, known) = known(&[5, 1, 1]);
        let sequence: Vec<_> = (0..7).filter_map(|_| turns.least(known.ready(), |_| Some(0))).collect();
        assert_eq!(sequence, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn who_has_no_score_takes_no_part() {
        let (mut turns, known) = known(&[5, 1, 1]);
        let sequence: Vec<_> =
            (0..4).filter_map(|_| turns.least(known.ready(), |index| (index > 0).then_some(3))).collect();
        assert_eq!(sequence, [1, 2, 1, 2]);
        assert_eq!(turns.least(known.ready(), |_| None), None);
    }
}
