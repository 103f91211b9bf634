use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::candidate::own_name;
use super::differences::{Difference, Differences};
use super::fault::Fault;
use super::instance::Instance;
use super::policy::Role;
use super::values::AttributeValues;
use crate::snapshot::EndpointSet;
use crate::telemetry::{ShadowResult, ShadowShard};

/// Roles in which a candidate decides: each of their decisions is one call, and has no effect but what the host makes of it.
pub const SHADOWED: [Role; 2] = [Role::Router, Role::Balancer];

/// A candidate's instance beside a live one of the same worker.
pub(super) struct Shadow {
    candidate: Instance,
    /// By the numbers that the policies have in the live instance.
    pairs: Vec<Option<Pair>>,
    differences: Arc<Differences>,
    values: AttributeValues,
}

/// A policy of the candidate, and what is known of the one that it stands beside.
struct Pair {
    /// Its number in the candidate.
    number: u32,
    role: Role,
    scope: Arc<str>,
    shard: Arc<ShadowShard>,
}

/// A decision in words.
pub(super) struct Words {
    pub(super) asked: String,
    pub(super) live: String,
    pub(super) candidate: String,
}

impl Shadow {
    /// The policies of the candidate are those that the live instance has; those of groups, which only a worker knows, are
    /// created here. They begin with what the live ones hand on.
    fn begin(live: &mut Instance, candidate: Instance, differences: Arc<Differences>) -> Self {
        let mut made = candidate.policies();
        let mut shadow = Self { candidate, pairs: Vec::new(), differences, values: AttributeValues::default() };
        for (number, config, endpoints) in live.policies() {
            if !SHADOWED.contains(&config.role) {
                continue;
            }
            let is_same = |scope: &str, text: &str| scope == &*config.scope && text == &*config.config;
            let at = made.iter().position(|(_, own, _)| own.role == config.role && is_same(&own.scope, &own.config));
            let own = match at.map(|at| made.swap_remove(at).0) {
                Some(own) => {
                    shadow.candidate.set_endpoints(own, &endpoints);
                    Ok(own)
                }
                None => shadow.candidate.add_policy(config.clone(), endpoints),
            };
            match own {
                Ok(own) => shadow.pair(number, own, config.role, &config.scope),
                Err(error) => tracing::warn!(scope = &*config.scope, "no candidate for a policy: {error}"),
            }
        }
        for (left, ..) in made {
            shadow.candidate.destroy_policy(left);
        }
        shadow.candidate.restore(&live.save());
        shadow
    }

    fn pair(&mut self, live: u32, number: u32, role: Role, scope: &Arc<str>) {
        let shard = self.candidate.shadow_shard(own_name(&self.candidate.plugin().name), role);
        let at = live as usize;
        if self.pairs.len() <= at {
            self.pairs.resize_with(at + 1, || None);
        }
        self.pairs[at] = Some(Pair { number, role, scope: scope.clone(), shard });
    }

    fn of(&self, live: u32) -> Option<&Pair> {
        self.pairs.get(live as usize)?.as_ref()
    }

    /// Has the candidate decide what the live policy has decided, and counts how the two stand.
    pub(super) fn decide<T: PartialEq>(
        &mut self,
        policy: u32,
        live: Result<&T, Fault>,
        decide: impl FnOnce(&mut Instance, u32, &mut AttributeValues) -> Result<T, Fault>,
        words: impl FnOnce(&T, &T) -> Words,
    ) {
        let Some(Some(pair)) = self.pairs.get(policy as usize) else { return };
        let candidate = decide(&mut self.candidate, pair.number, &mut self.values);
        let (live, candidate) = match (live, candidate) {
            (_, Err(_)) => return pair.shard.decided(ShadowResult::CandidateFault),
            (Err(_), Ok(_)) => return pair.shard.decided(ShadowResult::LiveFault),
            (Ok(live), Ok(candidate)) => (live, candidate),
        };
        if *live == candidate {
            return pair.shard.decided(ShadowResult::Same);
        }
        pair.shard.decided(ShadowResult::Different);
        let (now_ms, at_unix_ms) = self.candidate.times_ms();
        self.differences.note(now_ms, || {
            let Words { asked, live, candidate } = words(live, &candidate);
            let scope = pair.scope.to_string();
            Difference { at_unix_ms, role: pair.role.to_string(), scope, asked, live, candidate }
        });
    }

    /// Tells the candidate something that the live policy is told.
    pub(super) fn tell<T>(&mut self, policy: u32, tell: impl FnOnce(&mut Instance, u32) -> T) -> Option<T> {
        let number = self.of(policy)?.number;
        Some(tell(&mut self.candidate, number))
    }

    /// The live instance has another policy like `policy`, for a part of its cluster.
    pub(super) fn add_like(&mut self, policy: u32, part: &str, endpoints: &Arc<EndpointSet>, added: u32) {
        let Some((number, role)) = self.of(policy).map(|pair| (pair.number, pair.role)) else { return };
        // The fault, if any, is counted.
        if let Ok(number) = self.candidate.add_policy_like(number, part, endpoints)
            && let Some(scope) = self.candidate.scope(number)
        {
            self.pair(added, number, role, &scope);
        }
    }

    pub(super) fn remove(&mut self, policy: u32) {
        if let Some(pair) = self.pairs.get_mut(policy as usize).and_then(Option::take) {
            self.candidate.destroy_policy(pair.number);
        }
    }
}

/// The place of a candidate beside an instance of a worker. It is empty but for a while.
#[derive(Default)]
pub struct ShadowPlace {
    /// All that is looked at while it is empty.
    is_taken: Cell<bool>,
    shadow: RefCell<Option<Shadow>>,
}

impl std::fmt::Debug for ShadowPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_taken.get() { "a candidate beside it" } else { "no candidate beside it" })
    }
}

impl ShadowPlace {
    /// From now on the candidate decides beside the live instance.
    pub fn begin(&self, live: &mut Instance, candidate: Instance, differences: Arc<Differences>) {
        *self.shadow.borrow_mut() = Some(Shadow::begin(live, candidate, differences));
        self.is_taken.set(true);
    }

    /// The candidate whose differences these are gives up its place, if it has it.
    pub fn end(&self, differences: &Arc<Differences>) {
        let is_its = |shadow: &Shadow| Arc::ptr_eq(&shadow.differences, differences);
        if self.shadow.borrow().as_ref().is_some_and(is_its) {
            self.clear();
        }
    }

    fn clear(&self) {
        self.is_taken.set(false);
        self.shadow.take();
    }

    /// Does something with the candidate, if there is one. One that is quarantined gives up its place.
    #[inline]
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Shadow) -> T) -> Option<T> {
        if self.is_taken.get() { self.with_candidate(act) } else { None }
    }

    #[cold]
    fn with_candidate<T>(&self, act: impl FnOnce(&mut Shadow) -> T) -> Option<T> {
        let (done, is_over) = {
            let mut place = self.shadow.borrow_mut();
            let shadow = place.as_mut()?;
            let done = act(shadow);
            (done, shadow.candidate.is_quarantined())
        };
        if is_over {
            self.clear();
        }
        Some(done)
    }
}
