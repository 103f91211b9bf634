//! Remembers sessions that a header names in the host's table, and breaks just the property of the conformance suite that
//! its configuration names.

use plimsoll_sdk::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Property {
    /// Lets go of those whose endpoint drains.
    A3,
    /// Keeps to what it knew first.
    A4,
    /// Takes names for text.
    A5,
    /// Remembers by itself.
    A7,
    /// Remembers slots.
    A8,
    /// Counts sessions, and never forgets one.
    A10,
    /// Sets a field that is the host's.
    A13,
    /// Takes saved state for its own.
    G8a,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    breaks: Option<Property>,
}

struct Unsound {
    breaks: Option<Property>,
    /// The last sessions, where it remembers by itself.
    own: Vec<(Vec<u8>, u64)>,
    counted: Vec<Vec<u8>>,
}

const HEADER: &str = "x-session";
const LONGEST: usize = 200;
const MOST: usize = 512;

impl Unsound {
    fn breaks(&self, property: Property) -> bool {
        self.breaks == Some(property)
    }

    fn remembered(&self, session: &[u8]) -> Option<u64> {
        if self.breaks(Property::A7) {
            return self.own.iter().rev().find(|(name, _)| name == session).map(|(_, what)| *what);
        }
        let what = host::table::get(session)?;
        what.try_into().ok().map(u64::from_be_bytes)
    }

    fn remember(&mut self, session: &[u8], what: u64) {
        if !self.breaks(Property::A7) {
            host::table::put(session, &what.to_be_bytes(), Duration::from_secs(60));
            return;
        }
        if self.own.len() == MOST {
            self.own.remove(0);
        }
        self.own.push((session.to_vec(), what));
    }

    /// What an endpoint is remembered by.
    fn mark(&self, endpoint: &Endpoint) -> u64 {
        if self.breaks(Property::A8) { endpoint.slot.into() } else { endpoint.id_hash }
    }
}

fn session<'a>(request: &Request<'a>) -> Option<&'a [u8]> {
    request.get(0).filter(|session| !session.is_empty() && session.len() <= LONGEST)
}

impl Affinity for Unsound {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { breaks: config.breaks, own: Vec::new(), counted: Vec::new() })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Header(HEADER.to_owned())]
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        if self.breaks(Property::A5)
            && let Some(session) = request.get(0)
        {
            assert!(std::str::from_utf8(session).is_ok(), "names are text");
        }
        let Some(what) = session(request).and_then(|session| self.remembered(session)) else { return Binding::Unbound };
        let keeps = |endpoint: &&Endpoint| match endpoint.availability {
            Availability::Ready => true,
            Availability::Draining => !self.breaks(Property::A3),
            Availability::Unavailable => false,
        };
        let found = endpoints.iter().find(|endpoint| self.mark(endpoint) == what).filter(keeps);
        found.map_or(Binding::Lost, |endpoint| Binding::Bound(endpoint.slot))
    }

    fn bind(&mut self, request: &Request<'_>, answer: &Answer<'_>, endpoints: &Endpoints) -> Vec<HeaderEdit> {
        let (Some(session), Some(endpoint)) = (session(request), endpoints.get(answer.slot)) else { return Vec::new() };
        if self.breaks(Property::A4) && self.remembered(session).is_some() {
            return Vec::new();
        }
        if self.breaks(Property::A10) {
            self.counted.push([session, &[0; 512]].concat());
        }
        self.remember(session, self.mark(endpoint));
        if self.breaks(Property::A13) { vec![HeaderEdit::set("connection", "x-session")] } else { Vec::new() }
    }

    fn save(&self) -> Vec<u8> {
        (self.counted.len() as u32).to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        if self.breaks(Property::G8a) {
            let _: [u8; 4] = state.try_into().expect("nobody else saves state");
        }
        true
    }
}

plimsoll_sdk::plugin! { affinity: Unsound }
