use plimsoll_conformance as suite;
use plimsoll_sdk::{Attribute, Header, Outcome, OutcomeClass};

pub fn outcome(outcome: &Outcome) -> suite::Outcome {
    let class = match outcome.class {
        OutcomeClass::Success => suite::OutcomeClass::Success,
        OutcomeClass::ServerError => suite::OutcomeClass::ServerError,
        OutcomeClass::ConnectFailure => suite::OutcomeClass::ConnectFailure,
        OutcomeClass::Timeout => suite::OutcomeClass::Timeout,
        OutcomeClass::Reset => suite::OutcomeClass::Reset,
        OutcomeClass::ClientAbort => suite::OutcomeClass::ClientAbort,
    };
    let Outcome { slot, status, first_byte_us, total_us, .. } = *outcome;
    suite::Outcome { slot, class, status, first_byte_us, total_us }
}

pub fn attribute(attribute: suite::Attribute) -> Attribute {
    match attribute {
        suite::Attribute::Method => Attribute::Method,
        suite::Attribute::Scheme => Attribute::Scheme,
        suite::Attribute::Authority => Attribute::Authority,
        suite::Attribute::Path => Attribute::Path,
        suite::Attribute::Query => Attribute::Query,
        suite::Attribute::SourceAddress => Attribute::SourceAddress,
        suite::Attribute::SourcePort => Attribute::SourcePort,
        suite::Attribute::ServerName => Attribute::ServerName,
        suite::Attribute::ApplicationProtocol => Attribute::ApplicationProtocol,
        suite::Attribute::Listener => Attribute::Listener,
        suite::Attribute::Route => Attribute::Route,
        suite::Attribute::Header(name) => Attribute::Header(name),
        suite::Attribute::Cookie(name) => Attribute::Cookie(name),
        suite::Attribute::QueryParameter(name) => Attribute::QueryParameter(name),
    }
}

pub fn headers(headers: Vec<(String, Vec<u8>)>) -> Vec<Header> {
    headers.into_iter().map(|(name, value)| Header { name, value }).collect()
}
