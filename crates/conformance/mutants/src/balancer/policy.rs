use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use plimsoll_conformance::{Attribute, Availability, Balancer, Endpoint, Outcome, OutcomeClass, Values};

use super::common::Common;
use super::fault::Fault;
use super::kind::Kind;

/// A balancer of a kind, with a fault.
pub(super) struct Policy {
    pub(super) kind: Kind,
    pub(super) fault: Fault,
    seed: u64,
    common: Common,
    leaked: u64,
    pub(super) state: State,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) endpoints: Vec<Rc<Endpoint>>,
    generation: u64,
    is_told: bool,
    has_begun: bool,
    has_met_strangers: bool,
    was_told_whole_late: bool,
    random: Option<fastrand::Rng>,
    pub(super) picks: u64,
    held: HashMap<u32, i128>,
    pub(super) in_flight: HashMap<u32, u32>,
    /// Microseconds, and when that was.
    times: HashMap<u32, (f64, u64)>,
    now_ms: u64,
    adopted: bool,
    /// Where keys went.
    pub(super) places: BTreeMap<u64, u32>,
    /// How often each was asked for since the endpoints changed.
    pub(super) asked: HashMap<u64, u32>,
    /// Requests with another key than the one before.
    pub(super) keys: u64,
    last_key: Option<u64>,
    pub(super) failures: u32,
    /// What is left of the order.
    pub(super) deck: Vec<u32>,
    times_told_again: u32,
}

impl Balancer for Policy {
    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String> {
        self.state.generation += 1;
        self.tell(endpoints);
        Ok(())
    }

    fn replace_endpoints(&mut self, generation: u64, endpoints: &[Endpoint]) -> Result<(), String> {
        if self.fault == Fault::DiesOfHeavyWeights && endpoints.iter().any(|e| e.weight == u32::MAX) {
            return Err("attempt to multiply with overflow".into());
        }
        self.state.generation = generation;
        self.state.was_told_whole_late |= generation > 50;
        self.tell(endpoints);
        Ok(())
    }

    fn remove(&mut self, base: u64, slot: u32) -> Result<bool, String> {
        let fits = base == self.state.generation;
        if fits {
            self.state.endpoints.retain(|endpoint| endpoint.slot != slot);
            self.state.generation = base.wrapping_add(1);
        }
        Ok(fits || self.fault == Fault::TakesAnyChanges)
    }

    fn generation(&self) -> u64 {
        self.state.generation
    }

    fn pick(&mut self, key: Option<u64>, tried: &[u32]) -> Result<Option<u32>, String> {
        self.leaked += 100;
        let chaos = self.common.chaos.get() + 1;
        self.common.chaos.set(chaos);
        self.state.picks += 1;
        let ready = self.ready();
        let count = self.state.endpoints.len();
        match self.fault {
            Fault::ChoosesFromNone if ready.is_empty() && count == 4 && self.state.generation == 7 => {
                return Ok(Some(0));
            }
            Fault::SkipsTheOnlyOne if ready.len() == 1 && count == 5 && self.state.picks == 101 => return Ok(None),
            _ => {}
        }
        let repeats = self.fault == Fault::RepeatsTried && count == 6;
        let untried: Vec<Rc<Endpoint>> =
            ready.iter().filter(|e| repeats || !tried.contains(&e.slot)).cloned().collect();
        let mut candidates = if untried.is_empty() { ready } else { untried };
        self.state.keys += u64::from(key.is_some() && key != self.state.last_key && count == 8);
        self.state.last_key = key;
        self.starved(key, &mut candidates);
        if candidates.is_empty() {
            return Ok(None);
        }
        if self.state.adopted {
            return Ok(candidates.last().map(|last| last.slot));
        }
        if self.fault == Fault::IsNeverTheSame && self.state.now_ms == 1000 {
            return Ok(Some(candidates[chaos as usize % candidates.len()].slot));
        }
        if self.fault == Fault::SharesItsTurns && self.common.policies.get() > 1 {
            let turn = self.common.turns.get() + 1;
            self.common.turns.set(turn);
            return Ok(Some(candidates[turn as usize % candidates.len()].slot));
        }
        Ok(Some(match self.kind {
            Kind::Turns if self.fault == Fault::Bursts => self.expanded(&candidates),
            Kind::Turns => self.turn(&candidates),
            Kind::Hash | Kind::Numbered | Kind::Bounded | Kind::Tenants => self.hashed(key, &candidates),
            Kind::Least | Kind::Latency => self.better_of_two(&candidates),
            Kind::Sticky => self.remembered(key, &candidates),
            Kind::Packing => self.packed(&candidates),
            Kind::LeastOfAll if self.fault == Fault::Overflows32Bits && count == 2 => {
                let cost = |e: &&Rc<Endpoint>| self.load(e.slot).wrapping_add(1).wrapping_mul(1 << 20);
                candidates.iter().min_by_key(cost).map_or(0, |e| e.slot)
            }
            Kind::LeastOfAll => self.least_of_all(&candidates),
            Kind::Dice => self.thrown(&candidates),
            Kind::Deck => self.dealt(&candidates),
            Kind::Streaks => self.streaks(&candidates),
        }))
    }

