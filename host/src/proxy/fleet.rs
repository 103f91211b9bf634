use plimsoll_resilience::{By, Fleet, Open, Unusable};

use super::balancing::{Balancing, Pick, Within};
use super::local_endpoints::LocalEndpoints;
use super::picked::{Picked, PickedBy, Wanted};
use super::random::Random;
use crate::plugin::{Choice, Fault, PickRequest};
use crate::snapshot::Availability;
use crate::upstream::InFlight;

/// What a request sees of its cluster while it looks for an endpoint.
pub(super) struct Seen<'a> {
    pub(super) balancing: &'a Balancing,
    pub(super) endpoints: &'a LocalEndpoints,
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) random: &'a Random,
}

impl Seen<'_> {
    /// Why an endpoint cannot be chosen.
    fn why_not(&self, within: &Within, slot: u32) -> String {
        let why = match self.endpoints.get(slot) {
            None => "no endpoint".to_owned(),
            Some(_) if !within.has(slot) => "not in the group that was chosen".to_owned(),
            Some(local) if local.endpoint.availability != Availability::Ready => {
                local.endpoint.availability.as_str().to_owned()
            }
            Some(_) => "of weight 0".to_owned(),
        };
        format!("picked slot {slot}, which is {why}")
    }
}

impl Fleet for Seen<'_> {
    type Group = Within;
    type Choice = Choice;
    type Begun = (Picked, InFlight);
    type Fault = Fault;

    #[inline]
    fn pick(&mut self, tried: &[u32]) -> Pick {
        self.balancing.pick(PickRequest { key: self.wanted.key, tried, details: None }, self.wanted.shown)
    }

    fn slot(choice: Choice) -> u32 {
        choice.slot
    }

    #[inline]
    fn is_open(&self, within: &Within, slot: u32) -> bool {
        within.has(slot) && self.endpoints.get(slot).is_some_and(|local| local.endpoint.takes_new())
    }

    fn open<'a>(&'a self, within: &'a Within) -> impl Iterator<Item = Open> {
        self.endpoints.untried(within, &[]).map(|local| {
            let endpoint = &local.endpoint;
            Open { slot: endpoint.slot, priority: endpoint.priority, has_room: local.has_room() }
        })
    }

    #[inline]
    fn begin(&mut self, slot: u32, by: By<Choice>) -> Option<(Picked, InFlight)> {
        let endpoint = self.endpoints.get(slot)?;
        let flight = InFlight::begin(endpoint.clone())?;
        let (choice, by) = match by {
            By::Balancer(choice) => (Some(choice), PickedBy::Balancer),
            By::Fallback => (None, PickedBy::Fallback),
            By::Room => (None, PickedBy::Room),
        };
        Some((Picked { endpoint: endpoint.clone(), choice, by }, flight))
    }

    fn balancer_failed(&mut self, within: &Within, failure: Unusable<Fault>) {
        let balancing = self.balancing;
        balancing.count_fallback(match failure {
            Unusable::Fault(fault) => fault,
            Unusable::NotOpen(slot) => balancing.invalid_answer(self.why_not(within, slot)),
            Unusable::Tried(slot) => {
                balancing.invalid_answer(format_args!("picked slot {slot}, which this request has tried"))
            }
        });
    }

    fn random(&mut self, bound: usize) -> usize {
        (self.random.next() % bound as u64) as usize
    }
}
