use super::policy::{Group, Partitioner, partitioner};
use super::zoo::{Change, Zoo, random_change};
use crate::foreign::foreign_states;
use crate::memory::PAGE;
use crate::request::{Values, Vocabulary};
use crate::trial::{Checked, Property, Stop, Trial, Use, pair};
use crate::{Availability, Endpoint, Profile};

const ALL: &[Profile] = &[Profile::Partitioner];

/// What holds for every partitioner, whatever it goes by.
pub(super) const PROPERTIES: &[Property] = &[
    Property::quick("PT1", ALL, "groups have only members, and none of them twice", groups_have_members_only),
    Property::quick(
        "PT2",
        ALL,
        "there are at most 1024 groups, however many kinds of endpoints there are",
        has_few_groups,
    ),
    Property::quick("PT3", ALL, "no two groups have the same name", tells_groups_apart),
    Property::quick(
        "PT4",
        ALL,
        "the group that is chosen is one of those given, and has an endpoint that may be used if any group has",
        chooses_what_can_be_used,
    ),
    Property::quick(
        "PT5",
        ALL,
        "the same endpoints are divided in the same way, whatever was before and in every instance",
        divides_by_what_is_there,
    ),
    Property::thorough("PT6", ALL, "the same seed and the same requests give the same choices", is_repeatable),
    Property::quick("PT7", ALL, "extreme values are divided and answered", survives_extremes),
    Property::quick(
        "PT8",
        ALL,
        "nothing is chosen before there are endpoints, nor when they are gone",
        chooses_nothing_from_nothing,
    ),
    Property::quick("PT9", ALL, "two policies of one instance know nothing of each other", policies_are_apart),
    Property::quick("PT10", ALL, "foreign state is refused or ignored", survives_foreign_state),
    Property::thorough("PT11", ALL, "memory does not grow with the number of calls", memory_stays),
    Property::thorough("PT12", ALL, "a policy that is created again divides as one that is new", can_be_created_again),
];

fn zoo(trial: &Trial<'_>, count: u64) -> Zoo {
    Zoo::of(Use::config(trial.uses, "partitioner")).with(count)
}

fn changes(trial: &mut Trial<'_>, count: u32) -> Vec<Change> {
    (0..count).map(|_| random_change(&mut trial.random)).collect()
}

/// Requests that a client could send.
fn requests(trial: &mut Trial<'_>, count: usize) -> Result<Vec<Values>, Stop> {
    let attributes = partitioner(trial, 0)?.attributes();
    let words = Vocabulary::of(Use::config(trial.uses, "partitioner"));
    Ok((0..count).map(|_| words.plausible(&mut trial.random, &attributes)).collect())
}

/// Tries groups after each of some random changes.
fn try_groups(trial: &mut Trial<'_>, mistake: impl Fn(&[Group], &[Endpoint]) -> Option<String>) -> Checked {
    let count = (trial.steps / 20).clamp(50, 2000);
    let changes = changes(trial, count);
    trial.measure("changes", f64::from(count));
    trial.try_list(changes, |trial, changes| {
        let mut partitioner = partitioner(trial, 0)?;
        let mut zoo = zoo(trial, 6);
        for (generation, change) in (1..).zip(changes) {
            zoo.take(*change);
            let groups = partitioner.divide(generation, &zoo.endpoints)?;
            if let Some(mistake) = mistake(&groups, &zoo.endpoints) {
                return Err(format!("{mistake}, of {:?}", zoo.endpoints));
            }
        }
        Ok(())
    })
}

fn groups_have_members_only(trial: &mut Trial<'_>) -> Checked {
    try_groups(trial, |groups, endpoints| {
        groups.iter().find_map(|group| {
            let mut seen = std::collections::HashSet::new();
            group.slots.iter().find_map(|slot| {
                let is_member = endpoints.iter().any(|endpoint| endpoint.slot == *slot);
                match (is_member, seen.insert(*slot)) {
                    (false, _) => Some(format!("{group:?} has slot {slot}, which is no member")),
                    (true, false) => Some(format!("{group:?} has slot {slot} twice")),
                    (true, true) => None,
                }
            })
        })
    })
}

