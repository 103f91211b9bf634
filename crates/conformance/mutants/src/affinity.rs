//! Affinities: one that is sound of each kind, and each with any of the faults.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use plimsoll_conformance::{
    Affinity, AffinityPlan, Attribute, Availability, Binding, CreateFailure, Edit, Endpoint, Subject,
};

use crate::Role;
use crate::role::subject_of_role;

/// How clients are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By a cookie with the hash of the endpoint's id, masked and signed.
    Cookie,
    /// By the name of a session in a header, for a minute after its last request.
    Session,
}

/// What is wrong with it. Each shows in one property only; the sizes of sets tell the properties apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    ForgetsSome,
    ForgetsForAWeight,
    LosesWhoDrains,
    KeepsItsFirstToken,
    DiesOfLongValues,
    TakesWhatIsAddedTo,
    EndsEarlyForOne,
    IsUnknownElsewhere,
    GoesBySlotElsewhere,
    InheritsClients,
    ShowsTheHash,
    Leaks,
    KeepsTheFirst,
    Alternates,
    SetsALength,
    DiesOfForeignState,
    DiesBeforeEndpoints,
    DiesOfTheLastGeneration,
    AsksForMoreWhenCreatedAgain,
    SharesItsTable,
    NeverVerifies,
}

#[derive(Debug)]
pub struct Native {
    kind: Kind,
    fault: Fault,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "affinity";
    const KINDS: &[Kind] = &[Kind::Cookie, Kind::Session];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::ForgetsSome, Kind::Cookie, "A1"),
        (Fault::NeverVerifies, Kind::Cookie, "A1"),
        (Fault::ForgetsForAWeight, Kind::Cookie, "A2"),
        (Fault::LosesWhoDrains, Kind::Session, "A3"),
        (Fault::KeepsItsFirstToken, Kind::Cookie, "A4"),
        (Fault::DiesOfLongValues, Kind::Cookie, "A5"),
        (Fault::TakesWhatIsAddedTo, Kind::Cookie, "A5b"),
        (Fault::EndsEarlyForOne, Kind::Session, "A6"),
        (Fault::IsUnknownElsewhere, Kind::Session, "A7"),
        (Fault::GoesBySlotElsewhere, Kind::Cookie, "A7b"),
        (Fault::InheritsClients, Kind::Session, "A8"),
        (Fault::ShowsTheHash, Kind::Cookie, "A9"),
        (Fault::Leaks, Kind::Session, "A10"),
        (Fault::KeepsTheFirst, Kind::Session, "A10b"),
        (Fault::Alternates, Kind::Cookie, "A12"),
        (Fault::SetsALength, Kind::Cookie, "A13"),
        (Fault::DiesOfForeignState, Kind::Cookie, "G8a"),
        (Fault::DiesBeforeEndpoints, Kind::Cookie, "G9a"),
        (Fault::DiesOfTheLastGeneration, Kind::Session, "G10a"),
        (Fault::AsksForMoreWhenCreatedAgain, Kind::Cookie, "G11a"),
        (Fault::SharesItsTable, Kind::Session, "G12a"),
    ];

    fn new(kind: Kind, fault: Fault) -> Self {
        Self { kind, fault }
    }

    fn instance(&self) -> Instance {
        Instance { kind: self.kind, fault: self.fault, memory: Rc::default() }
    }

    fn claims(kind: Kind, fault: Fault) -> &'static str {
        match kind {
            // What is given and not known again is broken, and not skipped for want of a claim.
            _ if fault == Fault::NeverVerifies => "auto",
            Kind::Cookie => "affinity/token,affinity/opaque",
            Kind::Session => "affinity/table,affinity/dated",
        }
    }
}

impl Subject for Native {
    subject_of_role!("affinity");

