//! Asks a PostgreSQL server for a session: whether it takes connections at all, as pg_isready does, and with a user that needs
//! no password which role it has. Source: PostgreSQL's documentation, "Message Flow" and "Message Formats" of protocol 3.0.

mod message;

use message::{Message, next, startup};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};
use talk::{Received, Role, end, go_on, quoted};

/// As whom it asks, and what the server has to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A user that may log in without a password. Without one, it is enough that the server would talk of one.
    user: Option<String>,
    /// Database of the session; that of the user's name unless given.
    database: Option<String>,
    /// Needs a user, and a server since PostgreSQL 14, which tells.
    role: Role,
}

/// Asks for a session.
#[derive(Debug)]
pub struct Postgres {
    startup: Vec<u8>,
    logs_in: bool,
    role: Role,
}

/// A probe under way.
#[derive(Debug, Default)]
pub struct Session {
    received: Received,
    logged_in: bool,
    /// What it said of itself: whether it follows another.
    follows: Option<bool>,
    reads_only: bool,
}

impl Prober for Postgres {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for (path, text) in [("/user", &config.user), ("/database", &config.database)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > 63 || text.contains('\0')) {
                errors.push(path, "expected a name of at most 63 bytes");
            }
        }
        if config.role != Role::Any && config.user.is_none() {
            errors.push("/role", "expected a `user` beside it, as whom it logs in to see");
        }
        let user = config.user.as_deref().unwrap_or("plimsoll");
        let startup = startup(user, config.database.as_deref().unwrap_or(user));
        errors.or(Self { startup, logs_in: config.user.is_some(), role: config.role })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Session, Vec<ProbeAction>) {
        (Session::default(), Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        if event == ProbeEvent::Connected {
            return vec![ProbeAction::Send(self.startup.clone())];
        }
        let mut received = std::mem::take(&mut session.received);
        let actions = go_on(&mut received, event, |received| {
            Ok(next(received)?.map(|message| self.hear(session, message).into_iter().flatten().collect()))
        });
        session.received = received;
        actions
    }
}

impl Postgres {
    fn hear(&self, session: &mut Session, message: Message) -> Option<Vec<ProbeAction>> {
        match message {
            Message::Authenticated => session.logged_in = true,
            // Whoever is about to be asked for a password may go without a word.
            Message::WantsProof if self.logs_in => {
                return Some(vec![ProbeAction::fail(
                    "wants a password of the user, for which this prober is not made",
                )]);
            }
            Message::WantsProof => return Some(vec![ProbeAction::pass("takes connections")]),
            Message::Error { code, text } => return Some(vec![self.refused(&code, &text)]),
            Message::Parameter { name, value } => match &name[..] {
                b"in_hot_standby" => session.follows = Some(value == b"on"),
                b"default_transaction_read_only" => session.reads_only = value == b"on",
                _ => {}
            },
            Message::Ready if session.logged_in => return Some(end(TERMINATE, self.judge(session))),
            Message::Other => {}
            Message::Ready | Message::Foreign => {
                return Some(vec![ProbeAction::fail("does not answer as PostgreSQL does")]);
            }
        }
        None
    }

    fn judge(&self, session: &Session) -> ProbeAction {
        match (self.role, session.follows) {
            (Role::Any, Some(true)) => ProbeAction::pass("logs in, to a replica"),
            (Role::Any, _) => ProbeAction::pass("logs in"),
            (_, None) => ProbeAction::fail("does not tell its role, as it does since PostgreSQL 14"),
            (Role::Primary, Some(true)) => ProbeAction::fail("a replica, not a primary"),
            (Role::Primary, _) if session.reads_only => ProbeAction::fail("a primary that is set to read only"),
            (Role::Primary, _) => ProbeAction::pass("logs in, to a primary"),
            (Role::Replica, Some(true)) => ProbeAction::pass("logs in, to a replica"),
            (Role::Replica, _) => ProbeAction::fail("a primary, not a replica"),
        }
    }

    /// What an error means (PostgreSQL's documentation, appendix "Error Codes").
    fn refused(&self, code: &[u8], text: &[u8]) -> ProbeAction {
        let said = quoted(text, &[]);
        match code {
            b"57P03" => ProbeAction::fail(format!("starting or stopping: {said}")),
            b"57P01" | b"57P02" => ProbeAction::fail(format!("stopping: {said}")),
            b"53300" => ProbeAction::fail(format!("takes no more connections: {said}")),
            // It knows whom it lets in, so that it works.
            [b'2', b'8', ..] | b"3D000" if !self.logs_in => ProbeAction::pass("takes connections"),
            [b'2', b'8', ..] => ProbeAction::fail(format!("does not let the user in: {said}")),
            b"3D000" => ProbeAction::fail(format!("does not have the database: {said}")),
            _ => ProbeAction::fail(format!("answers with the error {said}")),
        }
    }
}

const TERMINATE: &[u8] = &[b'X', 0, 0, 0, 4];

plimsoll_sdk::plugin! { summary: "asks a PostgreSQL server whether it takes connections, and as which role", prober: Postgres }

#[cfg(test)]
mod tests;
