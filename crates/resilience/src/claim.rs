/// Endpoints, and who chooses among them, as seen by those that look for one. Every endpoint has a slot, its number.
pub trait Fleet {
    /// Where the attempt may go: all endpoints, or a part of them.
    type Group;
    /// What a balancer answers.
    type Choice: Copy;
    /// An attempt that has begun at an endpoint.
    type Begun;
    /// Why a balancer gave no answer.
    type Fault;

    /// Asks the balancer for an endpoint, other than those of `tried` while there are others.
    fn pick(&mut self, tried: &[u32]) -> Pick<Self::Group, Self::Choice, Self::Fault>;

    fn slot(choice: Self::Choice) -> u32;

    /// Whether an endpoint may be chosen: it is in the group and takes new attempts.
    fn is_open(&self, group: &Self::Group, slot: u32) -> bool;

    /// All that may be chosen.
    fn open<'a>(&'a self, group: &'a Self::Group) -> impl Iterator<Item = Open>;

    /// Begins an attempt, unless the endpoint is full: one step, since others begin attempts at the same time.
    fn begin(&mut self, slot: u32, by: By<Self::Choice>) -> Option<Self::Begun>;

    /// The host decides in the balancer's stead.
    fn balancer_failed(&mut self, group: &Self::Group, failure: Unusable<Self::Fault>);

    /// A number below `bound`, each with the same probability. `bound` is not 0.
    fn random(&mut self, bound: usize) -> usize;
}

/// A balancer's answer: none when there is no endpoint that it would choose.
#[derive(Debug)]
pub struct Pick<G, C, F> {
    pub group: G,
    pub choice: Result<Option<C>, F>,
}

/// Why the host decides in a balancer's stead.
#[derive(Debug)]
pub enum Unusable<F> {
    Fault(F),
    /// It named an endpoint that is not open.
    NotOpen(u32),
    /// It named an endpoint that was tried, and there are others.
    Tried(u32),
}

/// An endpoint that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub slot: u32,
    pub priority: u32,
    /// At this moment; the next, another may have begun an attempt there.
    pub has_room: bool,
}

/// Who has chosen an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<C> {
    Balancer(C),
    /// The host, because the balancer failed.
    Fallback,
    /// The host, because what the balancer chose was full.
    Room,
}

/// What came of looking for an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<B> {
    Begun(B),
    /// Every endpoint that would do is full.
    Full,
    /// No endpoint can take the attempt.
    Nowhere,
}

/// Full endpoints that the balancer may name before the host looks for room itself.
const FULL_CHOICES: usize = 4;

/// Begins an attempt at the balancer's choice. One that is full is no fault: the balancer is asked again, then the host
/// looks for room in the first priority level of the group, since the next one is there for failures, not for the
/// overflow. In the place of a balancer that fails, the host takes any endpoint of the group. `tried` have failed, and are
/// taken only when there is no other.
#[inline]
pub fn claim<F: Fleet>(fleet: &mut F, tried: &[u32]) -> Claim<F::Begun> {
    let Pick { group, choice } = fleet.pick(tried);
    match choice {
        Ok(None) => Claim::Nowhere,
        Ok(Some(choice)) => {
            if let Some(failure) = unusable(fleet, &group, F::slot(choice), tried) {
                return claim_in_stead(fleet, &group, tried, failure);
            }
            // Looking for room and taking it is one step: between two steps another worker could take the last place.
            match fleet.begin(F::slot(choice), By::Balancer(choice)) {
                Some(begun) => Claim::Begun(begun),
                None => claim_elsewhere(fleet, group, tried, F::slot(choice)),
            }
        }
        Err(fault) => claim_in_stead(fleet, &group, tried, Unusable::Fault(fault)),
    }
}

