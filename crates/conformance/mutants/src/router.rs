//! A router with tables as `rules` has them, sound or with any of the faults.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use plimsoll_conformance::{Action, Attribute, CreateFailure, Decision, Router, RouterPlan, Subject, Values};
use serde_json::Value;

use crate::Role;
use crate::role::{Draws, native_policy, parsed, subject_of_role};

/// How it routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By the most specific match, as an HTTPRoute of the Gateway API.
    Gateway,
}

/// What is wrong with it. Each shows in one property only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    DiesOfNul,
    GoesByTime,
    NamesNoCluster,
    IsSlow,
    RunsExpressionsSlowly,
    SharesItsTurns,
    Leaks,
    SurvivesItsDestruction,
    DiesOfForeignState,
    IsNeverTheSame,
    DoesNotCountHeaders,
    MindsCase,
    ResolvesNoDots,
    IgnoresWeights,
    ComparesSingleValues,
    AlwaysFindsOne,
}

#[derive(Debug)]
pub struct Native {
    fault: Fault,
    chaos: Rc<Cell<u64>>,
}

impl Role for Native {
    type Kind = Kind;
    type Fault = Fault;
    type Instance = Instance;

    const NAME: &str = "router";
    const KINDS: &[Kind] = &[Kind::Gateway];
    const SOUND: Fault = Fault::None;
    const MUTANTS: &[(Fault, Kind, &str)] = &[
        (Fault::DiesOfNul, Kind::Gateway, "R1"),
        (Fault::DoesNotCountHeaders, Kind::Gateway, "R2"),
        (Fault::MindsCase, Kind::Gateway, "R3"),
        (Fault::ResolvesNoDots, Kind::Gateway, "R4"),
        (Fault::GoesByTime, Kind::Gateway, "R5"),
        (Fault::IgnoresWeights, Kind::Gateway, "R6"),
        (Fault::ComparesSingleValues, Kind::Gateway, "R7"),
        (Fault::NamesNoCluster, Kind::Gateway, "R8"),
        (Fault::IsSlow, Kind::Gateway, "R9"),
        (Fault::RunsExpressionsSlowly, Kind::Gateway, "R9b"),
        (Fault::AlwaysFindsOne, Kind::Gateway, "R11"),
        (Fault::SharesItsTurns, Kind::Gateway, "R12"),
        (Fault::Leaks, Kind::Gateway, "R13"),
        (Fault::SurvivesItsDestruction, Kind::Gateway, "R14"),
        (Fault::DiesOfForeignState, Kind::Gateway, "R15"),
        (Fault::IsNeverTheSame, Kind::Gateway, "R16"),
    ];

    fn new(_: Kind, fault: Fault) -> Self {
        Self { fault, chaos: Rc::default() }
    }

    fn instance(&self) -> Instance {
        let (fault, chaos) = (self.fault, self.chaos.clone());
        Instance { fault, chaos, policies: Rc::default(), turns: Rc::default() }
    }

    fn claims(_: Kind, _: Fault) -> &'static str {
        "router/gateway"
    }

    fn runs_as_component(fault: Fault) -> bool {
        // Instances begin alike, and nothing tells one run from the next.
        fault != Fault::IsNeverTheSame
    }
}

impl Subject for Native {
    subject_of_role!("router");

    fn routers(&self, config: &str, worker: u32, count: u32) -> Result<Vec<Box<dyn Router>>, CreateFailure> {
        let instance = self.instance();
        (0..count).map(|number| instance.router(config, u64::from(worker) << 32 | u64::from(number))).collect()
    }
}

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub struct Instance {
    fault: Fault,
    chaos: Rc<Cell<u64>>,
    policies: Rc<Cell<u32>>,
    /// Turns of all policies together.
    turns: Rc<Cell<u64>>,
}

impl Instance {
    pub fn router(&self, config: &str, seed: u64) -> Result<Box<dyn Router>, CreateFailure> {
        let routes = parsed(config)?["routes"].as_array().cloned().unwrap_or_default();
        self.policies.set(self.policies.get() + 1);
        Ok(Box::new(Policy {
            fault: self.fault,
            plan: plan(&routes),
            routes,
            draws: Draws::new(seed, &self.chaos),
            instance: self.clone(),
            has_survived: false,
            now_ms: 0,
            used: 0,
            took: Duration::ZERO,
        }))
    }
}

struct Policy {
    fault: Fault,
    plan: RouterPlan,
    routes: Vec<Value>,
    draws: Draws,
    instance: Instance,
    has_survived: bool,
    now_ms: u64,
    used: u64,
    took: Duration,
}