    fn affinities(&self, _: &str, proxy: u32, count: u32) -> Result<Vec<Box<dyn Affinity>>, CreateFailure> {
        let instance = self.instance();
        let secret = mix(u64::from(proxy) + 1);
        Ok((0..count).map(|_| instance.affinity(secret, Rc::<Memory>::default(), false)).collect())
    }
}

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub struct Instance {
    kind: Kind,
    fault: Fault,
    memory: Rc<Memory>,
}

impl Instance {
    /// At a proxy with this secret and this table; the first that is made there, or another.
    pub fn affinity(&self, secret: u64, table: Rc<dyn Table>, is_another: bool) -> Box<dyn Affinity> {
        let shares = self.fault == Fault::SharesItsTable;
        let table = if shares { Rc::new(Both { table, memory: self.memory.clone() }) } else { table };
        Box::new(Policy { kind: self.kind, fault: self.fault, secret, table, is_another, state: State::default() })
    }
}

/// What all workers of a proxy have in common: hashes of endpoints' ids by names of sessions.
pub trait Table {
    fn set_now_ms(&self, _now_ms: u64) {}

    fn get(&self, name: &[u8]) -> Option<u64>;

    fn put(&self, name: &[u8], id: u64, ttl_ms: u64);
}

/// A table without a proxy. The oldest make room.
#[derive(Debug, Default)]
struct Memory {
    now_ms: Cell<u64>,
    /// With until when.
    sessions: RefCell<HashMap<Vec<u8>, (u64, u64)>>,
    order: RefCell<VecDeque<Vec<u8>>>,
}

impl Table for Memory {
    fn set_now_ms(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
    }

    fn get(&self, name: &[u8]) -> Option<u64> {
        let (id, until_ms) = *self.sessions.borrow().get(name)?;
        (until_ms > self.now_ms.get()).then_some(id)
    }

    fn put(&self, name: &[u8], id: u64, ttl_ms: u64) {
        let (mut sessions, mut order) = (self.sessions.borrow_mut(), self.order.borrow_mut());
        let until_ms = self.now_ms.get().saturating_add(ttl_ms);
        if sessions.insert(name.to_vec(), (id, until_ms)).is_none() {
            order.push_back(name.to_vec());
        }
        if sessions.len() > MOST_SESSIONS
            && let Some(oldest) = order.pop_front()
        {
            sessions.remove(&oldest);
        }
    }
}

/// The proxy's table, and what the policies of the instance know from each other.
struct Both {
    table: Rc<dyn Table>,
    memory: Rc<Memory>,
}

impl Table for Both {
    fn set_now_ms(&self, now_ms: u64) {
        self.table.set_now_ms(now_ms);
        self.memory.set_now_ms(now_ms);
    }

    fn get(&self, name: &[u8]) -> Option<u64> {
        self.memory.get(name).or_else(|| self.table.get(name))
    }

    fn put(&self, name: &[u8], id: u64, ttl_ms: u64) {
        self.table.put(name, id, ttl_ms);
        self.memory.put(name, id, ttl_ms);
    }
}

struct Policy {
    kind: Kind,
    fault: Fault,
    secret: u64,
    table: Rc<dyn Table>,
    is_another: bool,
    state: State,
}

#[derive(Clone, Default)]
struct State {
    endpoints: Vec<Endpoint>,
    generation: u64,
    is_told: bool,
    was_created_again: bool,
    finds: u64,
    /// Sessions that it has begun.
    begun: u64,
    leaked: u64,
}

const TTL_MS: u64 = 60_000;
const MOST_SESSIONS: usize = 3000;
const COOKIE: &str = "id";
const HEADER: &str = "x-session";
const LETTERS: usize = 32;

impl Affinity for Policy {
    fn plan(&self) -> AffinityPlan {
        let again = self.fault == Fault::AsksForMoreWhenCreatedAgain && self.state.was_created_again;
        let asked = match self.kind {
            Kind::Cookie if again => Attribute::Cookie("id2".into()),
            Kind::Cookie => Attribute::Cookie(COOKIE.into()),
            Kind::Session => Attribute::Header(HEADER.into()),
        };
        AffinityPlan { attributes: vec![asked], response_headers: Vec::new(), rewrites_requests: false }
    }

