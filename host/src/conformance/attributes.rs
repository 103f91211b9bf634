use plimsoll_conformance as suite;

use crate::plugin::Attribute;

/// What a policy wants to see of requests, in the words of the suite.
pub(super) fn attributes(attributes: &[Attribute]) -> Vec<suite::Attribute> {
    attributes.iter().map(attribute).collect()
}

fn attribute(attribute: &Attribute) -> suite::Attribute {
    match attribute {
        Attribute::Method => suite::Attribute::Method,
        Attribute::Scheme => suite::Attribute::Scheme,
        Attribute::Authority => suite::Attribute::Authority,
        Attribute::Path => suite::Attribute::Path,
        Attribute::Query => suite::Attribute::Query,
        Attribute::SourceAddress => suite::Attribute::SourceAddress,
        Attribute::SourcePort => suite::Attribute::SourcePort,
        Attribute::ServerName => suite::Attribute::ServerName,
        Attribute::ApplicationProtocol => suite::Attribute::ApplicationProtocol,
        Attribute::Listener => suite::Attribute::Listener,
        Attribute::Route => suite::Attribute::Route,
        Attribute::Header(name) => suite::Attribute::Header(name.to_string()),
        Attribute::Cookie(name) => suite::Attribute::Cookie(name.clone()),
        Attribute::QueryParameter(name) => suite::Attribute::QueryParameter(name.clone()),
        // Its value is text of any kind, and so is that of a header.
        Attribute::Claim { name, .. } => suite::Attribute::Header(name.clone()),
        // Text of any kind, too.
        Attribute::BodyPrefix(_) => suite::Attribute::Header("body".to_owned()),
        // The suite's clients have none.
        Attribute::ClientCertificate(_) => suite::Attribute::Header(String::new()),
        // No header has it.
        Attribute::Never => suite::Attribute::Header(String::new()),
    }
}