/// The balancer has chosen a full endpoint: asks for others, then looks for room.
#[cold]
fn claim_elsewhere<F: Fleet>(fleet: &mut F, mut group: F::Group, tried: &[u32], full: u32) -> Claim<F::Begun> {
    let mut avoid = tried.to_vec();
    avoid.push(full);
    for _ in 1..FULL_CHOICES {
        let pick = fleet.pick(&avoid);
        let choice = match pick.choice {
            Ok(None) => return Claim::Full,
            Ok(Some(choice)) => choice,
            Err(fault) => return claim_in_stead(fleet, &pick.group, tried, Unusable::Fault(fault)),
        };
        let slot = F::slot(choice);
        if let Some(failure) = unusable(fleet, &pick.group, slot, &avoid) {
            return claim_in_stead(fleet, &pick.group, tried, failure);
        }
        group = pick.group;
        if let Some(begun) = fleet.begin(slot, By::Balancer(choice)) {
            return Claim::Begun(begun);
        }
        // It names again what it was told is full: it knows no other, and asking on would never end.
        if avoid.contains(&slot) {
            return Claim::Full;
        }
        avoid.push(slot);
    }
    let level = fleet.open(&group).map(|open| open.priority).min().unwrap_or(0);
    claim_any(fleet, &group, tried, level, By::Room)
}

/// Chooses in the place of a balancer that failed.
#[cold]
fn claim_in_stead<F: Fleet>(
    fleet: &mut F,
    group: &F::Group,
    tried: &[u32],
    failure: Unusable<F::Fault>,
) -> Claim<F::Begun> {
    fleet.balancer_failed(group, failure);
    claim_any(fleet, group, tried, u32::MAX, By::Fallback)
}

/// Begins at any endpoint with room of a priority level up to `level`, each with the same probability; at one that was
/// tried only when there is no other.
fn claim_any<F: Fleet>(
    fleet: &mut F,
    group: &F::Group,
    tried: &[u32],
    level: u32,
    by: By<F::Choice>,
) -> Claim<F::Begun> {
    for tried in [tried, &[]] {
        let may = |open: &Open| open.priority <= level && open.has_room && !tried.contains(&open.slot);
        let with_room: Vec<u32> = fleet.open(group).filter(may).map(|open| open.slot).collect();
        if with_room.is_empty() {
            continue;
        }
        // Another worker may have filled it since; then the next one will do.
        let (before, from) = with_room.split_at(fleet.random(with_room.len()));
        for slot in from.iter().chain(before) {
            if let Some(begun) = fleet.begin(*slot, by) {
                return Claim::Begun(begun);
            }
        }
    }
    if fleet.open(group).next().is_some() { Claim::Full } else { Claim::Nowhere }
}

