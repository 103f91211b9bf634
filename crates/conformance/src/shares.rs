use crate::shrink::shrink;
use crate::statistics::{SIGMAS, chi_squared, critical, margin};
use crate::trial::{Checked, Property, Stop, Trial};
use crate::{Balancer, Endpoint, Profile};

/// How much of the traffic each endpoint gets.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::thorough(
        "B8",
        &[Profile::Weighted],
        "shares are those of the weights: exactly in each cycle, or as far as chance allows",
        shares_are_those_of_weights,
    ),
    Property::thorough(
        "B8b",
        &[Profile::Smooth],
        "no endpoint is chosen more often in a row than its weight asks for",
        heavy_ones_are_not_chosen_in_bursts,
    ),
    Property::thorough("B9", &[Profile::Uniform], "endpoints of one weight get the same share", shares_are_equal),
    Property::thorough(
        "B14",
        &[Profile::Ramp],
        "an endpoint that warms up gets more the further its ramp is, never nothing, and its whole share at the end",
        warms_up,
    ),
    Property::thorough(
        "B17",
        &[Profile::Spread],
        "16 instances together keep the shares of one, and do not choose in step",
        instances_do_not_choose_in_step,
    ),
    Property::thorough(
        "B18",
        &[Profile::Spread],
        "the first choices of 16 instances are spread over the endpoints",
        first_choices_are_spread,
    ),
];

/// Where the keys lead.
pub(crate) fn map(balancer: &mut dyn Balancer, keys: &[u64]) -> Result<Vec<Option<u32>>, String> {
    keys.iter().map(|key| balancer.pick(Some(*key), &[])).collect()
}

/// Whether the same key leads to the same endpoint, and not all of them to one. The second time in another order, so that
/// taking turns does not look like it.
pub(crate) fn is_keyed(balancer: &mut dyn Balancer, keys: &[u64]) -> Result<bool, String> {
    let first = map(balancer, keys)?;
    let mut second = Vec::new();
    for key in keys.iter().rev() {
        second.push(balancer.pick(Some(*key), &[])?);
    }
    second.reverse();
    Ok(first == second && first.windows(2).any(|pair| pair[0] != pair[1]))
}

