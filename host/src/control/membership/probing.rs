//! The probes of endpoints. Each endpoint has a task of its own, for as long as it is a member of its cluster: neither a
//! reload nor a change of anything else restarts it, delays it or adds another.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::{ClusterState, Member};
use crate::config;
use crate::control::task::Task;
use crate::health::{self, Evaluation, Probed, probe};
use crate::plugin::Target;
use crate::tls::{EndpointTls, UpstreamTls};

/// For whom endpoints are probed.
pub(super) trait Prober: Send + Sync + 'static {
    /// Who has the plugins that speak to endpoints.
    fn evaluation(&self) -> Arc<Evaluation>;
    /// Hears what came of a probe, and says how the endpoint stands after it.
    fn heard(&self, cluster: &str, slot: u32, probed: Probed) -> Standing;
}

/// How an endpoint stands after a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// As the probe says, in service; also an endpoint of which the probe said nothing.
    Healthy,
    /// As the probe says, out of service.
    Unhealthy,
    /// The probe speaks against what it is held to be.
    InTransition,
}

/// The probes under way, by what they probe.
#[derive(Debug, Default)]
pub(super) struct Probes(HashMap<Place, Probing>);

/// What is probed. Another slot or another address is another endpoint, of which nothing is known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    cluster: Arc<str>,
    endpoint: String,
    slot: u32,
    /// Where probes go, which may be another port than that of the endpoint.
    probed: SocketAddr,
    address: SocketAddr,
    /// What the configuration calls it.
    host: String,
}

#[derive(Debug)]
struct Probing {
    check: watch::Sender<Arc<Check>>,
    _task: Task,
}

/// What is asked of an endpoint.
#[derive(Debug)]
struct Check {
    probe: config::Probe,
    /// How TLS is spoken, if it is.
    tls: Option<UpstreamTls>,
}

/// New probes are spread over one interval, though no longer than this.
const SPREAD: Duration = Duration::from_secs(1);

impl Probes {
    /// Sees to it that the endpoints of these clusters are probed, and no others.
    pub(super) fn renew(&mut self, control: &Arc<impl Prober>, clusters: &BTreeMap<Arc<str>, ClusterState>) {
        let mut before = std::mem::take(&mut self.0);
        for (name, cluster) in clusters {
            let Some(probe) = &cluster.config.health.probe else { continue };
            let tls = if probe.tls { cluster.tls.clone() } else { None };
            let check = Arc::new(Check { probe: probe.clone(), tls });
            for (position, member) in cluster.members.iter().enumerate() {
                let place = Place::of(name, member, &check.probe);
                let probing = before.remove(&place);
                let probing = probing.inspect(|probing| probing.go_over_to(&check)).unwrap_or_else(|| {
                    let spread = spread(&check.probe, position, cluster.members.len());
                    Probing::start(Arc::downgrade(control), place.clone(), check.clone(), spread)
                });
                self.0.insert(place, probing);
            }
        }
    }
}

/// How long the first probe waits, so that endpoints are not all probed in the same moment.
fn spread(check: &config::Probe, position: usize, members: usize) -> Duration {
    check.pace.interval.min(SPREAD).mul_f64(position as f64 / members.max(1) as f64)
}

/// How long the next probe waits, from the beginning of the last one.
fn until_next(pace: &config::Pace, standing: Standing) -> Duration {
    let interval = match standing {
        Standing::Healthy => pace.interval,
        Standing::Unhealthy => pace.unhealthy_interval,
        Standing::InTransition => pace.fast_interval,
    };
    let jitter = f64::from(pace.jitter_percent) / 100.0;
    interval.mul_f64(1.0 + jitter * (2.0 * fastrand::f64() - 1.0))
}

impl Place {
    fn of(cluster: &Arc<str>, member: &Member, check: &config::Probe) -> Self {
        Self {
            cluster: cluster.clone(),
            endpoint: member.id().to_owned(),
            slot: member.slot,
            probed: SocketAddr::new(
                check.address.unwrap_or_else(|| member.address.ip()),
                check.port.unwrap_or_else(|| member.address.port()),
            ),
            address: member.address,
            host: member.config.address.host.clone(),
        }
    }

    fn probed_by<'a>(&'a self, check: &config::Probe, tls: Option<&'a EndpointTls>) -> health::Place<'a> {
        health::Place {
            cluster: &self.cluster,
            slot: self.slot,
            address: self.probed,
            protocol: check.protocol,
            tls,
            proxy_protocol: check.proxy_protocol,
            target: Target {
                address: self.address.to_string(),
                id: self.endpoint.clone(),
                cluster: self.cluster.to_string(),
            },
        }
    }
}

impl Probing {
    fn start(control: Weak<impl Prober>, place: Place, check: Arc<Check>, spread: Duration) -> Self {
        let (check, changed) = watch::channel(check);
        Self { check, _task: Task::spawn(run(control, place, changed, spread)) }
    }

    fn go_over_to(&self, check: &Arc<Check>) {
        self.check.send_if_modified(|current| {
            let changed = !check.probe.is_same(&current.probe) || check.tls != current.tls;
            *current = check.clone();
            changed
        });
    }
}

/// Probes one endpoint, one probe after the other.
async fn run(control: Weak<impl Prober>, place: Place, mut check: watch::Receiver<Arc<Check>>, spread: Duration) {
    let mut due = Instant::now() + check.borrow().probe.pace.initial_delay + spread;
    let towards = |check: &Check| check.tls.as_ref().map(|tls| tls.towards(&place.host, check.probe.protocol));
    let mut tls = towards(&check.borrow());
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            changed = check.changed() => {
                if changed.is_err() {
                    return;
                }
                // What another check says is wanted soon. Never later than before, or changes that come fast would
                // leave an endpoint without any probe.
                due = due.min(Instant::now() + spread);
                tls = towards(&check.borrow_and_update());
                continue;
            }
        }
        let now = check.borrow_and_update().clone();
        let began = Instant::now();
        let place = place.probed_by(&now.probe, tls.as_ref());
        let Some(standing) = probe_once(&control, place, now.probe.timeout).await else { return };
        due = began + until_next(&now.probe.pace, standing);
    }
}

/// None when there is no control plane any more.
async fn probe_once(control: &Weak<impl Prober>, place: health::Place<'_>, timeout: Duration) -> Option<Standing> {
    let (cluster, slot) = (place.cluster, place.slot);
    let evaluation = control.upgrade()?.evaluation();
    let probed = probe(&evaluation, place, timeout).await;
    let control = control.upgrade()?;
    Some(probed.map_or(Standing::Healthy, |probed| control.heard(cluster, slot, probed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_probe_waits_as_the_endpoint_stands_and_jitters_within_its_bound() {
        let seconds = Duration::from_secs;
        let pace = config::Pace {
            initial_delay: Duration::ZERO,
            interval: seconds(10),
            fast_interval: seconds(1),
            unhealthy_interval: seconds(60),
            jitter_percent: 0,
        };
        let waits = [Standing::Healthy, Standing::InTransition, Standing::Unhealthy].map(|of| until_next(&pace, of));
        assert_eq!(waits, [seconds(10), seconds(1), seconds(60)]);
        let jittering = config::Pace { jitter_percent: 20, ..pace };
        let waits: Vec<Duration> = (0..1000).map(|_| until_next(&jittering, Standing::Healthy)).collect();
        assert!(waits.iter().all(|wait| (seconds(8)..=seconds(12)).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < seconds(9)) && waits.iter().any(|wait| *wait > seconds(11)));
    }
}