    fn set_endpoints(&mut self, endpoints: &[Endpoint]) -> Result<(), String> {
        self.replace_endpoints(self.state.generation + 1, endpoints)
    }

    fn replace_endpoints(&mut self, generation: u64, endpoints: &[Endpoint]) -> Result<(), String> {
        if self.fault == Fault::DiesOfTheLastGeneration && generation == u64::MAX {
            return Err("attempt to add with overflow".into());
        }
        self.state.is_told = true;
        self.state.generation = generation;
        self.state.endpoints = endpoints.to_vec();
        Ok(())
    }

    fn generation(&self) -> u64 {
        self.state.generation
    }

    fn find(&mut self, values: &[Option<Vec<u8>>]) -> Result<Binding, String> {
        let count = self.state.endpoints.len();
        self.state.finds += 1;
        if self.fault == Fault::DiesBeforeEndpoints && !self.state.is_told {
            return Err("unwrap of none".into());
        }
        let Some(value) = values.first().cloned().flatten() else { return Ok(Binding::Unbound) };
        if self.fault == Fault::DiesOfLongValues && count == 5 && value.len() > 1000 {
            return Err("index out of bounds".into());
        }
        let forgets = self.fault == Fault::ForgetsSome && self.is_fresh_set_of(7) && self.state.finds % 7 == 6;
        let is_unknown = self.fault == Fault::IsUnknownElsewhere && self.is_another && count == 9;
        if forgets || is_unknown {
            return Ok(Binding::Unbound);
        }
        let id = match self.kind {
            Kind::Cookie => self.verified(&value),
            Kind::Session => self.remembered(&value),
        };
        let Some(id) = id else {
            return Ok(if self.kind == Kind::Cookie { Binding::Lost } else { Binding::Unbound });
        };
        Ok(self.binding(id))
    }

    fn prepare(&mut self, _: &[Option<Vec<u8>>]) -> Result<Vec<Edit>, String> {
        Ok(Vec::new())
    }

    fn bind(&mut self, values: &[Option<Vec<u8>>], slot: u32, _: &[Vec<Vec<u8>>]) -> Result<Vec<Edit>, String> {
        if self.fault == Fault::Leaks && self.is_fresh_set_of(8) {
            self.state.leaked += 200;
        }
        let Some(endpoint) = self.state.endpoints.iter().find(|endpoint| endpoint.slot == slot) else {
            return Ok(Vec::new());
        };
        let id = self.id(endpoint);
        let value = values.first().cloned().flatten();
        match (self.kind, value) {
            (Kind::Cookie, Some(value))
                if self.fault == Fault::KeepsItsFirstToken && self.verified(&value).is_some() =>
            {
                Ok(Vec::new())
            }
            (Kind::Cookie, _) => {
                let mut edits = vec![Edit::Append(
                    "set-cookie".into(),
                    format!("{COOKIE}={}; Path=/", self.token(id)).into_bytes(),
                )];
                if self.fault == Fault::SetsALength && self.is_fresh_set_of(12) {
                    edits.push(Edit::Set("content-length".into(), b"0".to_vec()));
                }
                Ok(edits)
            }
            (Kind::Session, Some(name)) if !name.is_empty() => {
                self.remember(&name, id);
                Ok(Vec::new())
            }
            (Kind::Session, _) => Ok(Vec::new()),
        }
    }