/// Why an endpoint may not be chosen: it must be open, and not tried unless all were.
fn unusable<F: Fleet>(fleet: &F, group: &F::Group, slot: u32, tried: &[u32]) -> Option<Unusable<F::Fault>> {
    if !fleet.is_open(group, slot) {
        return Some(Unusable::NotOpen(slot));
    }
    let is_needless = tried.contains(&slot) && !fleet.open(group).all(|open| tried.contains(&open.slot));
    is_needless.then_some(Unusable::Tried(slot))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Endpoints by slot, each with its priority and its room, and the balancer's answers to come.
    #[derive(Default)]
    struct Script {
        endpoints: Vec<Option<(u32, u32)>>,
        answers: VecDeque<Result<Option<u32>, ()>>,
        asked: Vec<Vec<u32>>,
        faults: Vec<&'static str>,
        /// Filled by others between the look and the step.
        raced: Vec<u32>,
    }

    impl Script {
        fn new(endpoints: &[(u32, u32)], answers: &[Result<Option<u32>, ()>]) -> Self {
            let endpoints = endpoints.iter().copied().map(Some).collect();
            Self { endpoints, answers: answers.iter().copied().collect(), ..Self::default() }
        }
    }

    impl Fleet for Script {
        type Group = ();
        type Choice = u32;
        type Begun = (u32, By<u32>);
        type Fault = ();

        fn pick(&mut self, tried: &[u32]) -> Pick<(), u32, ()> {
            self.asked.push(tried.to_vec());
            Pick { group: (), choice: self.answers.pop_front().expect("no further question was expected") }
        }

        fn slot(choice: u32) -> u32 {
            choice
        }

        fn is_open(&self, (): &(), slot: u32) -> bool {
            self.endpoints.get(slot as usize).is_some_and(Option::is_some)
        }

        fn open<'a>(&'a self, (): &'a ()) -> impl Iterator<Item = Open> {
            (0..).zip(&self.endpoints).filter_map(|(slot, endpoint)| {
                endpoint.map(|(priority, room)| Open { slot, priority, has_room: room > 0 })
            })
        }

        fn begin(&mut self, slot: u32, by: By<u32>) -> Option<(u32, By<u32>)> {
            if self.raced.contains(&slot) {
                return None;
            }
            let (_, room) = self.endpoints[slot as usize].as_mut()?;
            *room = room.checked_sub(1)?;
            Some((slot, by))
        }

        fn balancer_failed(&mut self, (): &(), failure: Unusable<()>) {
            self.faults.push(match failure {
                Unusable::Fault(()) => "fault",
                Unusable::NotOpen(_) => "not open",
                Unusable::Tried(_) => "tried",
            });
        }

        fn random(&mut self, _bound: usize) -> usize {
            0
        }
    }

    #[test]
    fn the_balancers_choice_is_taken() {
        let mut script = Script::new(&[(0, 1), (0, 1)], &[Ok(Some(1))]);
        assert_eq!(claim(&mut script, &[]), Claim::Begun((1, By::Balancer(1))));
        assert_eq!(claim(&mut Script::new(&[(0, 1)], &[Ok(None)]), &[]), Claim::Nowhere);
    }

    #[test]
    fn a_full_choice_is_no_fault_and_the_balancer_is_asked_again() {
        let mut script = Script::new(&[(0, 0), (0, 1)], &[Ok(Some(0)), Ok(Some(1))]);
        assert_eq!(claim(&mut script, &[]), Claim::Begun((1, By::Balancer(1))));
        assert_eq!((script.asked, script.faults), (vec![vec![], vec![0]], vec![]));
    }

    #[test]
    fn the_host_looks_for_room_on_the_first_level_only() {
        let full_choices = [0, 1, 2, 3].map(|slot| Ok(Some(slot)));
        let mut script = Script::new(&[(0, 0), (0, 0), (0, 0), (0, 0), (0, 1), (1, 1)], &full_choices);
        assert_eq!(claim(&mut script, &[]), Claim::Begun((4, By::Room)));
        let mut script = Script::new(&[(0, 0), (0, 0), (0, 0), (0, 0), (1, 1)], &full_choices);
        assert_eq!(claim(&mut script, &[]), Claim::Full);
    }

    #[test]
    fn in_the_place_of_a_failed_balancer_any_endpoint_is_taken() {
        let mut script = Script::new(&[(0, 0), (1, 1)], &[Err(())]);
        assert_eq!(claim(&mut script, &[]), Claim::Begun((1, By::Fallback)));
        assert_eq!(script.faults, ["fault"]);
        let mut script = Script::new(&[(0, 1)], &[Ok(Some(7))]);
        assert_eq!(claim(&mut script, &[]), Claim::Begun((0, By::Fallback)));
        assert_eq!(script.faults, ["not open"]);
        assert_eq!(claim(&mut Script::new(&[], &[Err(())]), &[]), Claim::Nowhere);
    }

    #[test]
    fn what_was_tried_is_taken_only_when_all_were() {
        let mut script = Script::new(&[(0, 1), (0, 1)], &[Ok(Some(0))]);
        assert_eq!(claim(&mut script, &[0]), Claim::Begun((1, By::Fallback)), "the answer breaks the contract");
        assert_eq!(script.faults, ["tried"]);
        let mut script = Script::new(&[(0, 1)], &[Ok(Some(0))]);
        assert_eq!(claim(&mut script, &[0]), Claim::Begun((0, By::Balancer(0))));
    }

    #[test]
    fn an_endpoint_that_another_worker_fills_meanwhile_is_passed_over() {
        let mut script = Script::new(&[(0, 1), (0, 1)], &[Err(())]);
        script.raced = vec![0];
        assert_eq!(claim(&mut script, &[]), Claim::Begun((1, By::Fallback)));
    }
}
