//! Which instance has which policy. A policy that a change leaves as it is (the same version of its plugin, the same
//! configuration, for the same listener or cluster) stays where it is, with all that it knows; instances are made for what
//! is new or has changed only.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::plugin::{Plugin, PolicyConfig, Role};
use crate::worker::{InstanceNumber, PolicyRef};

/// Instances of one plugin that a thread has at the most. Each has memory of its own, and all threads together a bounded
/// number. A change that would need one more has the smallest of them made anew with it.
const MOST_INSTANCES: usize = 4;

/// One policy among those of its plugin.
#[derive(Clone, Debug)]
pub(in crate::control) struct Use {
    pub(in crate::control) plugin: Arc<str>,
    pub(in crate::control) position: usize,
}

/// Where the policies of a configuration are.
#[derive(Clone, Debug, Default)]
pub(super) struct Placement(BTreeMap<Arc<str>, Placed>);

/// Where the policies are that a configuration takes.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Placements {
    /// Those on every worker.
    pub(super) data: Placement,
    /// Those in the control plane.
    pub(super) control: Placement,
}

/// The policies of one plugin, in the order of the configuration.
#[derive(Clone, Debug)]
struct Placed {
    version: Arc<Plugin>,
    policies: Vec<(PolicyConfig, PolicyRef)>,
}

/// An instance that is to be made.
#[derive(Debug)]
pub(super) struct New {
    pub(super) number: InstanceNumber,
    pub(super) plugin: Arc<Plugin>,
    pub(super) policies: Vec<PolicyConfig>,
}

impl Placement {
    /// Where the policies `wanted` are to be when these are `live`, and the instances that have to be made for it.
    /// `number` gives each one that was never given before.
    pub(super) fn next(
        &self,
        live: &BTreeMap<Arc<str>, Arc<Plugin>>,
        wanted: &BTreeMap<Arc<str>, Vec<PolicyConfig>>,
        mut number: impl FnMut() -> InstanceNumber,
    ) -> (Self, Vec<New>) {
        let mut next = Self::default();
        let mut new = Vec::new();
        for (name, policies) in wanted {
            let Some(version) = live.get(name) else { continue };
            let before = self.0.get(name).filter(|placed| Arc::ptr_eq(&placed.version, version));
            let mut stay = staying(before, policies);
            make_room(&mut stay);
            let mut made = New { number: number(), plugin: version.clone(), policies: Vec::new() };
            let placed = policies.iter().zip(stay).map(|(policy, stays)| {
                let place = stays.unwrap_or_else(|| {
                    made.policies.push(policy.clone());
                    PolicyRef { instance: made.number, policy: made.policies.len() as u32 - 1 }
                });
                (policy.clone(), place)
            });
            let placed = Placed { version: version.clone(), policies: placed.collect() };
            next.0.insert(name.clone(), placed);
            if !made.policies.is_empty() {
                new.push(made);
            }
        }
        (next, new)
    }

    /// The instances that have policies of a plugin in one of these roles, each with those.
    pub(super) fn instances(&self, plugin: &str, roles: &[Role]) -> BTreeMap<InstanceNumber, Vec<PolicyConfig>> {
        let mut instances: BTreeMap<InstanceNumber, Vec<PolicyConfig>> = BTreeMap::new();
        let placed = self.0.get(plugin).into_iter().flat_map(|placed| &placed.policies);
        for (policy, place) in placed.filter(|(policy, _)| roles.contains(&policy.role)) {
            instances.entry(place.instance).or_default().push(policy.clone());
        }
        instances
    }

    pub(super) fn of(&self, used: &Use) -> Option<PolicyRef> {
        self.0.get(&used.plugin)?.policies.get(used.position).map(|(_, place)| *place)
    }
}

/// The place of each policy that was there before in just this form.
fn staying(before: Option<&Placed>, policies: &[PolicyConfig]) -> Vec<Option<PolicyRef>> {
    let mut known: HashMap<(Role, &str), VecDeque<&(PolicyConfig, PolicyRef)>> = HashMap::new();
    for placed in before.into_iter().flat_map(|before| &before.policies) {
        known.entry((placed.0.role, &placed.0.scope)).or_default().push_back(placed);
    }
    let mut stays = Vec::with_capacity(policies.len());
    for policy in policies {
        // A cluster may use a plugin twice in one role.
        let candidates = known.get_mut(&(policy.role, &*policy.scope));
        stays.push(candidates.and_then(|candidates| {
            let found = candidates.iter().position(|(before, _)| is_same(before, policy))?;
            candidates.remove(found).map(|(_, place)| *place)
        }));
    }
    stays
}

fn is_same(before: &PolicyConfig, policy: &PolicyConfig) -> bool {
    // Only routers know clusters, by their positions.
    let same_clusters = policy.role != Role::Router || before.known_clusters == policy.known_clusters;
    before.config == policy.config && same_clusters
}

/// Gives up the smallest instances, if one more would be too many.
fn make_room(stay: &mut [Option<PolicyRef>]) {
    while stay.contains(&None) {
        let mut sizes: BTreeMap<InstanceNumber, usize> = BTreeMap::new();
        for place in stay.iter().flatten() {
            *sizes.entry(place.instance).or_default() += 1;
        }
        if sizes.len() < MOST_INSTANCES {
            return;
        }
        let smallest = sizes.into_iter().min_by_key(|(_, size)| *size).map(|(instance, _)| instance);
        for place in stay.iter_mut() {
            *place = place.take_if(|place| Some(place.instance) != smallest);
        }
    }
}
