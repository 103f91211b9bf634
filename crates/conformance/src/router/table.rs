use std::fmt;

use serde_json::{Value, json};

use super::policy::RouterPlan;
use crate::request::{Attribute, Values};

/// A request as a client means it.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) host: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) headers: Vec<(&'static str, Vec<u8>)>,
    pub(super) query: Vec<(&'static str, Vec<u8>)>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, path) = (self.host.escape_ascii(), self.path.escape_ascii());
        write!(f, "{} {host}{path}", self.method)?;
        for (mark, fields) in [('?', &self.query), (' ', &self.headers)] {
            for (name, value) in fields {
                write!(f, "{mark}{name}={:?}", String::from_utf8_lossy(value))?;
            }
        }
        Ok(())
    }
}

impl Asked {
    pub(super) fn get(host: &str, path: &str) -> Self {
        Self { method: "GET", host: host.into(), path: path.into(), ..Self::default() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_parameter(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn query(&self) -> Option<Vec<u8>> {
        let pairs = self.query.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat());
        let joined = pairs.collect::<Vec<_>>().join(&b'&');
        (!joined.is_empty()).then_some(joined)
    }

    /// What a router of this plan sees of it.
    pub(super) fn values(&self, plan: &RouterPlan) -> Values {
        fn named(fields: &[(&'static str, Vec<u8>)], name: &str) -> Option<Vec<u8>> {
            fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        }
        let value = |attribute: &Attribute| match attribute {
            Attribute::Method => Some(self.method.into()),
            Attribute::Scheme => Some(b"http".to_vec()),
            Attribute::Authority => Some(self.host.clone()),
            Attribute::Path => Some(self.path.clone()),
            Attribute::Query => self.query(),
            Attribute::SourceAddress => Some(b"192.0.2.7".to_vec()),
            Attribute::SourcePort => Some(b"40000".to_vec()),
            Attribute::Listener => Some(b"main".to_vec()),
            Attribute::Header(name) if name == "host" => Some(self.host.clone()),
            Attribute::Header(name) => named(&self.headers, name),
            Attribute::QueryParameter(name) => named(&self.query, name),
            Attribute::ServerName | Attribute::ApplicationProtocol | Attribute::Route | Attribute::Cookie(_) => None,
        };
        Values(plan.attributes.iter().map(value).collect())
    }
}

/// One route of a table. What is not given matches everything.
#[derive(Clone, Default)]
pub(super) struct Route {
    pub(super) host: Option<&'static str>,
    pub(super) path: Option<Path>,
    pub(super) methods: Vec<&'static str>,
    /// Exact values.
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) query: Vec<(&'static str, &'static str)>,
    /// Tells it from the others.
    pub(super) number: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Path {
    Exact(&'static str),
    Prefix(&'static str),
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.json())
    }
}

/// How much a route asks for, in the order in which it counts.
type Specificity = ((u8, usize), (u8, usize), bool, usize, usize);

impl Route {
    pub(super) fn cluster(&self) -> String {
        format!("c{}", self.number)
    }

    pub(super) fn json(&self) -> Value {
        let mut conditions = json!({});
        if let Some(host) = self.host {
            conditions["host"] = host.into();
        }
        match self.path {
            Some(Path::Exact(path)) => conditions["path_exact"] = path.into(),
            Some(Path::Prefix(path)) => conditions["path_prefix"] = path.into(),
            None => {}
        }
        if !self.methods.is_empty() {
            conditions["methods"] = self.methods.clone().into();
        }
        for (key, fields) in [("headers", &self.headers), ("query", &self.query)] {
            for (name, value) in fields {
                conditions[key][*name] = json!({ "exact": value });
            }
        }
        json!({ "match": conditions, "cluster": self.cluster() })
    }

    fn matches(&self, asked: &Asked) -> bool {
        let host = String::from_utf8_lossy(&asked.host);
        let path = String::from_utf8_lossy(&asked.path);
        let has = |fields: &[(&'static str, Vec<u8>)], wanted: &[(&str, &str)]| {
            wanted.iter().all(|(name, value)| fields.iter().any(|(n, v)| n == name && v == value.as_bytes()))
        };
        let host_fits = self.host.is_none_or(|wanted| match wanted.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == wanted,
        });
        let path_fits = match self.path {
            None => true,
            Some(Path::Exact(wanted)) => path == wanted,
            Some(Path::Prefix(wanted)) => {
                let wanted = wanted.trim_end_matches('/');
                path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        host_fits
            && path_fits
            && (self.methods.is_empty() || self.methods.contains(&asked.method))
            && has(&asked.headers, &self.headers)
            && has(&asked.query, &self.query)
    }

    fn specificity(&self) -> Specificity {
        let host = match self.host {
            Some(wildcard) if wildcard.starts_with('*') => (1, wildcard.len()),
            Some(_) => (2, 0),
            None => (0, 0),
        };
        let path = match self.path {
            Some(Path::Exact(_)) => (1, 0),
            Some(Path::Prefix(prefix)) => (0, prefix.trim_end_matches('/').len()),
            None => (0, 0),
        };
        (host, path, !self.methods.is_empty(), self.headers.len(), self.query.len())
    }
}

/// The configuration of a table.
pub(super) fn config(routes: &[Route]) -> String {
    json!({ "routes": routes.iter().map(Route::json).collect::<Vec<_>>() }).to_string()
}

/// The route that the Gateway API's order of precedence gives: of those that match the most specific, and of equals the
/// first.
pub(super) fn expected<'a>(routes: &'a [Route], asked: &Asked) -> Option<&'a Route> {
    let mut best: Option<&Route> = None;
    for route in routes.iter().filter(|route| route.matches(asked)) {
        if best.is_none_or(|best| route.specificity() > best.specificity()) {
            best = Some(route);
        }
    }
    best
}