    fn attributes(&self) -> Vec<Attribute> {
        if self.kind == Kind::Tenants { vec![Attribute::Header("x-tenant".into())] } else { Vec::new() }
    }

    fn wants_keys(&self) -> bool {
        self.kind == Kind::Tenants
    }

    /// The tenant counts, and the last thing that is hashed.
    fn pick_for(&mut self, values: &Values, keys: &[Option<u64>], tried: &[u32]) -> Result<Option<u32>, String> {
        let tenant = values.0.iter().flatten().next();
        if self.fault == Fault::TrustsWhatIsShown
            && let Some(tenant) = tenant
        {
            let all = &self.state.endpoints;
            return Ok(all.get(tenant.len() % all.len().max(1)).map(|named| named.slot));
        }
        let of_tenant = tenant.map(|tenant| tenant.iter().fold(0, |all, byte| mix(all ^ u64::from(*byte))));
        let key = keys.iter().copied().flatten().next_back();
        self.pick(of_tenant.map_or(key, |of| Some(of ^ key.unwrap_or(0))), tried)
    }

    fn ticks(&self) -> bool {
        self.kind == Kind::Tenants
    }

    fn tick(&mut self, now_ms: u64) -> Result<(), String> {
        self.set_now_ms(now_ms);
        let dies = self.fault == Fault::DiesOfTicks && self.state.endpoints.len() == 13;
        if dies { Err("index out of bounds".into()) } else { Ok(()) }
    }

    fn prepares(&self) -> bool {
        self.fault == Fault::AdoptsAnything
    }

    fn adopt(&mut self, prepared: &[u32]) -> Result<(), String> {
        self.state.adopted = prepared.len() > 3;
        Ok(())
    }

    fn wants_outcomes(&self) -> bool {
        self.kind == Kind::Latency || self.fault == Fault::DiesOfEarlyOutcomes
    }

    fn outcomes(&mut self, batch: &[Outcome]) -> Result<(), String> {
        if self.fault == Fault::DiesOfEarlyOutcomes && !self.state.is_told {
            return Err("index out of bounds".into());
        }
        let failed = batch.iter().filter(|outcome| outcome.class == OutcomeClass::ConnectFailure).count();
        self.state.failures += failed as u32;
        for outcome in batch.iter().filter(|outcome| outcome.class == OutcomeClass::Success) {
            let known = self.time(outcome.slot);
            let us = f64::from(outcome.first_byte_us).max(known.unwrap_or(0.0));
            self.state.times.insert(outcome.slot, (us, self.state.now_ms));
        }
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        Ok(self.state.picks.to_le_bytes().to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        if self.fault == Fault::DiesOfForeignState && state.first() == Some(&0xff) {
            return Err("unwrap of none".into());
        }
        Ok(state.len() == 8)
    }

    fn create_again(&mut self) -> Result<(), String> {
        if self.fault != Fault::SurvivesItsDestruction {
            self.state = State::default();
        }
        Ok(())
    }

    fn set_in_flight(&mut self, slot: u32, attempts: u32) {
        self.state.in_flight.insert(slot, attempts);
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.state.now_ms = now_ms;
    }

    fn executed(&self) -> Option<u64> {
        let count = self.state.endpoints.len() as u64;
        let each = if self.fault == Fault::LooksAtEachTooOften { 3 * count * count } else { 10 * count };
        Some(self.state.picks * each)
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some((1 << 20) + self.kept_of_keys() + if self.fault == Fault::Leaks { self.leaked } else { 0 })
    }

    fn table_bytes(&self) -> Option<u64> {
        Some(if self.fault == Fault::HasEachCallRemembered { self.leaked } else { 0 })
    }
}

impl Policy {
    pub(super) fn new(kind: Kind, fault: Fault, seed: u64, common: Common) -> Self {
        Self { kind, fault, seed, common, leaked: 0, state: State::default() }
    }