/// How often each of the endpoints is chosen without a key, in so many picks. Fails if something else is.
pub(crate) fn count(balancer: &mut dyn Balancer, endpoints: &[Endpoint], picks: u32) -> Result<Vec<u64>, String> {
    let mut counts = vec![0; endpoints.len()];
    for number in 0..picks {
        let Some(slot) = balancer.pick(None, &[])? else { continue };
        match endpoints.iter().position(|endpoint| endpoint.slot == slot) {
            Some(at) => counts[at] += 1,
            None => return Err(format!("pick {number}: slot {slot}, which is none of {endpoints:?}")),
        }
    }
    Ok(counts)
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// The weights in the smallest whole numbers.
fn reduced(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().fold(0, |divisor, weight| common_divisor(divisor, *weight)).max(1);
    weights.iter().map(|weight| weight / divisor).collect()
}

/// What chooses by chance is held to this many picks.
const PICKS: u32 = 20_000;

fn shares_are_those_of_weights(trial: &mut Trial<'_>) -> Checked {
    let mut vectors: Vec<Vec<u32>> = vec![vec![5, 1, 1], vec![1, 2, 3, 4], vec![10, 1], vec![100, 100, 100, 300]];
    vectors.extend((0..3).map(|_| (0..trial.random.usize(2..12)).map(|_| trial.random.u32(1..30)).collect()));
    let mut exact = 0;
    for weights in vectors {
        let mut is_exact = true;
        let found = shrink(weights, |weights| match share(trial, weights) {
            Ok(exactly) => {
                is_exact &= exactly;
                None
            }
            Err(how) => Some(how),
        });
        if let Some((smallest, how)) = found {
            return Err(Stop::Broken { how, smallest: Some(format!("weights {smallest:?}")) });
        }
        exact += u32::from(is_exact);
    }
    trial.measure("exact of 7", exact.into());
    Ok(())
}

/// Answers whether shares are exact in each cycle.
fn share(trial: &Trial<'_>, weights: &[u32]) -> Result<bool, String> {
    if weights.is_empty() {
        return Ok(true);
    }
    let mut balancer = trial.balancer()?;
    let endpoints = Endpoint::weighing(weights);
    balancer.set_endpoints(&endpoints)?;
    let wanted: Vec<u64> = reduced(weights).into_iter().map(u64::from).collect();
    let cycle = wanted.iter().sum::<u64>() as u32;
    let mut counts = vec![0; weights.len()];
    let (mut is_exact, mut picked) = (true, 0);
    while picked < PICKS && (is_exact || picked == 0) && picked < 10 * cycle {
        let of_cycle = count(&mut *balancer, &endpoints, cycle)?;
        is_exact = of_cycle == wanted;
        picked += cycle;
        counts.iter_mut().zip(&of_cycle).for_each(|(count, more)| *count += more);
    }
    if is_exact {
        return Ok(true);
    }
    let more = count(&mut *balancer, &endpoints, PICKS - picked.min(PICKS))?;
    counts.iter_mut().zip(&more).for_each(|(count, more)| *count += more);
    let shares: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
    let (off, most) = (chi_squared(&counts, &shares), critical(weights.len()));
    if off > most {
        return Err(format!("weights {weights:?} give {counts:?}, chi-squared {off:.0} over {most:.0}"));
    }
    Ok(false)
}

fn heavy_ones_are_not_chosen_in_bursts(trial: &mut Trial<'_>) -> Checked {
    let vectors = (0..40).map(|_| (0..trial.random.usize(2..10)).map(|_| trial.random.u32(1..40)).collect());
    let vectors: Vec<Vec<u32>> = [vec![5, 1, 1], vec![7, 3, 1]].into_iter().chain(vectors).collect();
    for weights in vectors {
        trial.try_list(weights, |trial, weights| {
            let mut balancer = trial.balancer()?;
            balancer.set_endpoints(&Endpoint::weighing(weights))?;
            longest_run(&mut *balancer, weights)
        })?;
    }
    Ok(())
}

/// Fails when an endpoint is chosen more often in a row than its weight over that of the others, rounded up, and 2; in two
/// cycles.
pub(crate) fn longest_run(balancer: &mut dyn Balancer, weights: &[u32]) -> Result<(), String> {
    let total: u32 = weights.iter().sum();
    let (mut last, mut run) = (None, 0);
    for _ in 0..2 * total {
        let Some(slot) = balancer.pick(None, &[])? else { continue };
        run = if last == Some(slot) { run + 1 } else { 1 };
        last = Some(slot);
        let Some(weight) = weights.get(slot as usize) else { continue };
        let others = total - weight;
        if others > 0 && run > weight.div_ceil(others) + 2 {
            return Err(format!("slot {slot} of weights {weights:?} was chosen {run} times in a row"));
        }
    }
    Ok(())
}

fn shares_are_equal(trial: &mut Trial<'_>) -> Checked {
    let mut balancer = trial.balancer()?;
    let endpoints = Endpoint::several(10);
    balancer.set_endpoints(&endpoints)?;
    let counts = count(&mut *balancer, &endpoints, PICKS)?;
    let (off, most) = (chi_squared(&counts, &[1.0; 10]), critical(10));
    trial.measure("chi-squared", off);
    trial.measure("at most", most);
    if off > most {
        return Err(format!("10 endpoints of one weight got {counts:?}").into());
    }
    Ok(())
}

fn warms_up(trial: &mut Trial<'_>) -> Checked {
    const RAMPS: [u32; 5] = [100, 250, 500, 750, 1000];
    let picks = PICKS / 5;
    let mut balancer = trial.balancer()?;
    let mut endpoints = Endpoint::several(4);
    let mut before = 0.0;
    for ramp in RAMPS {
        endpoints[1].ramp = ramp;
        balancer.set_endpoints(&endpoints)?;
        let got = count(&mut *balancer, &endpoints, picks)?[1] as f64;
        if got == 0.0 {
            return Err(format!("at a ramp of {ramp} of 1000 it got nothing of {picks}").into());
        }
        if got + margin(picks.into(), 0.25) < before {
            return Err(format!("at a ramp of {ramp} of 1000 it got {got} of {picks}, before that {before}").into());
        }
        if ramp == RAMPS[0] {
            trial.measure("share at 100", got / f64::from(picks));
            if got > f64::from(picks) * 0.125 {
                return Err(format!("at a ramp of {ramp} of 1000 it got {got} of {picks} for 4 endpoints").into());
            }
        }
        before = got;
    }
    trial.measure("share at 1000", before / f64::from(picks));
    // A ring gives shares that are a third off.
    if before < f64::from(picks) * 0.25 * 0.65 - margin(picks.into(), 0.25) {
        return Err(format!("at the end of the ramp it got {before} of {picks} for 4 endpoints").into());
    }
    Ok(())
}

const INSTANCES: u32 = 16;

fn instances_do_not_choose_in_step(trial: &mut Trial<'_>) -> Checked {
    const ENDPOINTS: usize = 10;
    let endpoints = Endpoint::several(ENDPOINTS as u32);
    let mut balancers = Vec::new();
    for worker in 0..INSTANCES {
        let mut balancer = trial.on_worker(worker)?;
        balancer.set_endpoints(&endpoints)?;
        balancers.push(balancer);
    }
    let rounds = PICKS / INSTANCES;
    let (mut counts, mut together) = (vec![0; ENDPOINTS], 0);
    for _ in 0..rounds {
        let mut of_round = vec![0; ENDPOINTS];
        for balancer in &mut balancers {
            let chosen = count(&mut **balancer, &endpoints, 1)?;
            of_round.iter_mut().zip(&chosen).for_each(|(sum, more)| *sum += more);
        }
        together += of_round.iter().map(|count| count * count.saturating_sub(1) / 2).sum::<u64>();
        counts.iter_mut().zip(&of_round).for_each(|(sum, more)| *sum += more);
    }
    // Two of them meet in one round of ten. If it depends on where they began, it is settled by as many draws as there
    // are pairs, and not by as many as there are rounds.
    let pairs = f64::from(INSTANCES * (INSTANCES - 1) / 2);
    let met = together as f64 / (pairs * f64::from(rounds));
    let chance = 1.0 / ENDPOINTS as f64;
    trial.measure("pairs in step", met);
    if met > chance + margin(pairs, chance) / pairs {
        return Err(format!(
            "{:.0} % of the pairs choose the same endpoint, {:.0} % would by chance",
            100.0 * met,
            100.0 * chance
        )
        .into());
    }
    let all = f64::from(rounds * INSTANCES);
    let mean = all * chance;
    let off = counts.iter().map(|count| (*count as f64 / mean - 1.0).abs()).fold(0.0, f64::max);
    trial.measure("largest deviation", off);
    let by_chance = SIGMAS * (all * chance * (1.0 - chance)).sqrt() / mean;
    if off > 0.05_f64.max(by_chance) {
        return Err(format!("together they gave {counts:?}").into());
    }
    Ok(())
}

fn first_choices_are_spread(trial: &mut Trial<'_>) -> Checked {
    let endpoints = Endpoint::several(4);
    let mut counts = vec![0; 4];
    for worker in 0..INSTANCES {
        let mut balancer = trial.on_worker(worker)?;
        balancer.set_endpoints(&endpoints)?;
        let chosen = count(&mut *balancer, &endpoints, 1)?;
        counts.iter_mut().zip(&chosen).for_each(|(sum, more)| *sum += more);
    }
    let off = chi_squared(&counts, &[1.0; 4]);
    trial.measure("chi-squared", off);
    if off > critical(4) {
        return Err(format!("the first choices of {INSTANCES} instances were {counts:?}").into());
    }
    Ok(())
}
