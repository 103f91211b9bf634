//! The checks of a probe, and what they come to together.

use std::time::Duration;

use futures_util::future::join_all;

use super::Evaluation;
use super::probe::{self, Place, Probed};
use crate::config::Passes;
use crate::plugin::ProbeResult;
use crate::snapshot::Wishes;

/// Makes the checks of a probe of one endpoint, all at the same time, each within `timeout`. None when no prober can be
/// asked.
pub async fn probe(
    evaluation: &Evaluation,
    passes: Passes,
    checks: Vec<(&str, Place<'_>)>,
    timeout: Duration,
) -> Option<Probed> {
    let (names, places): (Vec<_>, Vec<_>) = checks.into_iter().unzip();
    let probed = join_all(places.into_iter().map(|place| probe::probe(evaluation, place, timeout))).await;
    let mut probed: Vec<(&str, Probed)> =
        names.into_iter().zip(probed).filter_map(|(name, probed)| Some((name, probed?))).collect();
    if probed.len() <= 1 {
        return probed.pop().map(|(_, probed)| probed);
    }
    let wishes = probed.iter().map(|(_, probed)| probed.wishes).fold(Wishes::default(), Wishes::beside);
    let report = probed.iter_mut().find_map(|(_, probed)| probed.report.take());
    let results: Vec<(&str, ProbeResult)> =
        probed.into_iter().filter_map(|(name, probed)| Some((name, probed.result?))).collect();
    Some(Probed { result: together(passes, &results), report, wishes })
}

/// None without any.
fn together(passes: Passes, results: &[(&str, ProbeResult)]) -> Option<ProbeResult> {
    let (_, first) = results.first()?;
    let passed = match passes {
        Passes::WithAll => results.iter().all(|(_, result)| result.passed),
        Passes::WithAny => results.iter().any(|(_, result)| result.passed),
    };
    // What did not decide is not told.
    let decisive = results.iter().filter(|(_, result)| result.passed == passed);
    let said: Vec<String> = decisive.map(|(name, result)| format!("{name}: {}", result.detail)).collect();
    let took = results.iter().map(|(_, result)| result.took).max().unwrap_or_default();
    Some(ProbeResult { slot: first.slot, passed, took, detail: said.join("; ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come_to(passes: Passes, results: &[(bool, &str)]) -> (bool, String) {
        let result = |(passed, detail): &(bool, &str)| {
            let took = Duration::from_millis(detail.len() as u64);
            ("a", ProbeResult { slot: 7, passed: *passed, took, detail: (*detail).to_owned() })
        };
        let results: Vec<_> = results.iter().map(result).collect();
        let result = together(passes, &results).expect("a result");
        assert_eq!((result.slot, result.took), (7, results.iter().map(|(_, one)| one.took).max().expect("one")));
        (result.passed, result.detail)
    }

    #[test]
    fn all_have_to_pass_or_one() {
        let mixed = [(true, "fine"), (false, "refused"), (false, "late")];
        assert_eq!(come_to(Passes::WithAll, &mixed), (false, "a: refused; a: late".into()));
        assert_eq!(come_to(Passes::WithAny, &mixed), (true, "a: fine".into()));
        assert_eq!(come_to(Passes::WithAll, &mixed[..1]), (true, "a: fine".into()));
        assert_eq!(come_to(Passes::WithAny, &mixed[1..]), (false, "a: refused; a: late".into()));
        assert!(together(Passes::WithAll, &[]).is_none());
    }
}