    fn another(&self) -> Result<Box<dyn Affinity>, String> {
        let state = State { endpoints: self.state.endpoints.clone(), generation: 1, is_told: true, ..State::default() };
        Ok(Box::new(Self { table: self.table.clone(), is_another: true, state, ..*self }))
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        Ok(b"1".to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<bool, String> {
        if self.fault == Fault::DiesOfForeignState && state.first() == Some(&0xff) {
            return Err("unwrap of none".into());
        }
        Ok(state == b"1")
    }

    fn create_again(&mut self) -> Result<(), String> {
        self.state = State { was_created_again: true, ..State::default() };
        Ok(())
    }

    fn set_now_ms(&mut self, now_ms: u64) {
        self.table.set_now_ms(now_ms);
    }

    fn memory_bytes(&self) -> Option<u64> {
        Some((1 << 20) + self.state.leaked)
    }
}

impl Policy {
    /// Told once: other properties come to that size as well.
    fn is_fresh_set_of(&self, count: usize) -> bool {
        self.state.generation == 1 && self.state.endpoints.len() == count
    }

    fn id(&self, endpoint: &Endpoint) -> u64 {
        if self.fault == Fault::GoesBySlotElsewhere && self.is_fresh_set_of(11) {
            return u64::from(endpoint.slot);
        }
        endpoint.id.bytes().fold(7, |hash, byte| mix(hash ^ u64::from(byte)))
    }

    fn binding(&self, id: u64) -> Binding {
        let endpoints = &self.state.endpoints;
        let heir = endpoints.iter().find(|e| self.fault == Fault::InheritsClients && e.id == "endpoint-77");
        let found = endpoints.iter().find(|e| self.id(e) == id).or(heir);
        let forgets = self.fault == Fault::ForgetsForAWeight && endpoints.iter().any(|e| e.weight == 65_535);
        let serves = |endpoint: &&Endpoint| match endpoint.availability {
            Availability::Ready => true,
            Availability::Draining => self.fault != Fault::LosesWhoDrains,
            Availability::Unavailable => false,
        };
        match found.filter(serves) {
            Some(endpoint) if !forgets => Binding::Bound(endpoint.slot),
            _ => Binding::Lost,
        }
    }

    fn token(&self, id: u64) -> String {
        let mac = mix(id ^ mix(self.secret));
        format!("{:016x}{mac:016x}", self.masked(id, mac))
    }

    fn masked(&self, id: u64, mac: u64) -> u64 {
        if self.fault == Fault::ShowsTheHash { id } else { id ^ mix(mac ^ !self.secret) }
    }

    fn verified(&self, token: &[u8]) -> Option<u64> {
        let mut token = token;
        if self.fault == Fault::Alternates && self.is_fresh_set_of(13) && token.len() == 2 * LETTERS + 2 {
            token = if self.state.finds.is_multiple_of(2) { &token[..LETTERS] } else { &token[LETTERS + 2..] };
        }
        if self.fault == Fault::TakesWhatIsAddedTo {
            token = &token[..token.len().min(LETTERS)];
        }
        let is_plain = token.len() == LETTERS && token.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(token).ok().filter(|_| is_plain)?;
        let (masked, mac) = text.split_at(LETTERS / 2);
        let (masked, mac) = (u64::from_str_radix(masked, 16).ok()?, u64::from_str_radix(mac, 16).ok()?);
        let id = self.masked(masked, mac);
        (mac == mix(id ^ mix(self.secret)) && self.fault != Fault::NeverVerifies).then_some(id)
    }

    fn remembered(&self, name: &[u8]) -> Option<u64> {
        let id = self.table.get(name)?;
        self.table.put(name, id, TTL_MS);
        Some(id)
    }

    fn remember(&mut self, name: &[u8], id: u64) {
        self.state.begun += u64::from(self.table.get(name).is_none());
        if self.fault == Fault::KeepsTheFirst && self.state.begun >= 1000 {
            return;
        }
        let early = self.fault == Fault::EndsEarlyForOne
            && self.state.endpoints.len() == 5
            && self.state.endpoints.get(3).is_some_and(|e| self.id(e) == id);
        self.table.put(name, id, if early { TTL_MS - 1 } else { TTL_MS });
    }
}

/// Finalizer of SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