native_policy!(Policy, Fault::Leaks, Fault::DiesOfForeignState, Fault::SurvivesItsDestruction);

fn named(route: &Value, kind: &str) -> Vec<(String, Value)> {
    let fields = route["match"][kind].as_object().cloned().unwrap_or_default();
    fields
        .into_iter()
        .map(|(name, value)| (if kind == "headers" { name.to_lowercase() } else { name }, value))
        .collect()
}

fn clusters(route: &Value) -> Vec<(String, u32)> {
    let one = route["cluster"].as_str().map(|name| (name.to_owned(), 1));
    let several = route["clusters"].as_array().cloned().unwrap_or_default();
    let several = several.into_iter().map(|share| {
        (share["cluster"].as_str().unwrap_or_default().to_owned(), share["weight"].as_u64().unwrap_or(1) as u32)
    });
    one.into_iter().chain(several).collect()
}

fn plan(routes: &[Value]) -> RouterPlan {
    let mut plan = RouterPlan {
        attributes: vec![Attribute::Authority, Attribute::Path, Attribute::Method],
        ..RouterPlan::default()
    };
    for (number, route) in routes.iter().enumerate() {
        plan.attributes.extend(named(route, "headers").into_iter().map(|(name, _)| Attribute::Header(name)));
        plan.attributes.extend(named(route, "query").into_iter().map(|(name, _)| Attribute::QueryParameter(name)));
        plan.clusters.extend(clusters(route).into_iter().map(|(name, _)| name));
        plan.routes.push(format!("route {number}"));
    }
    plan
}

struct Asked {
    host: String,
    path: String,
    method: String,
}

/// By segments, with those resolved that are dots.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match dots(segment) {
            Some(1) => {}
            Some(2) => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if path.starts_with('/') { format!("/{}", kept.join("/")) } else { path.to_owned() }
}

/// Of how many dots a segment is, plain or escaped, if it is of nothing else. A path has thousands of segments, and little time.
fn dots(segment: &str) -> Option<usize> {
    let (mut rest, mut count) = (segment.as_bytes(), 0);
    while !rest.is_empty() {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return None,
        };
        count += 1;
    }
    Some(count)
}

impl Policy {
    fn begin_anew(&mut self) {}

    fn reserved(&self) -> u64 {
        0
    }

    fn value<'a>(&self, values: &'a Values, attribute: &Attribute) -> Option<&'a [u8]> {
        values.0[self.plan.attributes.iter().position(|known| known == attribute)?].as_deref()
    }

    fn fits(&self, condition: &Value, value: Option<&[u8]>) -> bool {
        let Some(value) = value else { return condition["present"] == false };
        if let Some(exact) = condition["exact"].as_str() {
            let single = self.fault == Fault::ComparesSingleValues
                && exact.contains(", ")
                && exact.split(", ").any(|part| part.as_bytes() == value);
            return single || value == exact.as_bytes();
        }
        condition["prefix"].as_str().is_none_or(|prefix| value.starts_with(prefix.as_bytes()))
    }

    /// Host, path and method as they are compared.
    fn asked(&self, values: &Values) -> Asked {
        let text = |attribute| String::from_utf8_lossy(self.value(values, &attribute).unwrap_or_default()).into_owned();
        let host = text(Attribute::Authority);
        let host = host.split(':').next().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host);
        let path = text(Attribute::Path);
        Asked {
            host: if self.fault == Fault::MindsCase { host.to_owned() } else { host.to_lowercase() },
            path: if self.fault == Fault::ResolvesNoDots { path } else { resolved(&path) },
            method: text(Attribute::Method),
        }
    }

    fn matches(&self, route: &Value, Asked { host, path, method }: &Asked, values: &Values) -> bool {
        let conditions = &route["match"];
        let wanted = conditions["host"].as_str();
        let wanted =
            wanted.map(|host| if self.fault == Fault::MindsCase { host.to_owned() } else { host.to_lowercase() });
        let under = |prefix: &str| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            path.starts_with('/') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let methods = conditions["methods"].as_array().map(Vec::as_slice).unwrap_or_default();
        wanted.is_none_or(|wanted| match wanted.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => *host == wanted,
        }) && conditions["path_exact"].as_str().is_none_or(|exact| path == exact)
            && conditions["path_prefix"].as_str().is_none_or(under)
            && conditions["path_regex"].is_null()
            && (methods.is_empty() || methods.iter().any(|known| known == method))
            && named(route, "headers")
                .iter()
                .all(|(name, c)| self.fits(c, self.value(values, &Attribute::Header(name.clone()))))
            && named(route, "query")
                .iter()
                .all(|(name, c)| self.fits(c, self.value(values, &Attribute::QueryParameter(name.clone()))))
    }

    fn specificity(&self, route: &Value) -> impl Ord + use<> {
        let conditions = &route["match"];
        let host = conditions["host"].as_str().unwrap_or_default();
        let prefix = conditions["path_prefix"].as_str().unwrap_or_default().trim_end_matches('/').len();
        let headers = if self.fault == Fault::DoesNotCountHeaders { 0 } else { named(route, "headers").len() };
        (
            if host.starts_with('*') { host.len() } else { usize::from(!host.is_empty()) * 1000 },
            (conditions["path_exact"].is_string(), prefix),
            conditions["methods"].is_array(),
            headers,
            named(route, "query").len(),
        )
    }

    fn forward(&mut self, number: usize) -> Decision {
        let route = self.routes[number].clone();
        let shares = clusters(&route);
        let first: usize = self.routes[..number].iter().map(|route| clusters(route).len()).sum();
        let weight = |(_, weight): &(String, u32)| if self.fault == Fault::IgnoresWeights { 1 } else { *weight };
        let total: u32 = shares.iter().map(weight).sum();
        // More often than other properties ask.
        let is_chaos = self.fault == Fault::IsNeverTheSame && self.used > 700;
        let mut drawn = if shares.len() > 1 { self.draws.below(total, is_chaos) } else { 0 };
        let mut at = 0;
        while drawn >= weight(&shares[at]) {
            drawn -= weight(&shares[at]);
            at += 1;
        }
        let repeatable = shares.len() == 1;
        Decision { action: Action::Forward((first + at) as u32), route: Some(number as u32), repeatable }
    }
}

