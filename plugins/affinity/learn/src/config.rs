use binding::names;
use plimsoll_sdk::pointer;
use plimsoll_sdk::prelude::*;

/// Where sessions are begun and carried, and how long they are remembered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What in an answer names a session: cookies that it sets, and headers.
    pub(crate) from: Vec<Source>,
    /// Where requests carry the name; the first that has one counts. As in `from` unless given.
    pub(crate) lookup: Vec<Source>,
    /// How long a session is remembered after its last request.
    pub(crate) ttl: Duration,
}

/// What carries the name of a session.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Name of a cookie.
    Cookie(String),
    /// Name of a header, in lower case.
    Header(String),
    /// Name of a query parameter. Not for `from`.
    Query(String),
}

impl Default for Config {
    fn default() -> Self {
        let cookie = Source::Cookie("JSESSIONID".to_owned());
        Self { from: vec![cookie], lookup: Vec::new(), ttl: Duration::from_secs(600) }
    }
}

impl Config {
    /// What begins a session, and what requests carry.
    pub(crate) fn check(&self) -> Result<(Vec<Attribute>, Vec<Attribute>), ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if self.ttl.is_zero() {
            errors.push("/ttl", "expected more than 0");
        }
        if self.from.is_empty() {
            errors.push("/from", "expected at least one cookie or header");
        }
        let from = attributes(&self.from, "/from", &mut errors);
        for (index, attribute) in from.iter().enumerate() {
            if matches!(attribute, Attribute::QueryParameter(_)) {
                errors.push(pointer("/from", index), "answers have no query: expected `cookie` or `header`");
            }
        }
        let lookup = match &self.lookup[..] {
            [] => from.clone(),
            lookup => attributes(lookup, "/lookup", &mut errors),
        };
        errors.or((from, lookup))
    }
}

fn attributes(sources: &[Source], path: &str, errors: &mut ConfigErrors) -> Vec<Attribute> {
    let attribute = |(index, source): (usize, &Source)| {
        let path = pointer(path, index);
        match source {
            Source::Cookie(name) => {
                names::check_cookie(&pointer(&path, "cookie"), name, errors);
                Attribute::Cookie(name.clone())
            }
            Source::Header(name) => {
                names::check_header(&pointer(&path, "header"), name, errors);
                Attribute::Header(name.clone())
            }
            Source::Query(name) => Attribute::QueryParameter(name.clone()),
        }
    };
    sources.iter().enumerate().map(attribute).collect()
}
