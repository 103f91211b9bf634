//! Sends clients to the endpoint whose route name the application put into the name of their session, as Java servers do:
//! `JSESSIONID=8f3a.node1`. The proxy remembers nothing and gives nothing.

use binding::names;
use plimsoll_sdk::Sorted;
use plimsoll_sdk::prelude::*;

/// Where the route name is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Cookie whose value ends with it. `JSESSIONID` unless any place is given.
    cookie: Option<String>,
    /// Path parameter whose value ends with it: `/app;jsessionid=8f3a.node1`. `jsessionid` unless any place is given.
    path_parameter: Option<String>,
    /// Query parameter whose value ends with it.
    query: Option<String>,
    /// What is between the session and the route name, for the last time in the value. Empty if the value is the name.
    separator: String,
    /// Metadata of an endpoint that holds its route name; its id counts where there is none.
    metadata: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cookie: None,
            path_parameter: None,
            query: None,
            separator: ".".to_owned(),
            metadata: "route".to_owned(),
        }
    }
}

/// Knows endpoints by their route names.
#[derive(Debug)]
pub struct Route {
    places: Vec<Place>,
    separator: Vec<u8>,
    metadata: String,
    slots: Sorted<Vec<u8>, u32>,
}

#[derive(Debug)]
enum Place {
    Cookie(String),
    PathParameter(String),
    Query(String),
}

impl Route {
    /// The route name in the first place that has a value.
    fn name<'a>(&self, request: &Request<'a>) -> Option<&'a [u8]> {
        let value = |(index, place): (usize, &Place)| {
            let value = request.get(index)?;
            match place {
                Place::PathParameter(name) => path_parameter(value, name.as_bytes()),
                Place::Cookie(_) | Place::Query(_) => Some(value),
            }
        };
        let value = self.places.iter().enumerate().filter_map(value).find(|value| !value.is_empty())?;
        if self.separator.is_empty() {
            return Some(value);
        }
        let at = value.windows(self.separator.len()).rposition(|part| part == self.separator)?;
        Some(&value[at + self.separator.len()..])
    }
}

impl Affinity for Route {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut places = Vec::new();
        if let Some(name) = config.cookie {
            names::check_cookie("/cookie", &name, &mut errors);
            places.push(Place::Cookie(name));
        }
        places.extend(config.path_parameter.map(Place::PathParameter));
        places.extend(config.query.map(Place::Query));
        if places.is_empty() {
            places = vec![Place::Cookie("JSESSIONID".to_owned()), Place::PathParameter("jsessionid".to_owned())];
        }
        errors.or(Self {
            places,
            separator: config.separator.into_bytes(),
            metadata: config.metadata,
            slots: Sorted::new(),
        })
    }

    fn attributes(&self) -> Vec<Attribute> {
        let attribute = |place: &Place| match place {
            Place::Cookie(name) => Attribute::Cookie(name.clone()),
            Place::PathParameter(_) => Attribute::Path,
            Place::Query(name) => Attribute::QueryParameter(name.clone()),
        };
        self.places.iter().map(attribute).collect()
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        let named = endpoints.iter().map(|endpoint| {
            let label = endpoint.metadata.iter().find(|(key, _)| *key == self.metadata);
            let name = label.map_or(&endpoint.id, |(_, value)| value);
            (name.clone().into_bytes(), endpoint.slot)
        });
        // Of two with one name the first has it, until it is gone.
        self.slots = named.collect();
    }

    fn find(&mut self, request: &Request<'_>, endpoints: &Endpoints) -> Binding {
        let Some(name) = self.name(request) else { return Binding::Unbound };
        match self.slots.get(name) {
            Some(slot) if endpoints.keeps_bound(*slot) => Binding::Bound(*slot),
            _ => Binding::Lost,
        }
    }

    fn bind(&mut self, _: &Request<'_>, _: &Answer<'_>, _: &Endpoints) -> Vec<HeaderEdit> {
        Vec::new()
    }
}

/// Value of the first path parameter of a name, in any segment (RFC 3986 section 3.3).
fn path_parameter<'a>(path: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let segments = path.split(|byte| *byte == b'/');
    let mut parameters = segments.flat_map(|segment| segment.split(|byte| *byte == b';').skip(1));
    parameters.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix(b"="))
}

plimsoll_sdk::plugin! {
    summary: "sends clients to the endpoint whose route name the application put into their session's name",
    affinity: Route
}

#[cfg(test)]
mod tests;
