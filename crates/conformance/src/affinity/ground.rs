use super::site::{self, Client, Site, Way};
use crate::trial::{Stop, Trial, Use};
use crate::{Endpoint, Subject};

const ROLE: &str = "affinity";

/// A plugin, its configuration, and the way in which it knows clients again.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) subject: &'a dyn Subject,
    pub(super) config: &'a str,
    pub(super) way: Option<Way>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(subject: &'a dyn Subject, config: &'a str) -> Result<Self, String> {
        Ok(Self { subject, config, way: site::way(subject, config)? })
    }

    /// Skips what needs clients when the affinity knows none.
    pub(super) fn with_clients(trial: &Trial<'a>) -> Result<Self, Stop> {
        let ground = Self::anyway(trial)?;
        if ground.way.is_none() { Err(Self::nobody()) } else { Ok(ground) }
    }

    pub(super) fn nobody() -> Stop {
        Stop::Skipped(
            "it knew no client of the suite's again: neither one that sends what it was given, nor one with a name or \
             claims of its own, nor one whose session the application names"
                .into(),
        )
    }

    pub(super) fn anyway(trial: &Trial<'a>) -> Result<Self, Stop> {
        Ok(Self::new(trial.subject, Use::config(trial.uses, ROLE))?)
    }

    pub(super) fn site(&self, endpoints: Vec<Endpoint>) -> Result<Site, String> {
        self.site_of(0, endpoints)
    }

    /// At the proxy of this number.
    pub(super) fn site_of(&self, proxy: u32, endpoints: Vec<Endpoint>) -> Result<Site, String> {
        Site::new(self.subject, self.config, self.way.unwrap_or(Way::PLAIN), proxy, endpoints)
    }

    /// Clients from number 1 on, each bound to one of these slots.
    pub(super) fn bound(&self, site: &mut Site, slots: &[u32]) -> Result<Vec<Client>, String> {
        let mut clients = Vec::new();
        for (number, slot) in (1..).zip(slots) {
            let mut client = Client::new(number);
            let visit = site.visit(&mut client, *slot)?;
            if let Some(found) = visit.found {
                return Err(format!("client {number} is new, and bound to slot {found}"));
            }
            clients.push(client);
        }
        Ok(clients)
    }
}
