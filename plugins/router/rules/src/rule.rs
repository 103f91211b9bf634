use std::borrow::Cow;
use std::net::IpAddr;

use plimsoll_sdk::prelude::*;
use regex_lite::Regex;

use crate::source::Network;
use crate::{host, path};

/// Longer values match no expression: time grows with their length, and a call has little.
const LONGEST_FOR_REGEX: usize = 2048;

/// What all routes together want to see, and where it stands among the attributes.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) host: bool,
    pub(crate) path: bool,
    pub(crate) method: bool,
    pub(crate) source: bool,
    pub(crate) protocol: bool,
    /// For redirects to another part of the same place.
    pub(crate) url: bool,
    /// Headers and query parameters; they come first among the attributes.
    named: Vec<Attribute>,
}

/// What one request is like.
pub(crate) struct Seen<'a> {
    request: &'a Request<'a>,
    pub(crate) host: Option<Cow<'a, [u8]>>,
    /// With dot segments resolved.
    pub(crate) path: Option<Cow<'a, [u8]>>,
    method: Option<&'a [u8]>,
    source: Option<IpAddr>,
    /// With commas between them.
    protocols: Option<&'a [u8]>,
}

impl Wanted {
    /// The place of a header or query parameter.
    pub(crate) fn named(&mut self, attribute: Attribute) -> usize {
        self.named.iter().position(|known| *known == attribute).unwrap_or_else(|| {
            self.named.push(attribute);
            self.named.len() - 1
        })
    }

    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = self.named.clone();
        let mut want = |wanted, attribute| {
            if wanted {
                attributes.push(attribute);
            }
        };
        want(self.host || self.url, Attribute::Authority);
        want(self.host, Attribute::ServerName);
        want(self.path || self.url, Attribute::Path);
        want(self.method, Attribute::Method);
        want(self.source, Attribute::SourceAddress);
        want(self.protocol, Attribute::ApplicationProtocol);
        want(self.url, Attribute::Scheme);
        want(self.url, Attribute::Query);
        attributes
    }

    pub(crate) fn see<'a>(&self, request: &'a Request<'a>) -> Seen<'a> {
        let mut next = self.named.len();
        let mut take = |wanted: bool| {
            let value = if wanted { request.get(next) } else { None };
            next += usize::from(wanted);
            value
        };
        // In the order of `attributes`.
        let authority = take(self.host || self.url);
        let server_name = take(self.host);
        let raw_path = take(self.path || self.url);
        let method = take(self.method);
        let source = take(self.source).and_then(|text| str::from_utf8(text).ok()?.parse().ok());
        let protocols = take(self.protocol);
        Seen {
            request,
            host: if self.host { authority.or(server_name).and_then(host::normalized) } else { None },
            path: raw_path.map(path::resolved),
            method,
            source,
            protocols,
        }
    }
}

impl<'a> Seen<'a> {
    pub(crate) fn named(&self, index: usize) -> Option<&'a [u8]> {
        self.request.get(index)
    }

    fn speaks_one_of(&self, wanted: &[Vec<u8>]) -> bool {
        let mut spoken = self.protocols.into_iter().flat_map(|listed| listed.split(|byte| *byte == b','));
        spoken.any(|protocol| wanted.iter().any(|wanted| wanted == protocol))
    }

    /// The request as the client made it, for redirects.
    pub(crate) fn request(&self) -> &'a Request<'a> {
        self.request
    }
}

/// Everything about a route's match that the index does not know.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    pub(crate) path: PathRule,
    pub(crate) methods: Vec<Vec<u8>>,
    pub(crate) headers: Vec<(usize, ValueRule)>,
    pub(crate) query: Vec<(usize, ValueRule)>,
    pub(crate) source: Vec<Network>,
    pub(crate) protocols: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) enum PathRule {
    #[default]
    Any,
    /// The index has compared it; all that is left is that there is one.
    Indexed,
    Regex(Regex),
}

#[derive(Debug)]
pub(crate) enum ValueRule {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Regex(Regex),
    Present(bool),
}

impl Rule {
    pub(crate) fn matches(&self, seen: &Seen<'_>) -> bool {
        let path = seen.path.as_deref();
        (match &self.path {
            PathRule::Any => true,
            PathRule::Indexed => path.is_some_and(|path| path.starts_with(b"/")),
            PathRule::Regex(regex) => path.is_some_and(|path| regex_matches(regex, path)),
        }) && (self.methods.is_empty() || seen.method.is_some_and(|method| self.methods.iter().any(|m| m == method)))
            && self.headers.iter().chain(&self.query).all(|(index, rule)| rule.matches(seen.named(*index)))
            && (self.source.is_empty()
                || seen.source.is_some_and(|source| self.source.iter().any(|network| network.contains(source))))
            && (self.protocols.is_empty() || seen.speaks_one_of(&self.protocols))
    }
}

impl ValueRule {
    fn matches(&self, value: Option<&[u8]>) -> bool {
        match (self, value) {
            (Self::Present(present), value) => value.is_some() == *present,
            (_, None) => false,
            (Self::Exact(exact), Some(value)) => value == exact,
            (Self::Prefix(prefix), Some(value)) => value.starts_with(prefix),
            (Self::Regex(regex), Some(value)) => regex_matches(regex, value),
        }
    }
}

fn regex_matches(regex: &Regex, value: &[u8]) -> bool {
    value.len() <= LONGEST_FOR_REGEX && str::from_utf8(value).is_ok_and(|text| regex.is_match(text))
}
