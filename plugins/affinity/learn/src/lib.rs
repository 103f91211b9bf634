//! Reads along which sessions the application begins at which endpoint, and sends their requests there. The application
//! need not know of it, and clients get nothing but what it gives them.

mod config;

use binding::{Sessions, set_cookie};
pub use config::{Config, Source};
use plimsoll_sdk::prelude::*;

/// Learns from answers.
#[derive(Debug)]
pub struct Learn {
    from: Vec<Attribute>,
    lookup: Vec<Attribute>,
    sessions: Sessions,
}

impl Learn {
    /// The session that a request belongs to.
    fn session<'a>(&self, request: &Request<'a>) -> Option<&'a [u8]> {
        (0..self.lookup.len()).filter_map(|index| request.get(index)).find(|session| !session.is_empty())
    }
}

impl Affinity for Learn {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let (from, lookup) = config.check()?;
        Ok(Self { from, lookup, sessions: Sessions::new(config.ttl) })
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.lookup.clone()
    }

    fn response_headers(&self) -> Vec<String> {
        let header = |from: &Attribute| match from {
            Attribute::Header(name) => name.clone(),
            _ => set_cookie::SET_COOKIE.to_owned(),
        };
        self.from.iter().map(header).collect()
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.sessions.update(endpoints);
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        self.session(request).map_or(Binding::Unbound, |session| self.sessions.find(session, endpoints))
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        // Only the application begins sessions: what clients make up would crowd out those that are.
        if let Some(session) = self.session(request) {
            self.sessions.rebind(session, answer.slot, endpoints);
        }
        for (index, from) in self.from.iter().enumerate() {
            let fields = answer.fields(index);
            let session = match from {
                Attribute::Cookie(name) => set_cookie::last_value(fields, name),
                _ => fields.last().map(Vec::as_slice),
            };
            if let Some(session) = session {
                self.sessions.bind(session, answer.slot, endpoints);
            }
        }
        Vec::new()
    }
}

plimsoll_sdk::plugin! { summary: "keeps sessions that the application begins with the endpoint that began them", affinity: Learn }

#[cfg(test)]
mod tests;
