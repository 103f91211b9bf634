//! How a request gets to an endpoint in the simulation: by the proxy's own rules, and as in the proxy it waits while every
//! endpoint is full.

use plimsoll_resilience::{By, Claim, Fleet, Open, Pick, Unusable, claim};

use crate::balancer::{Asked, Fault};
use crate::results::Failure;
use crate::server::Ticket;
use crate::simulation::Simulation;

/// Requests that may wait on each worker: the proxy's default.
const MOST_WAITING: usize = 1024;

impl Simulation<'_> {
    /// Finds an endpoint for a request, or has it wait, or fails it.
    pub(crate) fn go(&mut self, place: u32) {
        let Some(worker) = self.requests.get(place).map(|request| request.job.worker) else { return };
        // Those who wait were first.
        let claim = if self.workers[worker as usize].waiting.is_empty() { self.claim(place) } else { Claim::Full };
        match claim {
            Claim::Begun(()) => {}
            Claim::Nowhere => self.fail(place, Failure::NoEndpoint),
            Claim::Full if self.workers[worker as usize].waiting.len() >= MOST_WAITING => {
                self.fail(place, Failure::NoRoom);
            }
            Claim::Full => {
                let ticket = self.requests.wait(place);
                self.workers[worker as usize].waiting.push_back(ticket);
                self.plan_end_of_wait(ticket);
            }
        }
    }

    /// Whether an attempt beside others begins.
    pub(crate) fn begins(&mut self, place: u32) -> bool {
        self.claim(place) == Claim::Begun(())
    }

    fn claim(&mut self, place: u32) -> Claim<()> {
        let Some(request) = self.requests.get(place) else { return Claim::Nowhere };
        let (worker, asked) = (request.job.worker, request.job.asked);
        let (tried, bound) = (request.attempts.tried().to_vec(), request.bound);
        let proxy = (worker / self.scenario.workers) as usize;
        if self.proxies[proxy].is_full() {
            return Claim::Full;
        }
        let mut seen = Seen { simulation: self, place, worker, asked };
        match bound.filter(|slot| seen.is_open(&(), *slot) && !tried.contains(slot)) {
            // Who is bound waits for room there: what it has there is worth more than a moment.
            Some(slot) => seen.begin(slot, By::Room).map_or(Claim::Full, Claim::Begun),
            None => claim(&mut seen, &tried),
        }
    }

    /// An attempt of a proxy has ended: who waits there looks for room again, one worker after the other.
    pub(crate) fn room_at(&mut self, proxy: usize) {
        let workers = self.scenario.workers as usize;
        let first = proxy * workers;
        let mut worker = first + self.random_worker(first, workers);
        let mut without_room = 0;
        while without_room < workers {
            let next = self.workers[worker].waiting.front().copied();
            let begun = next.is_some_and(|ticket| self.goes_on(ticket, worker));
            without_room = if begun { 0 } else { without_room + 1 };
            worker = first + (worker - first + 1) % workers;
        }
    }

    /// Which worker of some looks first. Nothing is drawn while nobody waits.
    fn random_worker(&mut self, first: usize, workers: usize) -> usize {
        let waits = self.workers[first..first + workers].iter().any(|worker| !worker.waiting.is_empty());
        if waits { self.random.usize(..workers) } else { 0 }
    }

    /// Whether the first of those that wait on a worker does so no longer.
    fn goes_on(&mut self, ticket: Ticket, worker: usize) -> bool {
        if self.requests.waiting(ticket).is_none() {
            self.workers[worker].waiting.pop_front();
            return true;
        }
        match self.claim(ticket.request) {
            Claim::Full => return false,
            Claim::Begun(()) => {}
            Claim::Nowhere => self.fail(ticket.request, Failure::NoEndpoint),
        }
        self.workers[worker].waiting.pop_front();
        true
    }

    pub(crate) fn stop_waiting(&mut self, ticket: Ticket) {
        let Some(worker) = self.requests.waiting(ticket).map(|request| request.job.worker) else { return };
        let waiting = &mut self.workers[worker as usize].waiting;
        let before = waiting.len();
        waiting.retain(|other| *other != ticket);
        // Otherwise its attempt has begun, under another number.
        if waiting.len() < before {
            self.fail(ticket.request, Failure::NoRoom);
        }
    }
}

/// What a request sees while it looks for an endpoint.
struct Seen<'a, 'b> {
    simulation: &'a mut Simulation<'b>,
    place: u32,
    worker: u32,
    asked: Asked,
}

impl Seen<'_, '_> {
    fn has_room(&self, slot: u32, max_connections: u32) -> bool {
        let proxy = self.simulation.proxy(self.worker);
        max_connections == 0 || self.simulation.servers[slot as usize].from_proxy[proxy] < max_connections
    }
}

impl Fleet for Seen<'_, '_> {
    type Group = ();
    type Choice = u32;
    type Begun = ();
    type Fault = Fault;

    fn pick(&mut self, tried: &[u32]) -> Pick<(), u32, Fault> {
        Pick { group: (), choice: self.simulation.balancer.pick(self.worker, self.asked, tried) }
    }

    fn slot(choice: u32) -> u32 {
        choice
    }

    fn is_open(&self, (): &(), slot: u32) -> bool {
        self.simulation.cluster.open(slot).is_some()
    }

    fn open<'a>(&'a self, (): &'a ()) -> impl Iterator<Item = Open> {
        self.simulation.cluster.all_open().map(|member| Open {
            slot: member.slot,
            priority: member.priority,
            has_room: self.has_room(member.slot, member.max_connections),
        })
    }

    fn begin(&mut self, slot: u32, _by: By<u32>) -> Option<()> {
        let max_connections = self.simulation.cluster.open(slot).map_or(0, |member| member.max_connections);
        self.has_room(slot, max_connections).then(|| self.simulation.begin(self.place, slot))
    }

    fn balancer_failed(&mut self, (): &(), _failure: Unusable<Fault>) {
        self.simulation.results.faults += 1;
    }

    fn random(&mut self, bound: usize) -> usize {
        self.simulation.random.usize(..bound)
    }
}
