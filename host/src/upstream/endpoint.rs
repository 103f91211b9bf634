use std::rc::Rc;
use std::sync::Arc;

use super::pool::Pool;
use crate::snapshot::Endpoint;
use crate::timer::Subject;

/// An endpoint as one worker sees it: with the worker's connections to it.
#[derive(Debug)]
pub struct LocalEndpoint {
    pub endpoint: Arc<Endpoint>,
    pub pool: Rc<Pool>,
}

impl LocalEndpoint {
    /// What attempts here wait for, as timers know it.
    pub fn subject(&self) -> Option<Subject> {
        Subject::new(Rc::as_ptr(&self.pool).addr())
    }
}

/// One attempt under way at an endpoint; ends when dropped.
#[derive(Debug)]
pub struct InFlight(Rc<LocalEndpoint>);

impl InFlight {
    /// None when the endpoint is full.
    pub fn begin(endpoint: Rc<LocalEndpoint>) -> Option<Self> {
        let begun = endpoint.endpoint.counters.begin(endpoint.endpoint.max_connections);
        begun.then(|| Self(endpoint))
    }

    pub fn endpoint(&self) -> &Rc<LocalEndpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.endpoint.counters.end();
    }
}