    fn tell(&mut self, endpoints: &[Endpoint]) {
        self.state.is_told |= !endpoints.is_empty();
        self.state.asked.clear();
        self.state.deck.clear();
        self.state.times_told_again +=
            u32::from(endpoints.iter().any(|e| e.metadata.iter().any(|(key, _)| key == "round")));
        if self.fault == Fault::MovesWhenOneComes && endpoints.len() == 7 {
            self.state.places.clear();
        }
        self.state.endpoints = endpoints.iter().cloned().map(Rc::new).collect();
        self.state.has_met_strangers |= endpoints.iter().any(|e| e.id.len() == "endpoint-100".len());
        let stays = |slot: &u32| endpoints.iter().any(|e| e.slot == *slot);
        self.state.held.retain(|slot, _| stays(slot));
        let ready = self.ready();
        // Weights may have shrunk: nobody owes more than one round.
        let total = self.weights(&ready).iter().sum::<i128>();
        self.state.held.values_mut().for_each(|held| *held = (*held).clamp(-total, total));
        if self.kind == Kind::Turns && !self.state.has_begun && !ready.is_empty() {
            self.state.has_begun = true;
            let in_step = match self.fault {
                Fault::StartsInStep => endpoints.len() == 10,
                Fault::StartsAlike => endpoints.len() == 4,
                _ => false,
            };
            let start = if in_step { 0 } else { self.random().u64(..) % (total as u64).clamp(1, 100) };
            for _ in 0..start {
                self.turn(&ready);
            }
        }
    }

    pub(super) fn random(&mut self) -> &mut fastrand::Rng {
        let seed = self.seed;
        self.state.random.get_or_insert_with(|| fastrand::Rng::with_seed(seed))
    }

    /// What may be chosen.
    fn ready(&self) -> Vec<Rc<Endpoint>> {
        let endpoints = &self.state.endpoints;
        let takes_weight_zero =
            self.fault == Fault::TakesWeightZero && endpoints.get(6).is_some_and(|e| e.weight == 40);
        let ignores_draining = self.fault == Fault::IgnoresDraining && endpoints.len() > 8;
        let may = |e: &&Rc<Endpoint>| {
            e.takes_new()
                || (takes_weight_zero && e.availability == Availability::Ready)
                || (ignores_draining && e.weight > 0 && e.availability == Availability::Draining)
        };
        let level = endpoints.iter().filter(may).map(|e| e.priority).min();
        let ignores_priority = self.fault == Fault::IgnoresPriority;
        endpoints.iter().filter(may).filter(|e| ignores_priority || Some(e.priority) == level).cloned().collect()
    }

    /// What each weighs, in thousandths while any of them warms up.
    pub(super) fn weights(&self, candidates: &[Rc<Endpoint>]) -> Vec<i128> {
        let count = self.state.endpoints.len();
        let ignored = self.fault == Fault::IgnoresWeights || (self.fault == Fault::IgnoresWeightsOfKeys && count == 4);
        let favours = self.fault == Fault::FavoursOne && count == 10 && candidates.iter().all(|e| e.weight == 1);
        let heeds_ramp = self.fault != Fault::IgnoresRamp && candidates.iter().any(|e| e.ramp < 1000);
        let weight = |endpoint: &Rc<Endpoint>| {
            // Only zero where that is the fault.
            let weight = if ignored { 1 } else { i128::from(endpoint.weight.clamp(1, 65_535)) };
            let weight = if favours && endpoint.slot == 0 { 2 * weight } else { weight };
            let counted_twice = self.fault == Fault::CountsTwice && self.state.times_told_again > 1;
            let weight = if counted_twice && !endpoint.metadata.is_empty() { 2 * weight } else { weight };
            if heeds_ramp { weight * i128::from(endpoint.ramp.clamp(1, 1000)) } else { weight }
        };
        candidates.iter().map(weight).collect()
    }

    fn turn(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let weights = self.weights(candidates);
        let mut best = (0, i128::MIN);
        for (endpoint, weight) in candidates.iter().zip(&weights) {
            let held = self.state.held.entry(endpoint.slot).or_default();
            *held += weight;
            if *held > best.1 {
                best = (endpoint.slot, *held);
            }
        }
        *self.state.held.entry(best.0).or_default() -= weights.iter().sum::<i128>();
        best.0
    }

