//! The probes of endpoints. Each endpoint has a task of its own, for as long as it is a member of its cluster: neither a
//! reload nor a change of anything else restarts it, delays it or adds another.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::ClusterState;
use super::member::Member;
use crate::config;
use crate::control::task::Task;
use crate::health::{self, Evaluation, Keep, ProbeTls, Probed, Watcher, probe};
use crate::plugin::Target;
use crate::tls::EndpointTls;

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
    /// The same, and it has had no request since the probe before.
    Idle,
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
pub(in crate::control) struct Place {
    pub(in crate::control) cluster: Arc<str>,
    pub(in crate::control) endpoint: String,
    pub(in crate::control) slot: u32,
    pub(in crate::control) address: SocketAddr,
    /// What the configuration calls it.
    pub(in crate::control) host: String,
}

#[derive(Debug)]
struct Probing {
    asked: watch::Sender<Arc<Asked>>,
    _task: Task,
}

/// What is asked of an endpoint.
#[derive(Debug)]
pub(in crate::control) struct Asked {
    pub(in crate::control) probe: config::Probe,
    /// How each check speaks TLS, if it does.
    pub(in crate::control) tls: Arc<[Option<ProbeTls>]>,
}

impl Asked {
    /// The way of each check to one endpoint, of the name or address that the configuration has for it.
    pub(in crate::control) fn towards(&self, host: &str) -> Vec<Way> {
        let checks = self.probe.checks.iter().zip(&*self.tls);
        checks
            .map(|(check, tls)| Way {
                tls: tls.as_ref().map(|tls| tls.towards(host, check.protocol)),
                keep: Keep::new(check.reuses_connection),
            })
            .collect()
    }
}

/// The way of a check to an endpoint.
#[derive(Debug)]
pub(in crate::control) struct Way {
    /// How it speaks TLS, if it does.
    tls: Option<EndpointTls>,
    keep: Keep,
}

/// New probes are spread over one interval, though no longer than this.
const SPREAD: Duration = Duration::from_secs(1);
/// Probes begin at whole beats. Of thousands of endpoints some are due in each millisecond: one after the other, each finds the thread asleep
/// and the caches cold; together, on connections that are reused, they cost a third less (benches/README.md).
const BEAT: Duration = Duration::from_millis(20);
/// Shorter intervals have no beat.
const LEAST_BEATS: u32 = 50;
/// From when on beats are counted.
static FIRST_BEAT: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Probes {
    /// Sees to it that the endpoints of these clusters are probed, and no others.
    pub(super) fn renew(&mut self, control: &Arc<impl Prober>, clusters: &BTreeMap<Arc<str>, ClusterState>) {
        let mut before = std::mem::take(&mut self.0);
        for (name, cluster) in clusters {
            let Some(probe) = &cluster.config.health.probe else { continue };
            let asked = Arc::new(Asked { probe: probe.clone(), tls: cluster.probe_tls.clone() });
            for (position, member) in cluster.members.iter().enumerate() {
                let place = Place::of(name, member);
                let probing = before.remove(&place);
                let probing = probing.inspect(|probing| probing.go_over_to(&asked)).unwrap_or_else(|| {
                    let spread = spread(&asked.probe, position, cluster.members.len());
                    Probing::start(Arc::downgrade(control), place.clone(), asked.clone(), spread)
                });
                self.0.insert(place, probing);
            }
        }
    }
}

/// How long the first probe waits, so that endpoints are not all probed in the same moment.
fn spread(probe: &config::Probe, position: usize, members: usize) -> Duration {
    probe.pace.interval.min(SPREAD).mul_f64(position as f64 / members.max(1) as f64)
}

/// How long the next probe waits, from the beginning of the last one.
fn until_next(pace: &config::Pace, standing: Standing) -> Duration {
    let interval = match standing {
        Standing::Healthy => pace.interval,
        Standing::Idle => pace.no_traffic_interval,
        Standing::Unhealthy => pace.unhealthy_interval,
        Standing::InTransition => pace.fast_interval,
    };
    let jitter = f64::from(pace.jitter_percent) / 100.0;
    interval.mul_f64(1.0 + jitter * (2.0 * fastrand::f64() - 1.0))
}

/// The beat next to a time, if the interval is of many.
fn on_the_beat(due: Instant, interval: Duration) -> Instant {
    if interval < BEAT * LEAST_BEATS {
        return due;
    }
    let since = due.saturating_duration_since(*FIRST_BEAT) + BEAT / 2;
    let beats = u32::try_from(since.as_nanos() / BEAT.as_nanos()).unwrap_or(u32::MAX);
    *FIRST_BEAT + BEAT * beats
}

impl Place {
    fn of(cluster: &Arc<str>, member: &Member) -> Self {
        Self {
            cluster: cluster.clone(),
            endpoint: member.id().to_owned(),
            slot: member.slot,
            address: member.address,
            host: member.config.address.host.clone(),
        }
    }

