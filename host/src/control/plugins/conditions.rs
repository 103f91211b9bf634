use std::num::NonZeroU64;
use std::time::Duration;

/// When a candidate becomes the live version by itself, and when it is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Conditions {
    /// Decisions that it takes in each of its roles before it is judged; then it is promoted or given up. Without, it is not promoted.
    #[schema(value_type = Option<u64>)]
    pub promote_after: Option<NonZeroU64>,
    /// How many in a hundred decisions have to be those of the live version then.
    pub min_agreement: Option<f64>,
    /// Faults that it may have; with one more it is given up.
    pub failure_limit: Option<u64>,
    /// It is given up when it is still in shadow after so many seconds.
    pub progress_deadline_seconds: Option<u64>,
}

/// How the candidate's decisions stand to those of the live version.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, utoipa::ToSchema)]
pub struct ShadowDecisions {
    pub same: u64,
    pub different: u64,
    /// The candidate gave no usable answer.
    pub candidate_faults: u64,
    /// The live version gave none, so that there was nothing to compare.
    pub live_faults: u64,
}

/// What conditions say of a candidate, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Promote(String),
    Abort(String),
}

/// The longest that a shadow may be told to last.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

impl Conditions {
    /// These, unless they make no sense: then in words what does not. What is promoted unless something else is said has no fault
    /// and decides alike.
    pub fn new(
        promote_after: Option<NonZeroU64>,
        min_agreement: Option<f64>,
        failure_limit: Option<u64>,
        progress_deadline: Option<Duration>,
    ) -> Result<Self, String> {
        if min_agreement.is_some() && promote_after.is_none() {
            return Err("`min_agreement` is looked at after `promote_after` decisions, which is not there".into());
        }
        if let Some(percent) = min_agreement.filter(|percent| !(0.0..=100.0).contains(percent)) {
            return Err(format!("`min_agreement` is a number from 0 to 100, and not {percent}"));
        }
        if progress_deadline.is_some_and(|deadline| deadline.as_secs() == 0 || deadline > LONGEST) {
            return Err("`progress_deadline` is from 1s to 30d".into());
        }
        Ok(Self {
            promote_after,
            min_agreement: min_agreement.or_else(|| promote_after.map(|_| 100.0)),
            failure_limit: failure_limit.or_else(|| promote_after.map(|_| 0)),
            progress_deadline_seconds: progress_deadline.map(|deadline| deadline.as_secs()),
        })
    }

    /// What they say of a candidate that has decided so in its roles, with so many faults, in so long a time; nothing while it has to
    /// go on.
    pub(super) fn verdict(&self, roles: &[ShadowDecisions], faults: u64, running: Duration) -> Option<Verdict> {
        if let Some(limit) = self.failure_limit.filter(|limit| faults > *limit) {
            return Some(Verdict::Abort(format!("{faults} faults, and the limit is {limit}")));
        }
        // The role that has decided least, and the one that agrees least.
        let fewest = roles.iter().map(ShadowDecisions::compared).min().unwrap_or(0);
        if let Some(wanted) = self.promote_after.filter(|wanted| fewest >= wanted.get()) {
            let agreement = roles.iter().map(ShadowDecisions::agreement_percent).fold(100.0, f64::min);
            let least = self.min_agreement.unwrap_or(100.0);
            let done = format!("{agreement:.2} % of {fewest} decisions were those of the live version");
            return Some(if agreement < least {
                Verdict::Abort(format!("{done}, and the least is {least} % after {wanted}"))
            } else {
                Verdict::Promote(format!("{done}, with {faults} faults"))
            });
        }
        let deadline = self.progress_deadline_seconds.filter(|deadline| running.as_secs() >= *deadline)?;
        let wanted = self.promote_after.map(|wanted| format!(" of {wanted}")).unwrap_or_default();
        Some(Verdict::Abort(format!("{deadline} s have passed, with {fewest}{wanted} decisions and {faults} faults")))
    }
}

impl ShadowDecisions {
    /// Decisions that the live version took as well.
    fn compared(&self) -> u64 {
        self.same + self.different + self.candidate_faults
    }

    fn agreement_percent(&self) -> f64 {
        if self.compared() == 0 { 100.0 } else { self.same as f64 * 100.0 / self.compared() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By what it has decided alike, otherwise and not at all in each role.
    fn verdict(conditions: Conditions, roles: &[(u64, u64, u64)], faults: u64, seconds: u64) -> &'static str {
        let decisions = |&(same, different, candidate_faults): &(u64, u64, u64)| ShadowDecisions {
            same,
            different,
            candidate_faults,
            live_faults: 7,
        };
        let roles: Vec<ShadowDecisions> = roles.iter().map(decisions).collect();
        match conditions.verdict(&roles, faults, Duration::from_secs(seconds)) {
            None => "goes on",
            Some(Verdict::Promote(_)) => "promote",
            Some(Verdict::Abort(_)) => "abort",
        }
    }

    #[test]
    fn a_candidate_is_judged_after_as_many_decisions_in_each_role() {
        let conditions = Conditions::new(NonZeroU64::new(100), Some(98.5), Some(2), None).expect("conditions");
        for (roles, faults, expected) in [
            (&[(99, 0, 0)][..], 0, "goes on"),
            (&[(99, 1, 0)], 0, "promote"),
            (&[(98, 2, 0)], 0, "abort"),
            (&[(98, 1, 1)], 1, "abort"),
            (&[(500, 5, 0), (99, 0, 0)], 2, "goes on"),
            (&[(500, 5, 0), (100, 0, 0)], 2, "promote"),
            (&[(500, 5, 0), (100, 9, 0)], 0, "abort"),
            (&[(10, 0, 3)], 3, "abort"),
        ] {
            assert_eq!(verdict(conditions, roles, faults, 1_000_000), expected, "{roles:?}, {faults} faults");
        }
    }

    #[test]
    fn what_is_not_said_is_strict_and_what_is_not_asked_for_is_not_judged() {
        let strict = Conditions::new(NonZeroU64::new(10), None, None, None).expect("conditions");
        assert_eq!(verdict(strict, &[(1_000_000, 1, 0)], 0, 0), "abort");
        assert_eq!(verdict(strict, &[(3, 0, 0)], 1, 0), "abort");
        assert_eq!(verdict(strict, &[(10, 0, 0)], 0, 0), "promote");
        assert_eq!(verdict(Conditions::default(), &[(0, 1_000_000, 0)], 1_000_000, 1_000_000), "goes on");
        let guarded = Conditions::new(None, None, Some(0), Some(Duration::from_secs(60))).expect("conditions");
        for (faults, seconds, expected) in [(0, 59, "goes on"), (0, 60, "abort"), (1, 0, "abort")] {
            assert_eq!(verdict(guarded, &[(50, 50, 0)], faults, seconds), expected);
        }
    }

    #[test]
    fn conditions_that_make_no_sense_are_refused() {
        let after = NonZeroU64::new(10);
        let spans = [Duration::from_millis(999), LONGEST + Duration::from_secs(1)];
        assert!(Conditions::new(None, Some(99.0), None, None).is_err());
        assert!([-0.1, 100.1, f64::NAN].iter().all(|wrong| Conditions::new(after, Some(*wrong), None, None).is_err()));
        assert!(spans.iter().all(|span| Conditions::new(after, None, None, Some(*span)).is_err()));
    }
}
