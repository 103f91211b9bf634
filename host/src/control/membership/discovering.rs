//! Endpoints that plugins find: their ticks, the requests that are made for them, and what they publish.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::SourceKey;
use crate::config::{self, Discover};
use crate::control::state::Control;
use crate::health::{Finder, Found, Keep, Line, NoAnswer, Request};
use crate::plugin::{DiscoveryAction, DiscoveryPlan, Fault, OutwardAnswer, OutwardCall, OutwardError};
use crate::snapshot::{Availability, Endpoint};
use crate::telemetry::OutwardResult;
use crate::tls::EndpointTls;

/// Calls of one policy that may be under way.
const MOST_CALLS: usize = 8;
/// They begin so far apart at the least: one that asks again at once, whatever it is told, is no loop.
const PACE: Duration = Duration::from_millis(10);
/// The most that is read of an answer's body; the contract states it.
const ANSWER_BYTES: usize = 1 << 20;
/// Endpoints that are tried for a call.
const MOST_TRIED: usize = 3;

/// Has the plugin of a source find endpoints, for as long as there is a control plane.
pub(super) async fn listen_to_plugin(control: Weak<Control>, key: SourceKey) {
    let Some(mut installs) = control.upgrade().map(|control| control.evaluation.installs()) else { return };
    loop {
        installs.mark_unchanged();
        let found = control.upgrade().and_then(|control| control.evaluation.finder(&key.cluster, &key.from));
        let goes_on = match found {
            Some((finder, plan)) => Finding::new(&control, &key, finder, plan).run(&mut installs).await,
            None => installs.changed().await.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}

/// A policy that finds endpoints for a source.
struct Finding<'a> {
    control: &'a Weak<Control>,
    key: &'a SourceKey,
    finder: Finder,
    plan: DiscoveryPlan,
    calls: JoinSet<(u32, Result<OutwardAnswer, OutwardError>)>,
    /// Numbers of those.
    numbers: HashSet<u32>,
    /// When the next may begin.
    next_call: Instant,
}

impl<'a> Finding<'a> {
    fn new(control: &'a Weak<Control>, key: &'a SourceKey, finder: Finder, plan: DiscoveryPlan) -> Self {
        let (calls, numbers) = (JoinSet::new(), HashSet::new());
        Self { control, key, finder, plan, calls, numbers, next_call: Instant::now() }
    }

    /// Until another policy has taken over; false when there is no control plane any more. Calls under way end with it.
    async fn run(mut self, installs: &mut watch::Receiver<()>) -> bool {
        let mut ticks = self.plan.tick.map(interval);
        let mut event = Found::Tick;
        loop {
            let Some(control) = self.control.upgrade() else { return false };
            match control.evaluation.find(self.finder, event) {
                Ok(wanted) => wanted.into_iter().for_each(|action| self.take(&control, action)),
                Err(fault) => self.has_failed(&control, &fault),
            }
            drop(control);
            event = loop {
                tokio::select! {
                    () = tick(&mut ticks) => break Found::Tick,
                    Some(done) = self.calls.join_next() => {
                        // Who panicked has said so; it is none of the plugin's affairs.
                        let Ok((number, answer)) = done else { continue };
                        self.numbers.remove(&number);
                        self.count(&answer);
                        break Found::Answered(number, answer);
                    }
                    changed = installs.changed() => {
                        let Some(control) = self.control.upgrade() else { return false };
                        let now = control.evaluation.finder(&self.key.cluster, &self.key.from);
                        if changed.is_err() || now.is_none_or(|(finder, _)| finder != self.finder) {
                            return changed.is_ok();
                        }
                    }
                }
            };
        }
    }

    fn count(&self, answer: &Result<OutwardAnswer, OutwardError>) {
        let result = match answer {
            Ok(_) => OutwardResult::Answered,
            Err(OutwardError::Unavailable) => OutwardResult::Unavailable,
            Err(OutwardError::Timeout) => OutwardResult::Timeout,
            Err(OutwardError::Broken) => OutwardResult::Broken,
            Err(OutwardError::TooLarge) => OutwardResult::TooLarge,
        };
        if let (Some(control), Discover::Plugin { plugin, .. }) = (self.control.upgrade(), &self.key.from) {
            control.registry.called_for_plugin(plugin, result);
        }
    }

    fn take(&mut self, control: &Arc<Control>, wanted: DiscoveryAction) {
        match wanted {
            DiscoveryAction::Call(call) => self.call(control, call),
            DiscoveryAction::Fail(why) => self.tell(control, Err(why)),
            DiscoveryAction::Publish(found) => match config::check_endpoints(found, self.key.max_connections) {
                Ok(endpoints) => self.tell(control, Ok(endpoints)),
                // No fault of the plugin's, mostly: somebody has written down what is none.
                Err(mistake) => self.tell(control, Err(format!("what was found cannot be used: {mistake}"))),
            },
        }
    }

    fn call(&mut self, control: &Arc<Control>, call: OutwardCall) {
        let OutwardCall { number, cluster, .. } = call;
        if self.numbers.len() >= MOST_CALLS || !self.numbers.insert(number) {
            let reason = format!("it wants a call {number} while {} are under way", self.numbers.len());
            return control.evaluation.wanted_invalid(self.finder, &reason);
        }
        // What is not there was refused before.
        let cluster: Arc<str> = self.plan.clusters.get(cluster).map(String::as_str).unwrap_or_default().into();
        let begins = self.next_call.max(Instant::now());
        self.next_call = begins + PACE;
        let control = self.control.clone();
        self.calls.spawn(async move {
            tokio::time::sleep_until(begins).await;
            let timeout = call.timeout;
            let answer = tokio::time::timeout(timeout, ask(control, &cluster, call)).await;
            (number, answer.unwrap_or(Err(OutwardError::Timeout)))
        });
    }

    /// It knows nothing of its calls any more.
    fn has_failed(&mut self, control: &Arc<Control>, fault: &Fault) {
        self.calls = JoinSet::new();
        self.numbers.clear();
        self.tell(control, Err(format!("the plugin failed: {fault}")));
    }

    fn tell(&self, control: &Arc<Control>, answer: Result<Vec<config::Endpoint>, String>) {
        control.hear_source(self.key, answer);
    }
}

/// From one interval after now on.
fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Makes a request to an endpoint of a cluster, or to another where no connection comes about.
async fn ask(control: Weak<Control>, cluster: &str, call: OutwardCall) -> Result<OutwardAnswer, OutwardError> {
    let OutwardCall { method, path, headers, body, timeout, .. } = call;
    let request = Request { method, path, headers, body, most: ANSWER_BYTES };
    let mut tried = Vec::new();
    while tried.len() < MOST_TRIED {
        let Some(way) = control.upgrade().and_then(|control| control.way_to(cluster, &tried)) else { break };
        tried.push(way.endpoint.slot);
        let keep = Keep::new(false);
        let line = Line {
            address: way.endpoint.address,
            protocol: way.cluster.protocol,
            tls: way.tls.as_ref(),
            encrypts: way.tls.is_some(),
            keep: &keep,
            min_validity: None,
            proxy_protocol: way.cluster.proxy_protocol.map(|told| told.version),
            patience: timeout / 4,
            watcher: &(),
        };
        let why = match line.exchange(request.clone()).await {
            Ok(answer) if !answer.is_whole => return Err(OutwardError::TooLarge),
            Ok(answer) => {
                return Ok(OutwardAnswer { status: answer.status, headers: answer.headers, body: answer.body });
            }
            Err(NoAnswer::Broken(why)) => {
                tracing::debug!(cluster, endpoint = &*way.endpoint.id, "a call for a plugin broke off: {why}");
                return Err(OutwardError::Broken);
            }
            Err(NoAnswer::Unreached(why)) => why,
        };
        tracing::debug!(cluster, endpoint = &*way.endpoint.id, "a call for a plugin reached nobody: {why}");
    }
    Err(OutwardError::Unavailable)
}

/// How an endpoint is called.
struct Way {
    endpoint: Arc<Endpoint>,
    cluster: Arc<config::Cluster>,
    tls: Option<EndpointTls>,
}

impl Control {
    /// To an endpoint of a cluster that is in service and not among the slots that were tried, any of those.
    fn way_to(&self, cluster: &str, tried: &[u32]) -> Option<Way> {
        let state = self.lock();
        let cluster = state.clusters.get(cluster)?;
        let may_be_asked = |endpoint: &&Arc<Endpoint>| {
            endpoint.availability == Availability::Ready && endpoint.weight > 0 && !tried.contains(&endpoint.slot)
        };
        let fit: Vec<&Arc<Endpoint>> = cluster.set.iter().filter(may_be_asked).collect();
        let endpoint = (*fit.get(fastrand::usize(..fit.len().max(1)))?).clone();
        let tls = cluster.tls.as_ref().map(|tls| tls.towards(&endpoint.host, cluster.config.protocol));
        Some(Way { endpoint, cluster: cluster.config.clone(), tls })
    }
}
