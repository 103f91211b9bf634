//! Waits for the greeting of a mail server, introduces itself, and quits. Source: RFC 5321 sections 3.1, 4.1.1.1 and 4.2;
//! HAProxy's `option smtpchk`.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};
use talk::{Received, end, go_on, quoted};

/// How it introduces itself, and what the server has to offer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name by which it introduces itself.
    name: String,
    /// An extension that the server has to offer, such as `STARTTLS`.
    extension: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: "localhost".to_owned(), extension: None }
    }
}

/// Listens first.
#[derive(Debug)]
pub struct Smtp {
    config: Config,
}

/// A probe under way.
#[derive(Debug, Default)]
pub struct Session {
    received: Received,
    asked: Asked,
    /// Whether a line of the answer named the extension.
    offers: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    Ehlo,
    Helo,
}

impl Prober for Smtp {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let is_name = |text: &str| !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        let mut errors = ConfigErrors::new();
        if !is_name(&config.name) {
            errors.push("/name", "expected a name such as `probe.example.org`, or an address such as `[192.0.2.1]`");
        }
        if config.extension.as_ref().is_some_and(|name| !is_name(name)) {
            errors.push("/extension", "expected the keyword of an extension, such as `STARTTLS`");
        }
        errors.or(Self { config })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Session, Vec<ProbeAction>) {
        (Session::default(), Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        let Session { received, asked, offers } = session;
        go_on(received, event, |received| Ok(received.line()?.map(|line| self.hear(asked, offers, &line))))
    }
}

impl Smtp {
    fn hear(&self, asked: &mut Asked, offers: &mut bool, line: &[u8]) -> Vec<ProbeAction> {
        let (code, is_last, text) = match line {
            [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => match rest {
                [b'-', text @ ..] => ([*a, *b, *c], false, text),
                [b' ', text @ ..] | text @ [] => ([*a, *b, *c], true, text),
                _ => return foreign(line),
            },
            _ => return foreign(line),
        };
        let keyword = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        *offers |= self.config.extension.as_ref().is_some_and(|e| keyword.eq_ignore_ascii_case(e.as_bytes()));
        if !is_last {
            return Vec::new();
        }
        let introduce = |verb: &str| vec![ProbeAction::Send(format!("{verb} {}\r\n", self.config.name).into_bytes())];
        let fail = |reason: String| end(QUIT, ProbeAction::fail(reason));
        let said = || quoted(line, &[]);
        match (*asked, &code) {
            (_, b"421") => fail(format!("not in service: {}", said())),
            (Asked::Nothing, b"220") => {
                (*asked, *offers) = (Asked::Ehlo, false);
                introduce("EHLO")
            }
            (Asked::Nothing, _) => fail(format!("does not take mail: {}", said())),
            (Asked::Ehlo, b"500" | b"501" | b"502" | b"504") => {
                (*asked, *offers) = (Asked::Helo, false);
                introduce("HELO")
            }
            (_, b"250") => match &self.config.extension {
                Some(extension) if !*offers => fail(format!("does not offer {extension}")),
                _ => end(QUIT, ProbeAction::pass("greets")),
            },
            _ => fail(format!("does not want to know {}: {}", self.config.name, said())),
        }
    }
}

fn foreign(line: &[u8]) -> Vec<ProbeAction> {
    vec![ProbeAction::fail(format!("does not speak as mail servers do, but says {}", quoted(line, &[])))]
}

const QUIT: &[u8] = b"QUIT\r\n";

plimsoll_sdk::plugin! { summary: "waits for the greeting of a mail server, and introduces itself", prober: Smtp }

#[cfg(test)]
mod tests;
