//! From the host's types to the contract's and back.

use std::fmt;
use std::sync::Arc;

use super::api::v0_2::plimsoll::plugin::types as wit;
use super::create_error::CreateError;
use super::policy::ConfigMistake;
use crate::config::MOST_BODY_PREFIX;
use crate::snapshot::{Availability, Change, Endpoint, EndpointSet, Outcome, OutcomeClass};
use crate::telemetry::printable_within;

/// What a policy wants to see of a request or connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    Method,
    Scheme,
    Authority,
    Path,
    Query,
    SourceAddress,
    SourcePort,
    ServerName,
    ApplicationProtocol,
    Listener,
    /// Label of the route that was taken.
    Route,
    Header(http::HeaderName),
    Cookie(String),
    QueryParameter(String),
    /// Of the token in a header, which is not verified.
    Claim {
        header: http::HeaderName,
        name: String,
    },
    /// Of the certificate that the client has shown, which was verified; `named` in the contract.
    ClientCertificate(CertificatePart),
    /// The first bytes of the body, so many at the most.
    BodyPrefix(u32),
    /// A header name that cannot exist on the wire: never present.
    Never,
}

impl Attribute {
    /// Whether its value may be worth something to who reads it.
    pub(super) fn may_be_secret(&self) -> bool {
        match self {
            Self::Cookie(_) | Self::BodyPrefix(_) => true,
            Self::Header(name) => {
                ["auth", "cookie", "key", "secret", "token"].iter().any(|part| name.as_str().contains(part))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method",
            Self::Scheme => "scheme",
            Self::Authority => "authority",
            Self::Path => "path",
            Self::Query => "query",
            Self::SourceAddress => "source-address",
            Self::SourcePort => "source-port",
            Self::ServerName => "server-name",
            Self::ApplicationProtocol => "application-protocol",
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Header(name) => return write!(f, "header {name}"),
            Self::Cookie(name) => return write!(f, "cookie {}", printable_within(name, 64)),
            Self::QueryParameter(name) => return write!(f, "query-parameter {}", printable_within(name, 64)),
            Self::Claim { name, .. } => return write!(f, "claim {}", printable_within(name, 64)),
            Self::ClientCertificate(part) => part.as_str(),
            Self::BodyPrefix(bytes) => return write!(f, "body-prefix {bytes}"),
            Self::Never => "header of no name",
        })
    }
}

/// What there is to see of a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificatePart {
    Subject,
    /// Its alternative names.
    Names,
    /// SHA-256, in hex.
    Fingerprint,
}

impl CertificatePart {
    pub const ALL: [Self; 3] = [Self::Subject, Self::Names, Self::Fingerprint];

    /// By which policies ask for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "client-certificate-subject",
            Self::Names => "client-certificate-names",
            Self::Fingerprint => "client-certificate-fingerprint",
        }
    }
}

/// How much of a body has to be read before these can be shown.
pub fn body_prefix(attributes: &[Attribute]) -> usize {
    let bytes = |attribute: &Attribute| match attribute {
        Attribute::BodyPrefix(bytes) => *bytes as usize,
        _ => 0,
    };
    attributes.iter().map(bytes).max().unwrap_or(0)
}

/// Values of declared attributes, in the order of the declaration.
pub type Values = Vec<Option<Vec<u8>>>;

/// What a policy wants to see, or the name of what the host cannot show.
fn attribute(attribute: wit::Attribute) -> Result<Attribute, String> {
    Ok(match attribute {
        wit::Attribute::Method => Attribute::Method,
        wit::Attribute::Scheme => Attribute::Scheme,
        wit::Attribute::Authority => Attribute::Authority,
        wit::Attribute::Path => Attribute::Path,
        wit::Attribute::Query => Attribute::Query,
        wit::Attribute::SourceAddress => Attribute::SourceAddress,
        wit::Attribute::SourcePort => Attribute::SourcePort,
        wit::Attribute::ServerName => Attribute::ServerName,
        wit::Attribute::ApplicationProtocol => Attribute::ApplicationProtocol,
        wit::Attribute::Listener => Attribute::Listener,
        wit::Attribute::Header(name) => name.parse().map_or(Attribute::Never, Attribute::Header),
        wit::Attribute::Cookie(name) => Attribute::Cookie(name),
        wit::Attribute::QueryParameter(name) => Attribute::QueryParameter(name),
        wit::Attribute::Route => Attribute::Route,
        wit::Attribute::Claim(wit::Claim { header, name }) => match header.parse() {
            Ok(header) => Attribute::Claim { header, name },
            Err(_) => Attribute::Never,
        },
        wit::Attribute::BodyPrefix(bytes @ 1..=MOST_BODY_PREFIX) => Attribute::BodyPrefix(bytes),
        wit::Attribute::BodyPrefix(bytes) => return Err(format!("body-prefix({bytes})")),
        wit::Attribute::Named(name) => match CertificatePart::ALL.into_iter().find(|part| part.as_str() == name) {
            Some(part) => Attribute::ClientCertificate(part),
            None => return Err(name),
        },
    })
}

/// What a policy wants to see; a mistake for what the host cannot show.
pub(super) fn attributes(declared: Vec<wit::Attribute>) -> Result<Arc<[Attribute]>, CreateError> {
    let attributes: Result<_, String> = declared.into_iter().map(attribute).collect();
    attributes.map_err(|name| refused(&format!("this proxy does not show policies the attribute `{name}`")))
}

