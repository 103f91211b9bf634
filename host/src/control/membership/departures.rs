use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::snapshot::{Availability, EndpointCounters, EndpointSet};

/// Endpoints of clusters with a `deregistration_delay`, and since when those that have left service are out of it: when the delay
/// has passed, what is still under way at them is ended.
#[derive(Debug, Default)]
pub(in crate::control) struct Departures {
    clusters: Mutex<HashMap<Arc<str>, Watched>>,
    changed: Arc<Notify>,
}

/// The endpoints of a cluster, by where their counters are: these are the endpoint's as long as it is one.
#[derive(Debug, Default)]
struct Watched {
    delay: Duration,
    endpoints: HashMap<usize, Service>,
}

#[derive(Debug)]
struct Service {
    id: Arc<str>,
    counters: Arc<EndpointCounters>,
    is_member: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    In,
    Leaving { until: Instant },
    Out,
}

/// An endpoint whose time is over.
#[derive(Debug)]
pub(super) struct Departed {
    pub(super) cluster: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) counters: Arc<EndpointCounters>,
}

impl Departures {
    /// Takes note of the endpoints of a cluster as they are now.
    pub(in crate::control) fn observe(
        &self,
        cluster: &Arc<str>,
        delay: Option<Duration>,
        set: &EndpointSet,
        now: Instant,
    ) {
        let mut clusters = self.lock();
        let Some(delay) = delay else {
            clusters.remove(cluster);
            return;
        };
        let watched = clusters.entry(cluster.clone()).or_default();
        watched.delay = delay;
        watched.endpoints.values_mut().for_each(|service| service.is_member = false);
        for endpoint in set.iter() {
            let service = watched.endpoints.entry(Arc::as_ptr(&endpoint.counters).addr()).or_insert_with(|| Service {
                id: endpoint.id.clone(),
                counters: endpoint.counters.clone(),
                is_member: true,
                state: State::In,
            });
            service.is_member = true;
            match (endpoint.availability, service.state) {
                (Availability::Ready, _) => service.state = State::In,
                (_, State::In) => service.state = State::Leaving { until: now + delay },
                (_, State::Leaving { .. } | State::Out) => {}
            }
        }
        watched.are_gone(now);
        drop(clusters);
        self.changed.notify_one();
    }

    /// Takes note of which clusters there are.
    pub(in crate::control) fn retain(&self, is_there: impl Fn(&str) -> bool, now: Instant) {
        for (_, watched) in self.lock().iter_mut().filter(|(cluster, _)| !is_there(cluster)) {
            watched.endpoints.values_mut().for_each(|service| service.is_member = false);
            watched.are_gone(now);
        }
        self.changed.notify_one();
    }

    /// The endpoints whose time is over; each is told once.
    pub(super) fn due(&self, now: Instant) -> Vec<Departed> {
        let mut departed = Vec::new();
        let mut clusters = self.lock();
        for (cluster, watched) in clusters.iter_mut() {
            for service in watched.endpoints.values_mut() {
                if matches!(service.state, State::Leaving { until } if until <= now) {
                    service.state = State::Out;
                    let (id, counters) = (service.id.clone(), service.counters.clone());
                    departed.push(Departed { cluster: cluster.clone(), id, counters });
                }
            }
            watched.endpoints.retain(|_, service| service.is_member || service.state != State::Out);
        }
        clusters.retain(|_, watched| !watched.endpoints.is_empty());
        departed
    }

    /// Tells that this may have changed: see [`Self::next`].
    pub(super) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// When the time of the next one is over.
    pub(super) fn next(&self) -> Option<Instant> {
        let clusters = self.lock();
        let services = clusters.values().flat_map(|watched| watched.endpoints.values());
        let until = services.filter_map(|service| match service.state {
            State::Leaving { until } => Some(until),
            State::In | State::Out => None,
        });
        until.min()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Watched>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Those that are no members any more have left service by now.
    fn are_gone(&mut self, now: Instant) {
        let until = now + self.delay;
        let gone = self.endpoints.values_mut().filter(|service| !service.is_member && service.state == State::In);
        gone.for_each(|service| service.state = State::Leaving { until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Endpoint, test_endpoint};

    const DELAY: Duration = Duration::from_secs(30);

    /// A set with these endpoints, made by numbers that are their slots.
    struct Fleet(Vec<Endpoint>);

    impl Fleet {
        fn new(ids: &[&str]) -> Self {
            Self((0..).zip(ids).map(|(slot, id)| test_endpoint(slot, id)).collect())
        }

        fn with(&self, availability: &[Option<Availability>]) -> EndpointSet {
            let present = self.0.iter().zip(availability).filter_map(|(endpoint, availability)| {
                Some(Arc::new(Endpoint { availability: (*availability)?, ..endpoint.clone() }))
            });
            EndpointSet::new(1, present)
        }
    }

    fn ids(departed: Vec<Departed>) -> Vec<String> {
        let mut ids: Vec<String> = departed.into_iter().map(|departed| departed.id.to_string()).collect();
        ids.sort();
        ids
    }

    const READY: Option<Availability> = Some(Availability::Ready);

    #[test]
    fn who_has_left_is_told_once_after_the_delay_however_it_left() {
        let (departures, fleet, start) = (Departures::default(), Fleet::new(&["a", "b", "c", "d"]), Instant::now());
        let app: Arc<str> = "app".into();
        let observe =
            |set: &[Option<Availability>], at: Instant| departures.observe(&app, Some(DELAY), &fleet.with(set), at);
        observe(&[READY; 4], start);
        assert_eq!(departures.next(), None);
        let left = [Some(Availability::Draining), Some(Availability::Unavailable), None, READY];
        observe(&left, start);
        // Other changes do not begin anew.
        observe(&left, start + DELAY / 2);
        assert_eq!(departures.next(), Some(start + DELAY));
        assert_eq!(ids(departures.due(start + DELAY / 2)), [""; 0]);
        assert_eq!(ids(departures.due(start + DELAY)), ["a", "b", "c"]);
        observe(&left, start + DELAY);
        assert_eq!((ids(departures.due(start + 9 * DELAY)), departures.next()), (vec![], None));
    }

    #[test]
    fn who_comes_back_in_time_stays_and_leaves_anew() {
        let (departures, fleet, start) = (Departures::default(), Fleet::new(&["a"]), Instant::now());
        let app: Arc<str> = "app".into();
        let observe = |availability: Option<Availability>, at: Instant| {
            departures.observe(&app, Some(DELAY), &fleet.with(&[availability]), at)
        };
        observe(READY, start);
        observe(None, start);
        observe(READY, start + DELAY / 2);
        assert_eq!((ids(departures.due(start + 2 * DELAY)), departures.next()), (vec![], None));
        observe(Some(Availability::Draining), start + 2 * DELAY);
        assert_eq!(departures.next(), Some(start + 3 * DELAY));
    }

    #[test]
    fn the_endpoints_of_a_cluster_that_is_gone_have_left_and_without_a_delay_nobody_is_watched() {
        let (departures, fleet, start) = (Departures::default(), Fleet::new(&["a", "b"]), Instant::now());
        for cluster in ["gone", "stays"] {
            departures.observe(&cluster.into(), Some(DELAY), &fleet.with(&[READY, READY]), start);
        }
        departures.retain(|cluster| cluster == "stays", start);
        assert_eq!(ids(departures.due(start + DELAY)), ["a", "b"]);
        departures.observe(&"stays".into(), None, &fleet.with(&[None, None]), start);
        assert_eq!(departures.next(), None);
        assert!(departures.lock().is_empty());
    }
}
