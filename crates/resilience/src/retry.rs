use std::sync::Arc;
use std::time::Duration;

/// How an attempt failed, as far as that decides whether another may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection was made.
    Connect,
    /// The endpoint has not acted on any of it: it has said so (RFC 9113 section 8.7), or nothing had been sent.
    Refused,
    /// The connection, or the stream, was lost before there was an answer.
    Reset,
    /// There was no answer in time, or the endpoint was found unhealthy while it was waited for.
    Timeout,
    /// What came is no answer.
    Malformed,
    /// An answer of this status.
    Status(u16),
    /// An answer that is nothing but this status of gRPC.
    Grpc(u16),
}

impl Failure {
    /// Nothing was acted on, so that nothing can happen twice.
    fn is_harmless(self) -> bool {
        matches!(self, Self::Connect | Self::Refused)
    }
}

/// When a request is tried again, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub on: Conditions,
    /// Also what it may do harm to send twice (RFC 9110 section 9.2.2).
    pub non_idempotent: bool,
    pub backoff: Backoff,
    /// How long an attempt may go without an answer before another begins beside it; none for no hedging.
    pub hedge_after: Option<Duration>,
    /// The longest pause that an endpoint may ask for. After an answer that asks for a longer one no attempt follows.
    pub longest_pause: Duration,
    pub budget: Budget,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on: Conditions::default(),
            non_idempotent: false,
            backoff: Backoff { base: Duration::from_millis(25), max: Duration::from_millis(250) },
            hedge_after: None,
            longest_pause: Duration::from_secs(1),
            budget: Budget { percent: 20, min: 3 },
        }
    }
}

/// The failures after which a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    pub connect: bool,
    pub refused: bool,
    pub reset: bool,
    pub timeout: bool,
    pub malformed: bool,
    pub statuses: Arc<[u16]>,
    pub grpc: Arc<[u16]>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            connect: true,
            refused: true,
            reset: true,
            timeout: true,
            malformed: false,
            statuses: Arc::default(),
            grpc: Arc::default(),
        }
    }
}

impl Conditions {
    pub fn include(&self, failure: Failure) -> bool {
        match failure {
            Failure::Connect => self.connect,
            Failure::Refused => self.refused,
            Failure::Reset => self.reset,
            Failure::Timeout => self.timeout,
            Failure::Malformed => self.malformed,
            Failure::Status(status) => self.statuses.contains(&status),
            Failure::Grpc(status) => self.grpc.contains(&status),
        }
    }
}

/// Pauses between attempts: of any length up to `base`, then up to twice that, and so on up to `max`, so that those who failed
/// together do not come again together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
}

impl Backoff {
    /// The pause after so many others. `random` is any number, all with the same probability.
    pub fn pause(&self, others: usize, random: u64) -> Duration {
        let doubled = 1_u32.checked_shl(u32::try_from(others).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(doubled).min(self.max);
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(if micros == 0 { 0 } else { random % micros })
    }
}

/// How many attempts may be under way that repeat others, so that endpoints that fail for want of capacity are not asked
/// still more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of all attempts that are under way.
    pub percent: u32,
    /// However few are.
    pub min: u32,
}

impl Budget {
    /// Repeated attempts that may be under way while `active` are in all.
    pub fn allows(&self, active: u32) -> u32 {
        let share = u64::from(active) * u64::from(self.percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).max(self.min)
    }
}

/// An attempt that has failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    pub slot: u32,
    pub failure: Failure,
    /// All that was sent can be sent once more.
    pub replayable: bool,
    /// The pause that the endpoint has asked for.
    pub asked: Option<Duration>,
}

/// How another attempt follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    pub after: Duration,
    /// It follows only if there is an endpoint that has not failed: one that is silent is silent to the next, too.
    pub elsewhere: bool,
    /// It repeats what may have been done already, and is more load than there was: a matter of the [`Budget`].
    pub repeats: bool,
}

/// The attempts of one request, or of one connection.
#[derive(Debug)]
pub struct Attempts {
    most: usize,
    idempotent: bool,
    /// The first included.
    begun: usize,
    failed: usize,
    tried: Vec<u32>,
    pauses: usize,
}

impl Attempts {
    /// `most` attempts of what is `idempotent` when doing it twice does no harm.
    pub fn new(most: usize, idempotent: bool) -> Self {
        Self { most, idempotent, begun: 1, failed: 0, tried: Vec::new(), pauses: 0 }
    }

    /// Slots of the endpoints that have failed, and of those at which an attempt goes on while another is to begin.
    pub fn tried(&self) -> &[u32] {
        &self.tried
    }

