use std::rc::Rc;
use std::sync::Arc;

use super::pool::Pool;
use crate::snapshot::{AttemptBound, Endpoint};
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
    pub fn subject(&self) -> Option<Subject> {
        Subject::new(Rc::as_ptr(&self.pool).addr())
    }
}

/// One attempt under way at an endpoint; ends when dropped.
#[derive(Debug)]
pub struct InFlight(Rc<LocalEndpoint>);

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
        begun.then(|| Self(endpoint))
    }

    pub fn endpoint(&self) -> &Rc<LocalEndpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Before those who wait are told.
        if let Some(bound) = &self.0.bound {
            bound.end();
        }
        self.0.endpoint.counters.end();
    }
}
