//! Asks a name server a question over UDP, and looks at the code of the answer and at the addresses in it. Source: RFC 1035
//! section 4.

mod message;

use std::net::IpAddr;

use message::{Answer, Question};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};

/// What is asked, and what has to be answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name that is asked for.
    name: String,
    record: Record,
    rcode: Rcode,
    /// An address that has to be among the answers.
    answer: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: ".".into(), record: Record::Ns, rcode: Rcode::Noerror, answer: None }
    }
}

/// A kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Record {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

impl Record {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Ns => 2,
            Self::Cname => 5,
            Self::Soa => 6,
            Self::Ptr => 12,
            Self::Mx => 15,
            Self::Txt => 16,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Rcode {
    Noerror,
    Formerr,
    Servfail,
    Nxdomain,
    Notimp,
    Refused,
    Any,
}

/// By their numbers.
const CODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
/// How long an answer is waited for before the question goes out again, which may have been lost.
const PATIENCE_MS: u32 = 500;
const MOST_QUERIES: u32 = 3;

/// Asks one question.
#[derive(Debug)]
pub struct Dns {
    question: Question,
    rcode: Rcode,
    answer: Option<IpAddr>,
}

/// A probe under way.
#[derive(Debug)]
pub struct Session {
    id: u16,
    sent: u32,
}

impl Prober for Dns {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let question = Question::new(&config.name, config.record.number());
        if question.is_none() {
            errors.push("/name", "expected a name such as www.example.com, with labels of 1 to 63 bytes");
        }
        let answer: Option<IpAddr> = config.answer.as_deref().and_then(|answer| answer.parse().ok());
        let fits = match answer {
            Some(IpAddr::V4(_)) => config.record == Record::A,
            Some(IpAddr::V6(_)) => config.record == Record::Aaaa,
            None => config.answer.is_none(),
        };
        if !fits {
            errors.push("/answer", "expected an address of IPv4 with `record: a`, or of IPv6 with `record: aaaa`");
        }
        errors.or(Self { question: question.unwrap_or_default(), rcode: config.rcode, answer })
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn open(&mut self, target: &Target) -> (Session, Vec<ProbeAction>) {
        // Answers come from the endpoint to this probe's own port alone, so that it need not be a secret.
        let id = target.id.bytes().fold(1, |id: u16, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
        (Session { id, sent: 0 }, Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        match event {
            ProbeEvent::Connected | ProbeEvent::Waited if session.sent < MOST_QUERIES => {
                session.sent += 1;
                vec![ProbeAction::Send(self.question.query(session.id)), ProbeAction::Wait(PATIENCE_MS)]
            }
            ProbeEvent::Connected | ProbeEvent::Waited => Vec::new(),
            ProbeEvent::Received(bytes) => {
                self.question.answer(session.id, &bytes).map(|answer| self.judge(&answer)).into_iter().collect()
            }
            _ => vec![ProbeAction::fail("something else than a datagram came to a probe of datagrams")],
        }
    }
}

impl Dns {
    fn judge(&self, answer: &Answer) -> ProbeAction {
        let code = CODES.get(usize::from(answer.rcode)).map_or_else(|| answer.rcode.to_string(), |code| (*code).into());
        if self.rcode != Rcode::Any && self.rcode as u8 != answer.rcode {
            return ProbeAction::fail(format!("answers with {code}"));
        }
        match self.answer {
            Some(wanted) if !answer.addresses.contains(&wanted) && answer.is_cut_off => ProbeAction::fail(format!(
                "answers with {code}, but {wanted} is not in as much as goes into a datagram"
            )),
            Some(wanted) if !answer.addresses.contains(&wanted) => {
                ProbeAction::fail(format!("answers with {code}, but {wanted} is not among the answers"))
            }
            _ => ProbeAction::pass(format!("answers with {code}")),
        }
    }
}

plimsoll_sdk::plugin! { summary: "asks a name server a question", prober: Dns }

#[cfg(test)]
mod tests;
