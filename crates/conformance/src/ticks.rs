use crate::fleet::{Fleet, Step, random_steps};
use crate::memory::PAGE;
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Balancer, Profile};

/// What holds for balancers that hear that time passes.
pub(crate) const PROPERTIES: &[Property] = &[Property::quick(
    "B29",
    &[Profile::Balancer],
    "ticks may come at any time, before the first endpoints too and with any time, and take no memory",
    ticks_at_any_time,
)];

const TIMES_MS: [u64; 7] = [0, 1, 100, 3_600_000, 1 << 40, u64::MAX - 1, u64::MAX];
const TICKS: u64 = 5000;

fn ticks_at_any_time(trial: &mut Trial<'_>) -> Checked {
    if !trial.balancer()?.ticks() {
        return Err(Stop::Skipped("it wants no ticks".into()));
    }
    let steps = random_steps(&mut trial.random, (trial.steps / 4).max(200));
    let times: Vec<u64> = (0..steps.len()).map(|_| TIMES_MS[trial.random.usize(..TIMES_MS.len())]).collect();
    let steps: Vec<(Step, u64)> = steps.into_iter().zip(times).collect();
    trial.measure("steps", steps.len() as f64);
    trial.try_list(steps, |trial, steps| {
        let mut balancer = trial.balancer()?;
        balancer.tick(1).map_err(|fault| format!("before the first endpoints: {fault}"))?;
        let mut fleet = Fleet::new(13);
        balancer.set_endpoints(&fleet.endpoints)?;
        for (number, (step, now_ms)) in steps.iter().enumerate() {
            let how = |fault: String| format!("step {number}: {fault}");
            if fleet.take(*step) {
                balancer.set_endpoints(&fleet.endpoints).map_err(how)?;
            }
            balancer.tick(*now_ms).map_err(|fault| format!("step {number}, at {now_ms} ms: {fault}"))?;
            let Step::Pick { key } = step else { continue };
            if let Some(mistake) = balancer.pick(*key, &[]).map_err(how)?.and_then(|slot| fleet.mistake(slot)) {
                return Err(how(mistake));
            }
        }
        Ok(())
    })?;
    let mut balancer = trial.balancer()?;
    balancer.set_endpoints(&Fleet::new(13).endpoints)?;
    let mut grown = Vec::new();
    // What is kept of each tick grows in every stage.
    for stage in 1..=3 {
        let before = size(&*balancer);
        for tick in 0..TICKS {
            balancer.tick((stage * TICKS + tick) * 1000)?;
        }
        let (Some(before), Some(after)) = (before, size(&*balancer)) else { return Ok(()) };
        grown.push(after.saturating_sub(before));
        if after <= before + PAGE {
            return Ok(());
        }
    }
    Err(format!("it grew with each {TICKS} ticks: by {grown:?} bytes").into())
}

fn size(balancer: &dyn Balancer) -> Option<u64> {
    Some(balancer.memory_bytes()? + balancer.table_bytes().unwrap_or(0))
}