    /// Each as often as it weighs, one after the other.
    fn expanded(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let weights = self.weights(candidates);
        let mut at = i128::from(self.state.picks) % weights.iter().sum::<i128>().max(1);
        for (endpoint, weight) in candidates.iter().zip(&weights) {
            at -= weight;
            if at < 0 {
                return endpoint.slot;
            }
        }
        candidates[0].slot
    }

    fn hashed(&mut self, key: Option<u64>, candidates: &[Rc<Endpoint>]) -> u32 {
        let key = match key {
            Some(key) => self.muddled(key),
            None => self.random().u64(..),
        };
        if self.fault == Fault::IsUneven && self.state.endpoints.len() == 10 && key.is_multiple_of(4) {
            return candidates[0].slot;
        }
        let load = |slot: u32| self.state.in_flight.get(&slot).copied().unwrap_or(0);
        let is_bounded = self.kind == Kind::Bounded && self.fault != Fault::HasNoBound;
        let room = is_bounded.then(|| {
            let all: u32 = candidates.iter().map(|e| load(e.slot)).sum();
            (f64::from(all + 1) * 1.25 / candidates.len() as f64).ceil() as u32
        });
        let mut best = (f64::MIN, candidates[0].slot);
        for (endpoint, weight) in candidates.iter().zip(self.weights(candidates)) {
            let number = if self.kind == Kind::Numbered { endpoint.slot.into() } else { number(endpoint) };
            let stranger = u64::from(self.fault == Fault::ForgetsWhoCameBack && endpoint.slot == 40);
            let uniform = ((mix(key ^ mix(number + (stranger << 40))) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
            let score = -(weight as f64) / uniform.ln();
            if score > best.0 && room.is_none_or(|room| load(endpoint.slot) < room) {
                best = (score, endpoint.slot);
            }
        }
        best.1
    }

    /// The key, or another where that is the fault.
    fn muddled(&self, key: u64) -> u64 {
        let endpoints = &self.state.endpoints;
        let all_ready = endpoints.iter().all(|e| e.takes_new());
        let is_muddled = match self.fault {
            Fault::TellsWholeFromChanges => self.state.was_told_whole_late,
            Fault::GoesBySlot => endpoints.iter().map(|e| e.slot).min() == Some(3),
            Fault::ShufflesWhenOneGoes => endpoints.len() == 19 && all_ready,
            Fault::MovesSomeWhenOneGoes => endpoints.len() == 18 && key.is_multiple_of(50),
            Fault::ShufflesWhenOneComes => endpoints.len() == 22,
            Fault::RemembersStrangers => self.state.has_met_strangers,
            Fault::ShufflesForAWeight => endpoints.iter().any(|e| e.weight == 11),
            Fault::ShufflesWhileOneIsDown => endpoints.len() == 16 && !all_ready,
            _ => false,
        };
        if is_muddled { !key } else { key }
    }

    fn better_of_two(&mut self, candidates: &[Rc<Endpoint>]) -> u32 {
        let first = self.random().usize(..candidates.len());
        if candidates.len() == 1 {
            return candidates[0].slot;
        }
        let second = (first + 1 + self.random().usize(..candidates.len() - 1)) % candidates.len();
        let (one, other) = (candidates[first].slot, candidates[second].slot);
        let ignores_load = match self.fault {
            Fault::IgnoresSlots200 => self.state.endpoints.len() == 200,
            Fault::IgnoresLoad => self.state.endpoints.len() == 12,
            _ => false,
        };
        if ignores_load || self.cost(one) <= self.cost(other) { one } else { other }
    }

    fn cost(&self, slot: u32) -> f64 {
        let load = f64::from(self.state.in_flight.get(&slot).copied().unwrap_or(0));
        let us = if self.kind == Kind::Latency { self.time(slot).unwrap_or(1000.0) } else { 1.0 };
        us * (load + 1.0)
    }

    /// Fades by half in 5 s.
    fn time(&self, slot: u32) -> Option<f64> {
        let (us, at_ms) = self.state.times.get(&slot)?;
        let age_ms = self.state.now_ms.saturating_sub(*at_ms) as f64;
        Some(if self.fault == Fault::NeverForgets { *us } else { us * 0.5_f64.powf(age_ms / 5000.0) })
    }
}

/// By which its id and its address are made.
fn number(endpoint: &Endpoint) -> u64 {
    match endpoint.address.ip() {
        std::net::IpAddr::V4(ip) => u32::from(ip).into(),
        std::net::IpAddr::V6(ip) => u128::from(ip) as u64,
    }
}

/// Finalizer of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
