use std::time::Duration;

use instant_acme::{Error, Problem};

use crate::config::Challenge;

/// Why there is no certificate.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What went wrong, and what to do about it.
    pub message: String,
    /// How long the authority wants to be left alone.
    pub retry_after: Option<Duration>,
    /// It has had too many orders.
    pub is_rate_limited: bool,
    /// It does not know the account (any more).
    pub(super) is_unknown_account: bool,
}

/// Before the names of problems that ACME knows (RFC 8555 section 6.7).
const NAMESPACE: &str = "urn:ietf:params:acme:error:";

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry_after: None, is_rate_limited: false, is_unknown_account: false }
    }

    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(problem),
            Error::Json(error) => Self::new(format!("the authority's answer is none of ACME: {error}")),
            error => Self::new(error.to_string()),
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        let kind = kind(problem);
        let mut message = format!("the authority refuses: {}", told(problem));
        if let Some(advice) = advice(kind) {
            message = format!("{message}; {advice}");
        }
        Self {
            is_rate_limited: kind == "rateLimited",
            is_unknown_account: kind == "accountDoesNotExist",
            ..Self::new(message)
        }
    }

    /// A name was not proven to be ours.
    pub(super) fn of_challenge(name: &str, challenge: Challenge, problem: Option<&Problem>) -> Self {
        let cause = problem.map_or_else(|| "the authority does not say why".to_owned(), told);
        let advice = match problem.map(kind).unwrap_or_default() {
            "dns" => format!("see that {name} has an A or AAAA record that leads here, and no other"),
            "caa" => format!("the CAA records of {name} name other authorities"),
            _ => match challenge {
                Challenge::Http01 => format!(
                    "http://{name}/.well-known/acme-challenge/ has to reach a listener of this proxy with `protocol: http` and \
                     without `tls` on port 80: see where A and AAAA records lead, and whether a firewall, a forwarded port or \
                     another proxy is in between"
                ),
                Challenge::TlsAlpn01 => format!(
                    "port 443 of {name} has to reach a listener of this proxy with `tls`: see where A and AAAA records lead, \
                     and whether a firewall or something that ends TLS is in between"
                ),
            },
        };
        Self::new(format!("{name} was not proven by {}: {cause}; {advice}", challenge.as_str()))
    }
}

fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().unwrap_or_default().trim_start_matches(NAMESPACE)
}

/// What a problem says of itself. It comes from outside, and is bounded.
fn told(problem: &Problem) -> String {
    let mut text = problem.detail.clone().unwrap_or_default();
    for sub in &problem.subproblems {
        text.push_str(&format!(" [{sub}]"));
    }
    let mut text: String =
        text.chars().map(|of| if of.is_control() { ' ' } else { of }).take(MOST_CHARACTERS).collect();
    text.push_str(&format!(" ({})", kind(problem)));
    text
}

const MOST_CHARACTERS: usize = 1000;

fn advice(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "rateLimited" => "it is tried again when the authority allows it; its staging directory is there to try things",
        "externalAccountRequired" => "it takes `acme.external_account`, which its web site has for you",
        "userActionRequired" => "its terms have changed: read and agree to them at the address that it names",
        "rejectedIdentifier" => "it issues no certificates for one of the names",
        "unsupportedContact" | "invalidContact" => "`acme.email` is not an address that it accepts",
        "caa" => "CAA records name other authorities",
        _ => return None,
    })
}