fn tells_groups_apart(trial: &mut Trial<'_>) -> Checked {
    try_groups(trial, |groups, _| {
        let mut names = std::collections::HashSet::new();
        let twice = groups.iter().find(|group| !names.insert(&group.name));
        twice.map(|group| format!("two groups are called {:?}: {groups:?}", group.name))
    })?;
    // Names that are made of what endpoints are like must not look like those that the partitioner makes up.
    let names: Vec<String> =
        partitioner(trial, 0)?.divide(1, &zoo(trial, 20).endpoints)?.into_iter().map(|g| g.name).collect();
    let keys: Vec<String> = zoo(trial, 20).endpoints.into_iter().flat_map(|e| e.metadata).map(|(key, _)| key).collect();
    let named = |(slot, name): (u32, &String)| Endpoint {
        zone: name.clone(),
        metadata: keys.iter().map(|key| (key.clone(), name.clone())).collect(),
        ..Endpoint::new(slot)
    };
    let endpoints = (0..).zip(&names).map(named).collect();
    trial.try_list(endpoints, |trial, endpoints| {
        let mut found = std::collections::HashSet::new();
        let groups = partitioner(trial, 0)?.divide(1, endpoints)?;
        match groups.iter().find(|group| !found.insert(&group.name)) {
            Some(group) => Err(format!("two groups are called {:?}", group.name)),
            None => Ok(()),
        }
    })
}

const MOST_GROUPS: usize = 1024;

fn has_few_groups(trial: &mut Trial<'_>) -> Checked {
    let mut keys: Vec<String> =
        zoo(trial, 24).endpoints.into_iter().flat_map(|e| e.metadata).map(|(key, _)| key).collect();
    keys.sort();
    keys.dedup();
    let each = |slot: u32| Endpoint {
        priority: slot,
        zone: format!("zone-{slot}"),
        metadata: keys.iter().map(|key| (key.clone(), format!("value-{slot}"))).collect(),
        ..Endpoint::new(slot)
    };
    let endpoints: Vec<Endpoint> = (0..1500).map(each).collect();
    let groups = partitioner(trial, 0)?.divide(1, &endpoints)?;
    trial.measure("groups", groups.len() as f64);
    if groups.len() > MOST_GROUPS {
        return Err(
            format!("{} groups of 1500 endpoints with a zone, a level and labels of their own", groups.len()).into()
        );
    }
    Ok(())
}

/// What is wrong with a choice.
fn mistake(groups: &[Group], endpoints: &[Endpoint], chosen: u32) -> Option<String> {
    let is_usable =
        |group: &Group| group.slots.iter().any(|slot| endpoints.iter().any(|e| e.slot == *slot && e.takes_new()));
    let Some(group) = groups.get(chosen as usize) else {
        return Some(format!("chose group {chosen} of {}", groups.len()));
    };
    if is_usable(group) || !groups.iter().any(is_usable) {
        return None;
    }
    Some(format!("chose {group:?}, where nothing may be used, of {groups:?}"))
}

fn chooses_what_can_be_used(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 8)?;
    let count = (trial.steps / 50).clamp(50, 1000);
    let changes = changes(trial, count);
    trial.measure("changes", f64::from(count));
    trial.try_list(changes, |trial, changes| {
        let mut partitioner = partitioner(trial, 0)?;
        let mut zoo = zoo(trial, 6);
        for (generation, change) in (1..).zip(changes) {
            zoo.take(*change);
            try_choices(&mut *partitioner, generation, &zoo.endpoints, &requests)?;
        }
        Ok(())
    })?;
    // Each of them as the only one that may be used, among others and by itself.
    let mut partitioner = partitioner(trial, 0)?;
    let all = zoo(trial, 9).endpoints;
    for (generation, only) in (1..).zip(&all) {
        let only = Endpoint { availability: Availability::Ready, weight: 1, ..only.clone() };
        let mut others = all.clone();
        for endpoint in &mut others {
            if endpoint.slot == only.slot {
                *endpoint = only.clone();
            } else {
                endpoint.availability = Availability::Unavailable;
            }
        }
        try_choices(&mut *partitioner, 2 * generation, &others, &requests)?;
        try_choices(&mut *partitioner, 2 * generation + 1, &[only], &requests)?;
    }
    Ok(())
}

