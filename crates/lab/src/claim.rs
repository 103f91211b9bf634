//! How a proxy comes from a balancer's answer to an attempt: what it does about endpoints that are full, balancers that
//! fail, and requests that have to wait. The proxy itself does the same in `proxy/cluster.rs`.

use crate::balancer::Fault;
use crate::results::Failure;
use crate::server::Ticket;
use crate::simulation::Simulation;

enum Claim {
    Begun,
    /// Every endpoint that would do is full.
    Full,
    /// No endpoint can take the request.
    Nowhere,
}

/// Full endpoints that the balancer may name before the proxy looks for room itself.
const FULL_CHOICES: usize = 4;

/// Requests that may wait on each worker: the proxy's default.
const MOST_WAITING: usize = 1024;

impl Simulation<'_> {
    /// Finds an endpoint for a request, or has it wait, or fails it.
    pub(crate) fn go(&mut self, place: u32) {
        let Some(worker) = self.requests.get(place).map(|request| request.job.worker) else { return };
        // Those who wait were first.
        let claim = if self.workers[worker as usize].waiting.is_empty() { self.claim(place) } else { Claim::Full };
        match claim {
            Claim::Begun => {}
            Claim::Nowhere => self.fail(place, Failure::NoEndpoint),
            Claim::Full if self.workers[worker as usize].waiting.len() >= MOST_WAITING => {
                self.fail(place, Failure::NoRoom);
            }
            Claim::Full => {
                let ticket = self.requests.ticket(place);
                self.workers[worker as usize].waiting.push_back(ticket);
                self.plan_end_of_wait(ticket);
            }
        }
    }

    fn claim(&mut self, place: u32) -> Claim {
        let Some(request) = self.requests.get(place) else { return Claim::Nowhere };
        let (worker, key) = (request.job.worker, request.job.key);
        let tried = std::mem::take(&mut request.tried);
        let claim = self.claim_for(place, worker, key, &tried);
        if let Some(request) = self.requests.get(place) {
            request.tried = tried;
        }
        claim
    }

    fn claim_for(&mut self, place: u32, worker: u32, key: Option<u64>, tried: &[u32]) -> Claim {
        match self.balancer.pick(worker, key, tried) {
            Ok(None) => Claim::Nowhere,
            Ok(Some(slot)) if self.is_usable(slot, tried) => {
                if self.begin_with_room(place, worker, slot) {
                    return Claim::Begun;
                }
                self.claim_elsewhere(place, worker, key, tried, slot)
            }
            Ok(Some(_)) | Err(Fault) => self.claim_in_stead(place, worker, tried),
        }
    }

    /// The balancer has chosen a full endpoint: asks for others, then looks for room.
    fn claim_elsewhere(&mut self, place: u32, worker: u32, key: Option<u64>, tried: &[u32], full: u32) -> Claim {
        let mut avoid = tried.to_vec();
        avoid.push(full);
        for _ in 1..FULL_CHOICES {
            match self.balancer.pick(worker, key, &avoid) {
                Ok(None) => return Claim::Full,
                Ok(Some(slot)) if self.is_usable(slot, &avoid) => {
                    if self.begin_with_room(place, worker, slot) {
                        return Claim::Begun;
                    }
                    if avoid.contains(&slot) {
                        return Claim::Full;
                    }
                    avoid.push(slot);
                }
                Ok(Some(_)) | Err(Fault) => return self.claim_in_stead(place, worker, tried),
            }
        }
        let level = self.cluster.all_open().map(|member| member.priority).min().unwrap_or(0);
        self.claim_any(place, worker, tried, level)
    }

    /// Chooses in the place of a balancer that failed.
    fn claim_in_stead(&mut self, place: u32, worker: u32, tried: &[u32]) -> Claim {
        self.results.faults += 1;
        self.claim_any(place, worker, tried, u32::MAX)
    }

    /// Begins at any endpoint with room, each with the same probability; at one that was tried only when there is no
    /// other.
    fn claim_any(&mut self, place: u32, worker: u32, tried: &[u32], level: u32) -> Claim {
        for tried in [tried, &[]] {
            let open =
                self.cluster.all_open().filter(|member| member.priority <= level && !tried.contains(&member.slot));
            let with_room: Vec<u32> =
                open.map(|member| member.slot).filter(|slot| self.has_room(worker, *slot)).collect();
            if !with_room.is_empty() {
                let slot = with_room[self.random.usize(..with_room.len())];
                self.begin(place, slot);
                return Claim::Begun;
            }
        }
        if self.cluster.all_open().next().is_some() { Claim::Full } else { Claim::Nowhere }
    }

    /// An endpoint takes new requests, and was not tried unless all were.
    fn is_usable(&self, slot: u32, tried: &[u32]) -> bool {
        let all_tried = || self.cluster.all_open().all(|member| tried.contains(&member.slot));
        self.cluster.open(slot).is_some() && (!tried.contains(&slot) || all_tried())
    }

    fn has_room(&self, worker: u32, slot: u32) -> bool {
        let bound = self.cluster.open(slot).map_or(0, |member| member.max_connections);
        bound == 0 || self.servers[slot as usize].from_proxy[self.proxy(worker)] < bound
    }

    fn begin_with_room(&mut self, place: u32, worker: u32, slot: u32) -> bool {
        let has_room = self.has_room(worker, slot);
        if has_room {
            self.begin(place, slot);
        }
        has_room
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
        if self.requests.current(ticket).is_none() {
            self.workers[worker].waiting.pop_front();
            return true;
        }
        match self.claim(ticket.request) {
            Claim::Full => return false,
            Claim::Begun => {}
            Claim::Nowhere => self.fail(ticket.request, Failure::NoEndpoint),
        }
        self.workers[worker].waiting.pop_front();
        true
    }

    pub(crate) fn stop_waiting(&mut self, ticket: Ticket) {
        let Some(worker) = self.requests.current(ticket).map(|request| request.job.worker) else { return };
        let waiting = &mut self.workers[worker as usize].waiting;
        let before = waiting.len();
        waiting.retain(|other| *other != ticket);
        // Otherwise its attempt has begun, under another number.
        if waiting.len() < before {
            self.fail(ticket.request, Failure::NoRoom);
        }
    }
}