    /// What is asked of it, by which ways, and for whom.
    pub(in crate::control) fn checks<'a>(
        &'a self,
        asked: &'a Asked,
        ways: &'a [Way],
        watcher: &'a dyn Watcher,
    ) -> Vec<(&'a str, health::Place<'a>)> {
        let numbered = asked.probe.checks.iter().zip(ways).enumerate();
        numbered
            .map(|(number, (check, way))| {
                (check.plugin.plugin.as_str(), self.check(number, check, asked, way, watcher))
            })
            .collect()
    }

    fn check<'a>(
        &'a self,
        number: usize,
        check: &config::Check,
        asked: &Asked,
        way: &'a Way,
        watcher: &'a dyn Watcher,
    ) -> health::Place<'a> {
        health::Place {
            cluster: &self.cluster,
            check: number,
            slot: self.slot,
            line: health::Line {
                address: SocketAddr::new(
                    check.address.unwrap_or_else(|| self.address.ip()),
                    check.port.unwrap_or_else(|| self.address.port()),
                ),
                protocol: check.protocol,
                tls: way.tls.as_ref(),
                encrypts: asked.tls.get(number).is_some_and(|tls| tls.as_ref().is_some_and(ProbeTls::encrypts)),
                keep: &way.keep,
                min_validity: check.min_validity,
                proxy_protocol: check.proxy_protocol,
                patience: asked.probe.timeout / 2,
                watcher,
            },
            target: Target {
                address: self.address.to_string(),
                id: self.endpoint.clone(),
                cluster: self.cluster.to_string(),
            },
        }
    }
}

impl Probing {
    fn start(control: Weak<impl Prober>, place: Place, asked: Arc<Asked>, spread: Duration) -> Self {
        let (asked, changed) = watch::channel(asked);
        Self { asked, _task: Task::spawn(run(control, place, changed, spread)) }
    }

    fn go_over_to(&self, asked: &Arc<Asked>) {
        self.asked.send_if_modified(|current| {
            let changed = !asked.probe.is_same(&current.probe) || asked.tls != current.tls;
            *current = asked.clone();
            changed
        });
    }
}

/// Probes one endpoint, one probe after the other.
async fn run(control: Weak<impl Prober>, place: Place, mut asked: watch::Receiver<Arc<Asked>>, spread: Duration) {
    let mut current = asked.borrow_and_update().clone();
    let mut ways = current.towards(&place.host);
    let mut due = Instant::now() + current.probe.pace.initial_delay + spread;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(on_the_beat(due, current.probe.pace.interval)) => {}
            changed = asked.changed() => {
                if changed.is_err() {
                    return;
                }
                // What another probe says is wanted soon. Never later than before, or changes that come fast would
                // leave an endpoint without any probe.
                due = due.min(Instant::now() + spread);
                current = asked.borrow_and_update().clone();
                ways = current.towards(&place.host);
                continue;
            }
        }
        let began = Instant::now();
        let checks = place.checks(&current, &ways, &());
        let Some(standing) = probe_once(&control, &place, &current.probe, checks).await else { return };
        due = began + until_next(&current.probe.pace, standing);
    }
}

/// None when there is no control plane any more.
async fn probe_once(
    control: &Weak<impl Prober>,
    place: &Place,
    asked: &config::Probe,
    checks: Vec<(&str, health::Place<'_>)>,
) -> Option<Standing> {
    let evaluation = control.upgrade()?.evaluation();
    let probed = probe(&evaluation, asked.passes, checks, asked.timeout).await;
    let control = control.upgrade()?;
    Some(probed.map_or(Standing::Healthy, |probed| control.heard(&place.cluster, place.slot, probed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_of_long_intervals_begin_on_a_beat_that_is_no_further_than_half_of_one() {
        let (first, long) = (*FIRST_BEAT, Duration::from_secs(5));
        for ms in [0, 9, 10, 11, 19, 20, 5003, 100_000_017] {
            let due = first + Duration::from_millis(ms);
            let begins = on_the_beat(due, long) - first;
            assert_eq!(begins.as_millis() % BEAT.as_millis(), 0);
            assert!(begins.abs_diff(due - first) <= BEAT / 2, "{ms} ms: {begins:?}");
            assert_eq!(on_the_beat(due, Duration::from_millis(999)), due);
            // What has begun on one goes on on one.
            assert_eq!(on_the_beat(first + begins + long, long), first + begins + long);
        }
    }

    #[test]
    fn the_next_probe_waits_as_the_endpoint_stands_and_jitters_within_its_bound() {
        let seconds = Duration::from_secs;
        let pace = config::Pace {
            initial_delay: Duration::ZERO,
            interval: seconds(10),
            fast_interval: seconds(1),
            unhealthy_interval: seconds(60),
            no_traffic_interval: seconds(30),
            jitter_percent: 0,
        };
        let waits = [Standing::Healthy, Standing::Idle, Standing::InTransition, Standing::Unhealthy];
        let waits = waits.map(|of| until_next(&pace, of));
        assert_eq!(waits, [seconds(10), seconds(30), seconds(1), seconds(60)]);
        let jittering = config::Pace { jitter_percent: 20, ..pace };
        let waits: Vec<Duration> = (0..1000).map(|_| until_next(&jittering, Standing::Healthy)).collect();
        assert!(waits.iter().all(|wait| (seconds(8)..=seconds(12)).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < seconds(9)) && waits.iter().any(|wait| *wait > seconds(11)));
    }
}
