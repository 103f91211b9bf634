use std::rc::Rc;
use std::sync::Arc;

use super::pool::Pool;
use crate::snapshot::{AttemptBound, Endpoint, EndpointCounters};
use crate::timer::Subject;

/// An endpoint as one worker sees it: with the worker's connections to it.
#[derive(Debug)]
pub struct LocalEndpoint {
    pub endpoint: Arc<Endpoint>,
    pub pool: Rc<Pool>,
    /// Of all endpoints of the cluster together.
    pub bound: Option<Rc<AttemptBound>>,
}

impl LocalEndpoint {
    /// True when an attempt could be begun now; the next moment another worker may have begun one.
    pub fn has_room(&self) -> bool {
        self.endpoint.has_room() && self.bound.as_ref().is_none_or(|bound| bound.has_room())
    }

    /// What attempts here wait for, as timers know it.
    pub fn subject(&self) -> Subject {
        subject(&self.endpoint.counters)
    }
}

/// What attempts at the endpoint with these counters wait for. The counters are those of the endpoint for as long as it is there,
/// whatever becomes of its cluster's configuration.
pub fn subject(counters: &Arc<EndpointCounters>) -> Subject {
    // That of what is there is not 0.
    Subject::new(Arc::as_ptr(counters).addr()).unwrap_or(Subject::MIN)
}

/// One attempt under way at an endpoint; ends when dropped.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Rc<LocalEndpoint>,
    /// How often the endpoint had been deregistered before.
    deregistered: u32,
}

impl InFlight {
    /// None when the endpoint is full, or the cluster.
    pub fn begin(endpoint: Rc<LocalEndpoint>) -> Option<Self> {
        if endpoint.bound.as_ref().is_some_and(|bound| !bound.begin()) {
            return None;
        }
        let begun = endpoint.endpoint.counters.begin(endpoint.endpoint.max_connections);
        if !begun && let Some(bound) = &endpoint.bound {
            bound.give_back();
        }
        begun.then(|| Self { deregistered: endpoint.endpoint.counters.deregistered(), endpoint })
    }

    pub fn endpoint(&self) -> &Rc<LocalEndpoint> {
        &self.endpoint
    }

    /// Whether it is to end, since the endpoint has been out of service for as long as it may go on.
    #[inline]
    pub fn is_deregistered(&self) -> bool {
        self.endpoint.endpoint.counters.deregistered() != self.deregistered
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Before those who wait are told.
        if let Some(bound) = &self.endpoint.bound {
            bound.end();
        }
        self.endpoint.endpoint.counters.end();
    }
}