/// Beyond the deadline of a request.
const SLOW: Duration = Duration::from_millis(20);

const NONE: Decision = Decision { action: Action::NoRoute, route: None, repeatable: true };

impl Router for Policy {
    fn plan(&self) -> RouterPlan {
        self.plan.clone()
    }

    fn route(&mut self, values: &Values) -> Result<Decision, String> {
        self.used += 1;
        let has_expression = self.routes.iter().any(|route| route["match"]["path_regex"].is_string());
        let is_long = values.0.iter().flatten().any(|value| value.len() > 4096);
        let is_slow = is_long
            && if has_expression { self.fault == Fault::RunsExpressionsSlowly } else { self.fault == Fault::IsSlow };
        self.took = if is_slow { SLOW } else { Duration::ZERO };
        if self.fault == Fault::DiesOfNul && values.0.iter().flatten().any(|value| value.contains(&0)) {
            return Err("unreachable executed".into());
        }
        if self.fault == Fault::SharesItsTurns && self.instance.policies.get() > 1 {
            let turn = self.instance.turns.get() + 1;
            self.instance.turns.set(turn);
            if turn.is_multiple_of(50) {
                return Ok(Decision { route: None, action: Action::Forward(0), repeatable: false });
            }
        }
        if self.has_survived || (self.fault == Fault::GoesByTime && self.now_ms > 100_000) {
            return Ok(Decision { action: Action::Redirect { status: 302, location: "/later".into() }, ..NONE });
        }
        let asked = self.asked(values);
        let mut best: Option<usize> = None;
        for number in 0..self.routes.len() {
            let is_better =
                best.is_none_or(|best| self.specificity(&self.routes[number]) > self.specificity(&self.routes[best]));
            if is_better && self.matches(&self.routes[number], &asked, values) {
                best = Some(number);
            }
        }
        let names_three = self.plan.clusters == ["one", "two", "three"];
        let names_five = self.plan.clusters.iter().any(|name| name == "five");
        Ok(match best {
            None if self.fault == Fault::AlwaysFindsOne && names_three => self.forward(0),
            None => NONE,
            Some(_) if self.fault == Fault::NamesNoCluster && names_five => {
                Decision { action: Action::Forward(999), ..NONE }
            }
            Some(number) if self.routes[number]["respond"].is_object() => {
                Decision { action: Action::Respond { status: 410, headers: Vec::new(), body: Vec::new() }, ..NONE }
            }
            Some(number) if self.routes[number]["redirect"].is_object() => {
                Decision { action: Action::Redirect { status: 308, location: "/".into() }, ..NONE }
            }
            Some(number) => self.forward(number),
        })
    }

    fn took(&self) -> Option<Duration> {
        Some(self.took)
    }
}