/// Refuses settings that came after this host.
pub(super) fn nothing_more(more: &wit::More) -> Result<(), CreateError> {
    match more.first() {
        None => Ok(()),
        Some((name, _)) => Err(refused(&format!("this proxy does not know `{name}` in a plan"))),
    }
}

/// The host does not do what the plugin wants by its configuration.
pub(super) fn refused(message: &str) -> CreateError {
    CreateError::Refused(vec![ConfigMistake { path: String::new(), message: text(message) }])
}

pub(super) fn endpoints(set: &EndpointSet) -> Vec<wit::Endpoint> {
    set.iter().map(|endpoint| self::endpoint(endpoint)).collect()
}

pub(super) fn changes(changes: &[Change]) -> Vec<wit::Change> {
    changes
        .iter()
        .map(|change| match change {
            Change::Put(endpoint) => wit::Change::Put(self::endpoint(endpoint)),
            Change::Removed(slot) => wit::Change::Removed(*slot),
            Change::Availability(slot, value) => wit::Change::Availability((*slot, availability(*value))),
            Change::Weight(slot, weight) => wit::Change::Weight((*slot, *weight)),
            Change::Ramp(slot, ramp) => wit::Change::Ramp((*slot, *ramp)),
        })
        .collect()
}

pub(super) fn endpoint(endpoint: &Endpoint) -> wit::Endpoint {
    wit::Endpoint {
        slot: endpoint.slot,
        id_hash: endpoint.id_hash,
        id: endpoint.id.to_string(),
        address: endpoint.address.to_string(),
        weight: endpoint.weight,
        ramp: endpoint.ramp,
        availability: availability(endpoint.availability),
        priority: endpoint.priority,
        max_connections: endpoint.max_connections,
        zone: endpoint.zone.to_string(),
        metadata: endpoint.metadata.to_vec(),
    }
}

fn availability(availability: Availability) -> wit::Availability {
    match availability {
        Availability::Ready => wit::Availability::Ready,
        Availability::Draining => wit::Availability::Draining,
        Availability::Unavailable => wit::Availability::Unavailable,
    }
}

pub(super) fn outcomes(batch: &[Outcome]) -> Vec<wit::Outcome> {
    batch
        .iter()
        .map(|outcome| wit::Outcome {
            slot: outcome.slot,
            class: match outcome.class {
                OutcomeClass::Success => wit::OutcomeClass::Success,
                OutcomeClass::ServerError => wit::OutcomeClass::ServerError,
                OutcomeClass::ConnectFailure => wit::OutcomeClass::ConnectFailure,
                OutcomeClass::Timeout => wit::OutcomeClass::Timeout,
                OutcomeClass::Reset => wit::OutcomeClass::Reset,
                OutcomeClass::ClientAbort => wit::OutcomeClass::ClientAbort,
            },
            status: outcome.status,
            first_byte_us: outcome.first_byte_us,
            total_us: outcome.total_us,
        })
        .collect()
}

/// What a policy answered to its creation.
pub(super) fn created<P>(answer: wasmtime::Result<Result<P, Vec<wit::ConfigError>>>) -> Result<P, CreateError> {
    answer.map_err(|error| CreateError::trapped(&error))?.map_err(|errors| CreateError::Refused(mistakes(errors)))
}

pub(super) fn mistakes(errors: Vec<wit::ConfigError>) -> Vec<ConfigMistake> {
    errors
        .into_iter()
        .take(MOST_MISTAKES)
        .map(|error| ConfigMistake {
            path: printable_within(&error.path, MAX_TEXT_BYTES),
            message: printable_within(&error.message, MAX_TEXT_BYTES),
        })
        .collect()
}

/// Of what a plugin says to people: reasons, details, mistakes. It is kept, and shown in logs, metrics and terminals.
const MAX_TEXT_BYTES: usize = 1024;
/// Of a label, which stands in many lines.
const MAX_LABEL_BYTES: usize = 128;
/// Mistakes that a plugin may find in a configuration; more help nobody.
const MOST_MISTAKES: usize = 100;

/// What a plugin says to people, as one line.
pub(super) fn text(text: &str) -> String {
    printable_within(text, MAX_TEXT_BYTES)
}

/// Words for the access log.
pub(super) fn labels(labels: &[String]) -> Arc<[Arc<str>]> {
    labels.iter().map(|text| label(text)).collect()
}

/// A word for the access log.
pub(super) fn label(label: &str) -> Arc<str> {
    printable_within(label, MAX_LABEL_BYTES).into()
}

/// A header field as a plugin gave it; none if it cannot go over the wire.
pub(super) fn header(header: wit::Header) -> Option<(http::HeaderName, http::HeaderValue)> {
    let name = header.name.parse::<http::HeaderName>().ok()?;
    let value = http::HeaderValue::from_bytes(&header.value).ok()?;
    Some((name, value))
}

/// Header fields as a plugin gave them; those that cannot go over the wire are left out and counted by the caller.
pub(super) fn header_map(headers: Vec<wit::Header>) -> Vec<(http::HeaderName, http::HeaderValue)> {
    headers.into_iter().filter_map(header).collect()
}
