//! Probes with exchanges of HTTP, and looks at the answers.

mod exchange;
mod expect;
mod redirect;
mod statuses;
mod token;

pub use exchange::Exchange;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{EndpointMode, ProbeAction, ProbeEvent, ProbeRequest, ProbeResponse, Sorted, Target, Transport};
pub use statuses::Statuses;

use expect::Expect;

/// What to ask and what to expect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Path and query.
    path: String,
    method: String,
    /// `Host` of the request; the address of the endpoint unless given.
    host: Option<String>,
    /// Further header fields.
    headers: Sorted<String, String>,
    /// The body of the request.
    body: String,
    expect: Expect,
    /// Exchanges that follow one another once the ones before went well, each on a connection of its own unless the probe reuses it.
    then: Vec<Exchange>,
    /// Redirects that are followed in all, at the same endpoint, whomever they lead to; what is expected is expected of the last
    /// answer.
    follow_redirects: u8,
    /// Statuses by which an endpoint says that it drains: it is well, and wants nothing new. A good answer ends that.
    drain_statuses: Option<Statuses>,
    /// Answers by which an endpoint says that it works, though not as well as it should.
    degraded: Option<Degraded>,
}

/// An endpoint that is degraded gets less, until a good answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Degraded {
    /// Statuses by which it says so.
    statuses: Statuses,
    /// Share of its weight that it gets meanwhile.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100))]
    weight_percent: u32,
}

fn ten() -> u32 {
    10
}

impl Default for Config {
    fn default() -> Self {
        let Exchange { path, method, host, headers, body, expect } = Exchange::default();
        let (then, follow_redirects, drain_statuses, degraded) = (Vec::new(), 0, None, None);
        Self { path, method, host, headers, body, expect, then, follow_redirects, drain_statuses, degraded }
    }
}

/// More is no probe.
const MOST_EXCHANGES: usize = 16;
const MOST_REDIRECTS: u8 = 10;

/// Asks, and judges the answers.
#[derive(Debug)]
pub struct Http {
    exchanges: Vec<Exchange>,
    follow_redirects: u8,
    drain_statuses: Option<Statuses>,
    degraded: Option<Degraded>,
}

/// A probe under way.
#[derive(Debug)]
pub struct Session {
    /// Which exchange it is at.
    at: usize,
    redirects: u8,
    /// What was asked last.
    request: ProbeRequest,
    address: String,
}

impl Prober for Http {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if config.then.len() >= MOST_EXCHANGES {
            errors.push("/then", format_args!("expected up to {} further exchanges", MOST_EXCHANGES - 1));
        }
        if config.follow_redirects > MOST_REDIRECTS {
            errors.push("/follow_redirects", format_args!("expected up to {MOST_REDIRECTS}"));
        }
        if config.degraded.as_ref().is_some_and(|degraded| !(1..=100).contains(&degraded.weight_percent)) {
            errors.push("/degraded/weight_percent", "expected 1 to 100");
        }
        let Config { path, method, host, headers, body, expect, then, follow_redirects, drain_statuses, degraded } =
            config;
        let first = Exchange { path, method, host, headers, body, expect };
        first.check("", &mut errors);
        for (index, exchange) in then.iter().enumerate() {
            exchange.check(&plimsoll_sdk::pointer("/then", index), &mut errors);
        }
        let exchanges = [first].into_iter().chain(then).collect();
        errors.or(Self { exchanges, follow_redirects, drain_statuses, degraded })
    }

    fn transport(&self) -> Transport {
        Transport::Http
    }

    fn open(&mut self, target: &Target) -> (Session, Vec<ProbeAction>) {
        let request = self.exchanges[0].request(&target.address);
        let ask = ProbeAction::Exchange(request.clone());
        (Session { at: 0, redirects: 0, request, address: target.address.clone() }, vec![ask])
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Answered(answer) => {
                let drains = self.drain_statuses.as_ref().map(|statuses| statuses.contains(answer.status));
                let degraded = self.degraded.as_ref().map(|degraded| degraded.statuses.contains(answer.status));
                let last = match (drains, degraded) {
                    (Some(true), _) => ProbeAction::pass(format!("status {}: it drains", answer.status)),
                    (_, Some(true)) => ProbeAction::pass(format!("status {}: it is degraded", answer.status)),
                    _ => self.go_on(session, &answer),
                };
                match last {
                    // What an endpoint that fails has wanted stays as it was.
                    ProbeAction::Finish(verdict) if verdict.passed => {
                        let mode = |drains| if drains { EndpointMode::Draining } else { EndpointMode::Ready };
                        let enters = drains.map(|drains| ProbeAction::Enter(mode(drains)));
                        let weighs = self.degraded.as_ref().map(|how| how.weighs(degraded == Some(true)));
                        enters.into_iter().chain(weighs).chain([ProbeAction::Finish(verdict)]).collect()
                    }
                    other => vec![other],
                }
            }
            // The rest belongs to TCP.
            _ => vec![ProbeAction::fail("no HTTP answer")],
        }
    }
}

impl Degraded {
    /// In thousandths of the weight.
    fn weighs(&self, is_degraded: bool) -> ProbeAction {
        ProbeAction::Weigh(if is_degraded { 10 * self.weight_percent } else { 1000 })
    }
}

impl Http {
    fn go_on(&self, session: &mut Session, answer: &ProbeResponse) -> ProbeAction {
        if self.follow_redirects > 0 && redirect::is_one(answer) {
            return self.follow(session, answer);
        }
        let Some(exchange) = self.exchanges.get(session.at) else { return ProbeAction::fail("no HTTP answer") };
        if let Err(fault) = exchange.expect.judge(answer, &exchange.secrets()) {
            return ProbeAction::fail(self.told(session, fault));
        }
        session.at += 1;
        match self.exchanges.get(session.at) {
            Some(next) => {
                session.request = next.request(&session.address);
                ProbeAction::Exchange(session.request.clone())
            }
            None => ProbeAction::pass(format!("status {}", answer.status)),
        }
    }

    fn follow(&self, session: &mut Session, answer: &ProbeResponse) -> ProbeAction {
        if session.redirects == self.follow_redirects {
            let fault = format!("redirects more than {} times", self.follow_redirects);
            return ProbeAction::fail(self.told(session, fault));
        }
        session.redirects += 1;
        match redirect::follow(&session.request, answer) {
            Some(request) => {
                session.request = request;
                ProbeAction::Exchange(session.request.clone())
            }
            None => {
                let fault = format!("status {} leads nowhere: its `location` is no place to ask", answer.status);
                ProbeAction::fail(self.told(session, fault))
            }
        }
    }

    /// What went wrong, and of several exchanges in which.
    fn told(&self, session: &Session, fault: String) -> String {
        match self.exchanges.get(session.at) {
            Some(exchange) if self.exchanges.len() > 1 => format!("{} {}: {fault}", exchange.method, exchange.path),
            _ => fault,
        }
    }
}

plimsoll_sdk::plugin! { summary: "probes with exchanges of HTTP", prober: Http }

#[cfg(test)]
mod tests;
