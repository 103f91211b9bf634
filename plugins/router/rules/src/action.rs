use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{DirectResponse, Redirect};

use crate::host;
use crate::rule::Seen;

/// What a route does with a request.
#[derive(Debug)]
pub(crate) enum Target {
    Cluster(u32),
    Split(Split),
    /// To a place that does not depend on the request.
    Redirect(Redirect),
    Replace(Replace),
    Respond(DirectResponse),
}

/// Clusters with the sums of the weights up to and with each.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) clusters: Vec<(u32, u32)>,
}

/// A redirect to the request's own place with parts replaced.
#[derive(Debug)]
pub(crate) struct Replace {
    pub(crate) status: u16,
    pub(crate) scheme: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
}

impl Target {
    pub(crate) fn action(&self, seen: &Seen<'_>) -> Action {
        match self {
            Self::Cluster(cluster) => Action::Forward(*cluster),
            Self::Split(split) => split.draw().map_or(Action::NoRoute, Action::Forward),
            Self::Redirect(redirect) => Action::Redirect(redirect.clone()),
            Self::Replace(replace) => Action::Redirect(replace.redirect(seen.request())),
            Self::Respond(response) => Action::Respond(response.clone()),
        }
    }
}

impl Split {
    fn draw(&self) -> Option<u32> {
        let (_, total) = self.clusters.last()?;
        let drawn = plimsoll_sdk::host::random_below(*total);
        self.clusters.iter().find(|(_, sum)| drawn < *sum).map(|(cluster, _)| *cluster)
    }
}

impl Replace {
    fn redirect(&self, request: &Request<'_>) -> Redirect {
        let mut location = Vec::new();
        let scheme = self.scheme.as_deref().map(str::as_bytes).or_else(|| request.attribute(&Attribute::Scheme));
        let authority = match (&self.host, request.authority()) {
            (Some(host), _) => Some(host.as_bytes()),
            // The port belonged to the scheme that is replaced.
            (None, Some(authority)) if self.scheme.is_some() => Some(host::without_port(authority)),
            (None, authority) => authority,
        };
        if let Some(authority) = authority {
            location.extend_from_slice(scheme.unwrap_or(b"http"));
            location.extend_from_slice(b"://");
            location.extend_from_slice(authority);
        }
        let path = self.path.as_deref().map(str::as_bytes).or_else(|| request.path()).unwrap_or(b"/");
        // Two slashes at the front of a location without a host would make a host of what follows.
        let slashes = path.iter().take_while(|byte| **byte == b'/').count();
        let path = if authority.is_none() && slashes > 1 { &path[slashes - 1..] } else { path };
        location.extend_from_slice(path);
        if let Some(query) = request.query() {
            location.push(b'?');
            location.extend_from_slice(query);
        }
        Redirect { status: self.status, location: printable(&location) }
    }
}

/// Percent-encodes what a URL has no room for.
fn printable(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for byte in location {
        match byte {
            0x21..=0x7e => text.push(char::from(*byte)),
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}
