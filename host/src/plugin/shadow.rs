use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::candidate::own_name;
use super::create_error::CreateError;
use super::deadline::Call;
use super::differences::{Difference, Differences};
use super::fault::Fault;
use super::instance::Instance;
use super::policy::{PolicyConfig, Role};
use super::recording::{Asked, Event, RecordedConfig, RecordedOutcome, to_text};
use super::tape::{Recorded, Tape};
use super::values::AttributeValues;
use crate::snapshot::{EndpointSet, Outcome};
use crate::telemetry::{ShadowResult, ShadowShard};

/// Roles in which a candidate decides: each of their decisions is one call, and has no effect but what the host makes of it.
pub const SHADOWED: [Role; 2] = [Role::Router, Role::Balancer];

/// A candidate's instance beside a live one of the same worker, or one of the same version that is recorded.
pub(super) struct Shadow {
    candidate: Instance,
    /// Where what happens to it is written down.
    tape: Option<Tape>,
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

/// How a decision is told.
pub(super) struct Told<W, A, E> {
    /// To people, where both differ.
    pub(super) words: W,
    /// What a recording has of the question, and of the answer.
    pub(super) asked: A,
    pub(super) exactly: E,
}

impl Shadow {
    /// The policies of the candidate are those that the live instance has; those of groups, which only a worker knows, are
    /// created here. They begin with what the live ones hand on.
    fn begin(
        live: &mut Instance,
        candidate: Instance,
        differences: Arc<Differences>,
        recorded: Option<Arc<Recorded>>,
    ) -> Self {
        let mut made = candidate.policies();
        let tape = recorded.map(|recorded| Tape::begin(recorded, &candidate));
        let mut shadow = Self { candidate, tape, pairs: Vec::new(), differences, values: AttributeValues::default() };
        if let Some(tape) = &mut shadow.tape {
            for (number, config, endpoints) in &made {
                let config = RecordedConfig::of(config, shadow.candidate.attribute_names(*number));
                tape.created(&mut shadow.candidate, *number, config, endpoints);
            }
        }
        for (number, config, endpoints) in live.policies() {
            if !SHADOWED.contains(&config.role) {
                continue;
            }
            let is_same = |scope: &str, text: &str| scope == &*config.scope && text == &*config.config;
            let at = made.iter().position(|(_, own, _)| own.role == config.role && is_same(&own.scope, &own.config));
            let own = match at.map(|at| made.swap_remove(at).0) {
                Some(own) => {
                    shadow.put_endpoints(own, &endpoints);
                    Ok(own)
                }
                None => shadow.add(&config, endpoints),
            };
            match own {
                Ok(own) => shadow.pair(number, own, config.role, &config.scope),
                Err(error) => tracing::warn!(scope = &*config.scope, "no candidate for a policy: {error}"),
            }
        }
        for (left, ..) in made {
            shadow.destroy(left);
        }
        let saved = live.save();
        if let Some(tape) = &mut shadow.tape {
            for (role, scope, state) in &saved {
                let (role, scope) = (role.to_string(), scope.to_string());
                tape.write(&Event::Restore { role, scope, state: to_text(state) });
            }
        }
        shadow.candidate.restore(&saved);
        shadow
    }

    /// A policy of the candidate that the live instance has beyond those of the configuration.
    fn add(&mut self, config: &PolicyConfig, endpoints: Arc<EndpointSet>) -> Result<u32, CreateError> {
        let Some(tape) = &mut self.tape else { return self.candidate.add_policy(config.clone(), endpoints) };
        let recorded = tape.endpoints(&endpoints);
        let own = Arc::new(recorded.to_set());
        let policy = self.candidate.add_policy(config.clone(), own.clone())?;
        tape.track(policy, &own, &endpoints);
        let config = RecordedConfig::of(config, self.candidate.attribute_names(policy));
        tape.write(&Event::Policy { policy, config, endpoints: recorded });
        Ok(policy)
    }

    fn destroy(&mut self, policy: u32) {
        self.candidate.destroy_policy(policy);
        if let Some(tape) = &mut self.tape {
            tape.forget(policy);
        }
    }

    fn put_endpoints(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) {
        let Some(tape) = &mut self.tape else { return self.candidate.set_endpoints(policy, endpoints) };
        let at_ms = tape.tick(&self.candidate);
        let recorded = tape.endpoints(endpoints);
        let own = Arc::new(recorded.to_set());
        tape.track(policy, &own, endpoints);
        tape.write(&Event::Endpoints { policy, at_ms, endpoints: recorded });
        self.candidate.put_endpoints(policy, &own);
    }

    /// Brings the candidate of a policy to another generation of the endpoints.
    pub(super) fn set_endpoints(&mut self, policy: u32, endpoints: &Arc<EndpointSet>) {
        if let Some(number) = self.of(policy).map(|pair| pair.number) {
            self.put_endpoints(number, endpoints);
        }
    }