    /// Whether another attempt may follow the one under way, should its endpoint fall silent.
    pub fn may_leave(&self, policy: &Policy) -> bool {
        policy.on.timeout && (self.idempotent || policy.non_idempotent) && self.begun < self.most
    }

    /// After how long another attempt may begin beside the one under way, which may still answer.
    pub fn hedge_after(&self, policy: &Policy) -> Option<Duration> {
        let may = (self.idempotent || policy.non_idempotent) && self.begun < self.most;
        policy.hedge_after.filter(|_| may)
    }

    /// Another attempt is to begin beside the one at this endpoint.
    pub fn goes_on(&mut self, slot: u32) {
        self.note_tried(slot);
    }

    /// It has begun.
    pub fn begun_beside(&mut self) {
        self.begun += 1;
    }

    /// An attempt has failed while another goes on, for whose answer the request waits.
    pub fn failed_beside(&mut self, slot: u32) {
        self.failed += 1;
        self.note_tried(slot);
    }

    fn note_tried(&mut self, slot: u32) {
        if !self.tried.contains(&slot) {
            self.tried.push(slot);
        }
    }

    /// An attempt has failed; says how another follows, if one may. `random` answers any number, all with the same probability.
    pub fn failed(&mut self, policy: &Policy, failed: Failed, random: impl FnOnce() -> u64) -> Option<Again> {
        let Failed { slot, failure, replayable, asked } = failed;
        self.failed_beside(slot);
        // Who lists statuses of gRPC says that calls which end so may be made again: a call has no method to tell that by.
        let is_called_for = failure.is_harmless() || matches!(failure, Failure::Grpc(_));
        let harmless = is_called_for || self.idempotent || policy.non_idempotent;
        if self.begun >= self.most || !harmless || !replayable || !policy.on.include(failure) {
            return None;
        }
        let after = match (asked, failure) {
            (Some(asked), _) if asked > policy.longest_pause => return None,
            (Some(asked), _) => asked,
            // Whoever was silent has been waited for.
            (None, Failure::Timeout) => Duration::ZERO,
            // The next endpoint had no part in it.
            (None, failure) if failure.is_harmless() && self.failed == 1 => Duration::ZERO,
            (None, _) => {
                self.pauses += 1;
                policy.backoff.pause(self.pauses - 1, random())
            }
        };
        self.begun += 1;
        Some(Again { after, elsewhere: failure == Failure::Timeout, repeats: !failure.is_harmless() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_BITS: u64 = u64::MAX;

    fn failed(slot: u32, failure: Failure) -> Failed {
        Failed { slot, failure, replayable: true, asked: None }
    }

    #[test]
    fn what_was_not_acted_on_goes_elsewhere_until_the_limit() {
        let policy = Policy::default();
        let mut attempts = Attempts::new(3, false);
        let first = attempts.failed(&policy, failed(4, Failure::Connect), || 0);
        assert_eq!(first, Some(Again { after: Duration::ZERO, elsewhere: false, repeats: false }));
        assert!(attempts.failed(&policy, failed(5, Failure::Refused), || 0).is_some());
        assert_eq!(attempts.failed(&policy, failed(6, Failure::Connect), || 0), None);
        assert_eq!(attempts.tried(), [4, 5, 6]);
        assert_eq!(Attempts::new(1, true).failed(&policy, failed(0, Failure::Connect), || 0), None);
    }

    #[test]
    fn what_may_have_been_acted_on_is_repeated_only_where_that_does_no_harm() {
        let policy = Policy::default();
        for failure in [Failure::Reset, Failure::Timeout] {
            let again = Attempts::new(3, true).failed(&policy, failed(0, failure), || 0);
            assert!(again.is_some_and(|again| again.repeats), "{failure:?}");
            assert_eq!(Attempts::new(3, false).failed(&policy, failed(0, failure), || 0), None);
            let allowed = Policy { non_idempotent: true, ..policy.clone() };
            assert!(Attempts::new(3, false).failed(&allowed, failed(0, failure), || 0).is_some());
            let streamed = Failed { replayable: false, ..failed(0, failure) };
            assert_eq!(Attempts::new(3, true).failed(&policy, streamed, || 0), None, "its body is gone");
        }
    }

    #[test]
    fn only_the_failures_that_are_listed_are_followed_by_another_attempt() {
        let on = Conditions { reset: false, statuses: [503].into(), grpc: [14].into(), ..Conditions::default() };
        let policy = Policy { on, ..Policy::default() };
        let try_again =
            |failure, idempotent| Attempts::new(2, idempotent).failed(&policy, failed(0, failure), || 0).is_some();
        assert!(!try_again(Failure::Reset, true) && !try_again(Failure::Malformed, true));
        assert!(try_again(Failure::Status(503), true) && !try_again(Failure::Status(500), true));
        assert!(!try_again(Failure::Status(503), false), "the endpoint may have done some of it");
        assert!(try_again(Failure::Grpc(14), false) && !try_again(Failure::Grpc(8), false));
    }

    #[test]
    fn whoever_is_silent_is_left_at_once_and_not_asked_again() {
        let policy = Policy::default();
        let again = Attempts::new(2, true).failed(&policy, failed(0, Failure::Timeout), || ALL_BITS);
        assert_eq!(again, Some(Again { after: Duration::ZERO, elsewhere: true, repeats: true }));
        assert!(Attempts::new(2, true).may_leave(&policy));
        assert!(!Attempts::new(1, true).may_leave(&policy) && !Attempts::new(2, false).may_leave(&policy));
    }

    #[test]
    fn another_attempt_begins_beside_one_that_is_late_where_it_may_be_sent_twice() {
        let after = Some(Duration::from_millis(50));
        let policy = Policy { hedge_after: after, ..Policy::default() };
        assert_eq!(Attempts::new(2, true).hedge_after(&Policy::default()), None);
        assert_eq!(Attempts::new(2, false).hedge_after(&policy), None);
        let mut attempts = Attempts::new(3, true);
        for slot in [4, 5] {
            assert_eq!(attempts.hedge_after(&policy), after);
            attempts.goes_on(slot);
            attempts.begun_beside();
        }
        assert_eq!((attempts.hedge_after(&policy), attempts.tried()), (None, &[4, 5][..]));
        attempts.failed_beside(5);
        assert_eq!(attempts.tried(), [4, 5]);
        // There were three.
        assert_eq!(attempts.failed(&policy, failed(4, Failure::Reset), || 0), None);
    }

    #[test]
    fn what_goes_on_beside_counts_as_an_attempt_and_others_may_follow() {
        let policy = Policy { hedge_after: Some(Duration::ZERO), ..Policy::default() };
        let mut attempts = Attempts::new(3, true);
        attempts.goes_on(0);
        attempts.begun_beside();
        attempts.failed_beside(0);
        assert!(attempts.failed(&policy, failed(1, Failure::Reset), || 0).is_some());
        assert_eq!(attempts.failed(&policy, failed(2, Failure::Reset), || 0), None);
    }

    #[test]
    fn pauses_grow_and_are_of_any_length_up_to_their_bound() {
        let backoff = Policy::default().backoff;
        let longest = |others| (0..10_000).map(|random| backoff.pause(others, random * 97)).max();
        for (others, bound_ms) in [(0, 25), (1, 50), (3, 200), (4, 250), (100, 250)] {
            let bound = Duration::from_millis(bound_ms);
            assert!(longest(others).is_some_and(|longest| longest < bound && longest > bound * 9 / 10), "{others}");
        }
        assert_eq!(Backoff { base: Duration::ZERO, ..backoff }.pause(3, ALL_BITS), Duration::ZERO);
        let mut attempts = Attempts::new(9, true);
        let pause = |attempts: &mut Attempts| {
            attempts.failed(&Policy::default(), failed(0, Failure::Reset), || 24_999).map(|again| again.after)
        };
        assert_eq!(pause(&mut attempts), Some(Duration::from_micros(24_999)));
        let later = attempts.failed(&Policy::default(), failed(0, Failure::Connect), || 49_999);
        assert_eq!(later.map(|again| again.after), Some(Duration::from_micros(49_999)));
    }

    #[test]
    fn a_pause_that_an_endpoint_asks_for_is_kept_or_too_long() {
        let on = Conditions { statuses: [503].into(), ..Conditions::default() };
        let policy = Policy { on, ..Policy::default() };
        let asking = |seconds| Failed { asked: Some(Duration::from_secs(seconds)), ..failed(0, Failure::Status(503)) };
        let again = Attempts::new(2, true).failed(&policy, asking(1), || 0);
        assert_eq!(again.map(|again| again.after), Some(Duration::from_secs(1)));
        assert_eq!(Attempts::new(2, true).failed(&policy, asking(2), || 0), None);
    }

    #[test]
    fn a_budget_is_a_share_of_what_is_under_way_and_at_least_its_minimum() {
        let budget = Policy::default().budget;
        assert_eq!([0, 15, 20, 1000].map(|active| budget.allows(active)), [3, 3, 4, 200]);
        assert_eq!(Budget { percent: 100, min: 0 }.allows(u32::MAX), u32::MAX);
    }
}
