use plimsoll_model::{LoadReport, Outcome};

/// A balancer under simulation: one policy on every worker of every proxy. Workers are numbered through all proxies; those
/// of one proxy share their counts of attempts under way, and each hears only of its own attempts.
pub trait Balancer {
    /// What the clock says.
    fn set_now_ms(&mut self, now_ms: u64);

    /// Tells all workers the endpoints that there are from now on.
    fn set_endpoints(&mut self, members: &[Member]);

    /// Asks a worker for the slot of an endpoint; `tried` have failed this request, or are full.
    fn pick(&mut self, worker: u32, asked: Asked, tried: &[u32]) -> Result<Option<u32>, Fault>;

    /// The slot of the endpoint that a client is bound to, where clients are.
    fn bound(&mut self, _worker: u32, _asked: Asked) -> Option<u32> {
        None
    }

    /// An endpoint has answered a client.
    fn answered(&mut self, _worker: u32, _asked: Asked, _slot: u32) {}

    /// Counts an attempt that begins.
    fn begin(&mut self, worker: u32, slot: u32);

    /// Counts an attempt that has ended.
    fn end(&mut self, worker: u32, outcome: &Outcome);

    /// Whether it asked for outcomes.
    fn wants_outcomes(&self) -> bool;

    /// Tells a worker what became of its attempts, [`BATCH`](crate::BATCH) at the most.
    fn outcomes(&mut self, worker: u32, batch: &[Outcome]);

    /// Notes what an endpoint said of its load with an answer to this worker.
    fn report_load(&mut self, worker: u32, slot: u32, report: LoadReport);
}

/// What is known of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whose it is: the key of its client.
    pub key: Option<u64>,
    /// Its place among the scenario's kinds of requests.
    pub kind: u32,
}

/// The balancer gave no answer that could be used, and the host has to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// An endpoint as the proxy knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub slot: u32,
    pub id: String,
    pub weight: u32,
    /// Share of the weight in force, in thousandths.
    pub ramp: u32,
    /// False while the proxy knows that it does not work.
    pub ready: bool,
    pub priority: u32,
    /// Attempts that may be under way from one proxy; 0 is no bound.
    pub max_connections: u32,
    pub zone: String,
    pub metadata: Vec<(String, String)>,
}

impl Member {
    pub(crate) fn takes_new(&self) -> bool {
        self.ready && self.weight > 0
    }
}
