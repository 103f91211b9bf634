//! Divides by zone, and prefers the one whose name comes first.

use std::cell::RefCell;
use std::collections::BTreeSet;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{Choose, Group};

use crate::{Config, Property};

pub(crate) struct Unsound {
    breaks: Option<Property>,
    /// Zones in the order in which they came.
    known: Vec<String>,
    /// The first group that may be used.
    chosen: Option<u32>,
}

/// Groups that a partitioner may have.
const MOST: usize = 1024;

thread_local! {
    static KNOWN_BY_ALL: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Partitioner for Unsound {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { breaks: config.breaks, known: Vec::new(), chosen: None })
    }

    fn partition(&mut self, endpoints: &Endpoints) -> Vec<Group> {
        if self.breaks == Some(Property::PT7) {
            let weights = endpoints.iter().map(|endpoint| endpoint.weight);
            assert!(weights.fold(0, u32::saturating_add) < u32::MAX, "weights are small");
        }
        let zones: BTreeSet<String> = endpoints.iter().map(|endpoint| endpoint.zone.clone()).collect();
        let mut zones: Vec<String> = zones.into_iter().collect();
        if self.breaks != Some(Property::PT2) {
            zones.truncate(MOST);
        }
        match self.breaks {
            Some(Property::PT5) => {
                self.known.retain(|zone| zones.contains(zone));
                zones.retain(|zone| !self.known.contains(zone));
                self.known.append(&mut zones);
                zones.clone_from(&self.known);
            }
            Some(Property::PT9) => {
                let told_last = KNOWN_BY_ALL.replace(zones.clone());
                // What another policy was told before is a group of this one.
                if !self.known.is_empty() && self.known != told_last {
                    zones.push("(others)".into());
                }
                self.known = zones.iter().filter(|zone| *zone != "(others)").cloned().collect();
            }
            _ => {}
        }
        let usable = |endpoint: &Endpoint| endpoint.availability == Availability::Ready && endpoint.weight > 0;
        let members =
            |zone: &String| -> Vec<&Endpoint> { endpoints.iter().filter(|endpoint| endpoint.zone == *zone).collect() };
        let found = zones.iter().position(|zone| members(zone).into_iter().any(usable));
        self.chosen = found.map(|at| at as u32);
        if self.breaks == Some(Property::PT4) {
            self.chosen = (!zones.is_empty()).then_some(0);
        }
        let group = |zone: &String| Group { name: zone.clone(), slots: members(zone).iter().map(|e| e.slot).collect() };
        zones.iter().map(group).collect()
    }

    fn choose(&mut self, _: &Choose<'_>) -> Option<u32> {
        self.chosen
    }
}