/// Tells endpoints, and looks at what is chosen for requests and their further attempts.
fn try_choices(
    partitioner: &mut dyn Partitioner,
    generation: u64,
    endpoints: &[Endpoint],
    requests: &[Values],
) -> Result<(), String> {
    let groups = partitioner.divide(generation, endpoints)?;
    for (number, request) in (0..).zip(requests) {
        for attempt in [1, 2, 3, 30] {
            let key = (number % 2 == 0).then_some(number * 0x1234_5678);
            let Some(chosen) = partitioner.choose(request, key, attempt)? else { continue };
            if let Some(mistake) = mistake(&groups, endpoints, chosen) {
                return Err(format!("{request:?}, attempt {attempt}: {mistake}, of {endpoints:?}"));
            }
        }
    }
    Ok(())
}

fn divides_by_what_is_there(trial: &mut Trial<'_>) -> Checked {
    let count = (trial.steps / 50).clamp(50, 500);
    let changes = changes(trial, count);
    trial.try_list(changes, |trial, changes| {
        let mut partitioner = partitioner(trial, 0)?;
        let mut zoo = zoo(trial, 6);
        for (generation, change) in (1..).zip(changes) {
            zoo.take(*change);
            partitioner.divide(generation, &zoo.endpoints)?;
        }
        let with_a_past = partitioner.divide(1000, &zoo.endpoints)?;
        let mut other = super::policy::partitioner(trial, 1)?;
        other.set_now_ms(86_400_000);
        let without = other.divide(1, &zoo.endpoints)?;
        if with_a_past != without {
            return Err(format!(
                "{with_a_past:?} after changes, {without:?} by another instance, of {:?}",
                zoo.endpoints
            ));
        }
        Ok(())
    })
}

/// What is chosen by a partitioner while endpoints change.
fn choices(
    partitioner: &mut dyn Partitioner,
    zoo: &mut Zoo,
    changes: &[Change],
    requests: &[Values],
) -> Result<Vec<Option<u32>>, String> {
    let mut chosen = Vec::new();
    for (generation, change) in (1..).zip(changes) {
        zoo.take(*change);
        partitioner.divide(generation, &zoo.endpoints)?;
        for request in requests {
            chosen.push(partitioner.choose(request, Some(generation), 1)?);
        }
    }
    Ok(chosen)
}

fn is_repeatable(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 8)?;
    let count = (trial.steps / 50).clamp(50, 500);
    let changes = changes(trial, count);
    trial.try_list(changes, |trial, changes| {
        let play = || choices(&mut *partitioner(trial, 0)?, &mut zoo(trial, 6), changes, &requests);
        let (one, other) = (play()?, play()?);
        match one.iter().zip(&other).position(|(one, other)| one != other) {
            Some(at) => Err(format!("choice {at}: {:?} the first time, {:?} the second", one[at], other[at])),
            None => Ok(()),
        }
    })
}

fn survives_extremes(trial: &mut Trial<'_>) -> Checked {
    const NUMBERS: [u32; 6] = [0, 1, 1000, 65_536, u32::MAX - 1, u32::MAX];
    let attributes = partitioner(trial, 0)?.attributes();
    let words = Vocabulary::of(Use::config(trial.uses, "partitioner"));
    let mut sets = Vec::new();
    for _ in 0..(trial.steps / 100).clamp(20, 200) {
        let random = &mut trial.random;
        let mut one_of = || NUMBERS[random.usize(..NUMBERS.len())];
        let mut set: Vec<Endpoint> = NUMBERS
            .iter()
            .map(|slot| Endpoint { weight: one_of(), ramp: one_of(), priority: one_of(), ..Endpoint::new(*slot) })
            .collect();
        for endpoint in &mut set {
            endpoint.zone = ["", "a", "\u{0}", "ä".repeat(200).as_str()][random.usize(..4)].to_owned();
            endpoint.metadata = vec![("version".into(), endpoint.zone.clone()), (String::new(), String::new())];
            endpoint.availability = [Availability::Ready, Availability::Unavailable][random.usize(..2)];
        }
        let generation = [0, 1, 5, 4, u64::MAX][random.usize(..5)];
        let request = words.hostile(random, &attributes);
        sets.push((generation, set, request));
    }
    trial.try_list(sets, |trial, sets| {
        let mut partitioner = partitioner(trial, 0)?;
        for (generation, endpoints, request) in sets {
            partitioner.set_now_ms(*generation);
            partitioner.divide(*generation, endpoints)?;
            for (key, attempt) in [(None, 0), (Some(u64::MAX), 1), (Some(0), u32::MAX)] {
                partitioner.choose(request, key, attempt)?;
            }
        }
        Ok(())
    })
}