    /// Tells the candidate of a policy what became of attempts.
    pub(super) fn hear(&mut self, policy: u32, batch: &[Outcome], hear: impl FnOnce(&mut Instance, u32, &[Outcome])) {
        let Some(number) = self.of(policy).map(|pair| pair.number) else { return };
        if let Some(tape) = &mut self.tape {
            let at_ms = tape.tick(&self.candidate);
            tape.count(number);
            let outcomes = batch.iter().map(RecordedOutcome::of).collect();
            tape.write(&Event::Outcomes { policy: number, at_ms, outcomes });
        }
        hear(&mut self.candidate, number, batch);
    }

    /// Ticks what is due, and answers when something is again.
    fn tick(&mut self, now_ms: u64) -> Option<u64> {
        for policy in self.candidate.due(now_ms) {
            if let Some(tape) = &mut self.tape {
                let at_ms = tape.tick(&self.candidate);
                tape.count(policy);
                tape.write(&Event::Tick { policy, at_ms });
            }
            // The fault, if any, is counted.
            let _ = self.candidate.tick_policy(policy, Call::off_request_path("tick"));
        }
        self.candidate.next_due()
    }

    fn is_over(&self) -> bool {
        self.candidate.is_quarantined() || self.tape.as_ref().is_some_and(Tape::is_full)
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
        told: Told<
            impl FnOnce(&T, &T) -> Words,
            impl FnOnce(&AttributeValues) -> Asked,
            impl Fn(&Instance, u32, Result<&T, Fault>) -> String,
        >,
    ) {
        let Some(Some(pair)) = self.pairs.get(policy as usize) else { return };
        let at_ms = self.tape.as_mut().map(|tape| {
            let at_ms = tape.tick(&self.candidate);
            tape.count(pair.number);
            at_ms
        });
        let candidate = decide(&mut self.candidate, pair.number, &mut self.values);
        if let (Some(tape), Some(at_ms)) = (&mut self.tape, at_ms) {
            let answer = (told.exactly)(&self.candidate, pair.number, candidate.as_ref().map_err(|fault| *fault));
            let live = (told.exactly)(&self.candidate, pair.number, live);
            let asked = (told.asked)(&self.values);
            return tape.write(&Event::Decision { policy: pair.number, at_ms, asked, answer, live });
        }
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
            let Words { asked, live, candidate } = (told.words)(live, &candidate);
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
        if let Ok(number) = self.add_part(number, part, endpoints)
            && let Some(scope) = self.candidate.scope(number)
        {
            self.pair(added, number, role, &scope);
        }
    }

    fn add_part(&mut self, of: u32, part: &str, endpoints: &Arc<EndpointSet>) -> Result<u32, CreateError> {
        let Some(tape) = &mut self.tape else { return self.candidate.add_policy_like(of, part, endpoints) };
        let recorded = tape.endpoints(endpoints);
        let own = Arc::new(recorded.to_set());
        let policy = self.candidate.add_policy_like(of, part, &own)?;
        tape.track(policy, &own, endpoints);
        tape.write(&Event::Part { of, policy, part: part.to_owned(), endpoints: recorded });
        Ok(policy)
    }

    pub(super) fn remove(&mut self, policy: u32) {
        if let Some(pair) = self.pairs.get_mut(policy as usize).and_then(Option::take) {
            self.destroy(pair.number);
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
    /// From now on the candidate decides beside the live instance, and what happens to it is `recorded` if that is wanted.
    pub fn begin(
        &self,
        live: &mut Instance,
        candidate: Instance,
        differences: Arc<Differences>,
        recorded: Option<Arc<Recorded>>,
    ) {
        *self.shadow.borrow_mut() = Some(Shadow::begin(live, candidate, differences, recorded));
        self.is_taken.set(true);
    }

    /// The candidate whose differences these are gives up its place, if it has it.
    pub fn end(&self, differences: &Arc<Differences>) {
        let is_its = |shadow: &Shadow| Arc::ptr_eq(&shadow.differences, differences);
        if self.shadow.borrow().as_ref().is_some_and(is_its) {
            self.clear();
        }
    }

    /// Ticks those policies of the candidate of which a tick is due, and answers when one is again.
    pub fn tick(&self, now_ms: u64) -> Option<u64> {
        self.with(|shadow| shadow.tick(now_ms)).flatten()
    }

    fn clear(&self) {
        self.is_taken.set(false);
        self.shadow.take();
    }

    /// Does something with the candidate, if there is one. One that is quarantined, or whose recording is full, gives up its place.
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
            (done, shadow.is_over())
        };
        if is_over {
            self.clear();
        }
        Some(done)
    }
}
