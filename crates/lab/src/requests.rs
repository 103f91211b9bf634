use plimsoll_resilience::Attempts;

use crate::results::Failure;
use crate::server::Ticket;
use crate::workload::Job;

/// Requests that may be under way at once, over all; those beyond are refused.
pub(crate) const MOST_UNDER_WAY: usize = 200_000;

/// A request under way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) job: Job,
    pub(crate) attempts: Attempts,
    /// The endpoint that its client is bound to.
    pub(crate) bound: Option<u32>,
    /// Of its wait, for room or for the end of a pause; 0 while it does not wait.
    waits: u64,
    /// The attempt under way that began last, and those beside it.
    latest: Option<UnderWay>,
    beside: Vec<UnderWay>,
    pub(crate) next: Next,
}

/// An attempt under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    serial: u64,
    pub(crate) slot: u32,
    pub(crate) began_us: u64,
    /// It repeats another, and has a part of the budget.
    pub(crate) repeats: bool,
}

/// What is known of the attempt to come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Next {
    /// It repeats another, and has a part of the budget by now.
    pub(crate) has_part: bool,
    /// It waits for such a part, or for its pause to end.
    pub(crate) pause: Option<Pause>,
}

/// A pause before an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// It needs a part of the budget that it has not got yet.
    pub(crate) wants_part: bool,
    /// How long it lasts once there is one.
    pub(crate) after_us: u64,
    pub(crate) since_us: u64,
    pub(crate) waits: usize,
    /// What the request fails by if there is no part for it in time.
    pub(crate) why: Failure,
}

/// Requests under way, in places that are used again.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    places: Vec<Option<Request>>,
    free: Vec<u32>,
    serial: u64,
}

impl Requests {
    pub(crate) fn add(&mut self, job: Job, attempts: Attempts, bound: Option<u32>) -> Option<u32> {
        if self.places.len() - self.free.len() >= MOST_UNDER_WAY {
            return None;
        }
        let request =
            Request { job, attempts, bound, waits: 0, latest: None, beside: Vec::new(), next: Next::default() };
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[place as usize] = Some(request);
        Some(place)
    }

    pub(crate) fn get(&mut self, place: u32) -> Option<&mut Request> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, place: u32) -> Option<Request> {
        let request = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(request)
    }

    /// A wait of a request begins, in the place of any other.
    pub(crate) fn wait(&mut self, place: u32) -> Ticket {
        self.serial += 1;
        let serial = self.serial;
        if let Some(request) = self.get(place) {
            request.waits = serial;
        }
        Ticket { request: place, serial }
    }

    /// The request of a wait that is not over.
    pub(crate) fn waiting(&mut self, ticket: Ticket) -> Option<&mut Request> {
        self.get(ticket.request).filter(|request| request.waits == ticket.serial)
    }

    /// An attempt of a request begins; it waits no longer.
    pub(crate) fn begin(&mut self, place: u32, slot: u32, now_us: u64) -> Option<Ticket> {
        self.serial += 1;
        let serial = self.serial;
        let request = self.get(place)?;
        let repeats = std::mem::take(&mut request.next).has_part;
        request.waits = 0;
        let before = request.latest.replace(UnderWay { serial, slot, began_us: now_us, repeats });
        request.beside.extend(before);
        Some(Ticket { request: place, serial })
    }

    /// An attempt ends, if it is not over: answers it, and the request that it was of.
    pub(crate) fn end(&mut self, ticket: Ticket) -> Option<(Job, UnderWay)> {
        let request = self.get(ticket.request)?;
        let job = request.job;
        if let Some(latest) = request.latest.filter(|latest| latest.serial == ticket.serial) {
            request.latest = request.beside.pop();
            return Some((job, latest));
        }
        let at = request.beside.iter().position(|other| other.serial == ticket.serial)?;
        Some((job, request.beside.swap_remove(at)))
    }

    pub(crate) fn is_under_way(&mut self, ticket: Ticket) -> bool {
        self.get(ticket.request).is_some_and(|request| request.under_way().any(|one| one.serial == ticket.serial))
    }
}

impl Request {
    /// Its attempts under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &UnderWay> {
        self.latest.iter().chain(&self.beside)
    }

    /// Where the attempt is that began last.
    pub(crate) fn latest_slot(&self) -> Option<u32> {
        self.latest.map(|latest| latest.slot)
    }
}