fn chooses_nothing_from_nothing(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 8)?;
    let mut partitioner = partitioner(trial, 0)?;
    let nothing = |partitioner: &mut dyn Partitioner, when: &str| -> Checked {
        for request in &requests {
            if let Some(chosen) = partitioner.choose(request, None, 1)? {
                return Err(format!("group {chosen} {when}").into());
            }
        }
        Ok(())
    };
    nothing(&mut *partitioner, "before there were any")?;
    for generation in [1, 3] {
        partitioner.divide(generation, &zoo(trial, 9).endpoints)?;
        partitioner.divide(generation + 1, &[])?;
        nothing(&mut *partitioner, "after all endpoints had gone")?;
    }
    Ok(())
}

fn policies_are_apart(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 4)?;
    let config = Use::config(trial.uses, "partitioner").to_owned();
    let count = (trial.steps / 100).clamp(50, 300);
    let changes = changes(trial, count);
    trial.try_list(changes, |trial, changes| {
        let mut alone = partitioner(trial, 0)?;
        let (mut one, mut other) = pair(trial.subject.partitioners(&config, 0, 2))?;
        let (mut zoo, mut neighbours) = (zoo(trial, 6), Zoo::of(&config));
        for (generation, change) in (1..).zip(changes) {
            zoo.take(*change);
            let expected = alone.divide(generation, &zoo.endpoints)?;
            let groups = one.divide(generation, &zoo.endpoints)?;
            if groups != expected {
                return Err(format!("{groups:?} beside another policy, {expected:?} without"));
            }
            neighbours.take(*change);
            other.divide(generation, &neighbours.endpoints)?;
            for request in &requests {
                other.choose(request, None, 1)?;
                let (chosen, expected) = (one.choose(request, None, 1)?, alone.choose(request, None, 1)?);
                if chosen != expected {
                    return Err(format!("{request:?}: {chosen:?} beside another policy, {expected:?} without"));
                }
            }
        }
        Ok(())
    })
}

fn survives_foreign_state(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 20)?;
    let zoo = zoo(trial, 9);
    let mut saving = partitioner(trial, 0)?;
    let expected = saving.divide(1, &zoo.endpoints)?;
    let own = saving.save().map_err(|fault| format!("saving: {fault}"))?;
    let mut states = foreign_states(&mut trial.random, &own);
    states.push(own);
    for state in states {
        trial.try_list(state, |trial, state| {
            let mut restored = partitioner(trial, 0)?;
            restored.restore(state).map_err(|fault| format!("restoring: {fault}"))?;
            let groups = restored.divide(1, &zoo.endpoints)?;
            if groups != expected {
                return Err(format!("{groups:?} with the state, {expected:?} without"));
            }
            for request in &requests {
                restored.choose(request, None, 1)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn memory_stays(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 20)?;
    let mut partitioner = partitioner(trial, 0)?;
    let count = (trial.steps / 100).max(100);
    let changes = changes(trial, count);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        choices(&mut *partitioner, &mut zoo(trial, 9), &changes, &requests)?;
        let Some(size) = partitioner.memory_bytes() else {
            return Err(Stop::Skipped("the size of its memory is not known".into()));
        };
        sizes.push(size);
    }
    if sizes.windows(2).all(|pair| pair[1] > pair[0] + PAGE) {
        return Err(format!("it grew with each {count} changes: {sizes:?} bytes").into());
    }
    trial.measure("bytes", sizes[4] as f64);
    Ok(())
}

fn can_be_created_again(trial: &mut Trial<'_>) -> Checked {
    let requests = requests(trial, 8)?;
    let changes = changes(trial, 100);
    let mut old = partitioner(trial, 0)?;
    choices(&mut *old, &mut zoo(trial, 6), &changes, &requests)?;
    old.create_again().map_err(|fault| format!("creating it again: {fault}"))?;
    for request in &requests {
        if let Some(chosen) = old.choose(request, None, 1)? {
            return Err(format!("group {chosen}, before it was told any endpoints again").into());
        }
    }
    let endpoints = zoo(trial, 20).endpoints;
    let (again, new) = (old.divide(1, &endpoints)?, partitioner(trial, 0)?.divide(1, &endpoints)?);
    if again != new {
        return Err(format!("{again:?}, and a new policy {new:?}").into());
    }
    Ok(())
}
