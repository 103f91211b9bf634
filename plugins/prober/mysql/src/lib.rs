//! Waits for the greeting of a MySQL or MariaDB server. With a user it logs in, sees whether the server takes writes if that is
//! wanted, and says goodbye, without which the server would count an aborted connection. Source: the client/server protocol
//! as documented by MySQL ("Connection Phase") and MariaDB; HAProxy's `option mysql-check`.

mod login;
mod packet;

use login::Login;
use packet::{Packet, next, packet};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};
use talk::{Received, Role, end, go_on, quoted};

/// As whom it logs in, and what the server has to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A user for probes, which needs no privileges.
    user: Option<String>,
    password: Option<String>,
    /// A `primary` takes writes, a `replica` is `read_only`. Needs a user.
    role: Role,
}

/// Listens first.
#[derive(Debug)]
pub struct Mysql {
    login: Option<Login>,
    role: Role,
}

/// A probe under way.
#[derive(Debug, Default)]
pub struct Session {
    received: Received,
    asked: Asked,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    /// To be let in.
    Login,
    /// Whether it is read-only; so many packets of the answer are there.
    Role(u8),
}

impl Prober for Mysql {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for (path, text) in [("/user", &config.user), ("/password", &config.password)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > 200 || text.contains('\0')) {
                errors.push(path, "expected from 1 to 200 bytes");
            }
        }
        if config.user.is_none() && (config.password.is_some() || config.role != Role::Any) {
            errors.push("/user", "expected a user beside `password` and `role`");
        }
        let password = config.password.unwrap_or_default();
        let login = config.user.map(|user| Login { user, password });
        errors.or(Self { login, role: config.role })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Session, Vec<ProbeAction>) {
        (Session::default(), Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        let Session { received, asked } = session;
        go_on(received, event, |received| Ok(next(received)?.map(|packet| self.hear(asked, &packet))))
    }
}

impl Mysql {
    fn hear(&self, asked: &mut Asked, Packet { number, content }: &Packet) -> Vec<ProbeAction> {
        if let [0xff, low, high, text @ ..] = &content[..] {
            return vec![self.refused(u16::from_le_bytes([*low, *high]), text)];
        }
        match asked {
            Asked::Nothing => self.greeted(asked, content),
            Asked::Login => self.let_in(asked, *number, content),
            Asked::Role(packets) => {
                // The number of columns, the column, their end, and the row: one text.
                *packets += 1;
                match (*packets, &content[..]) {
                    (4, [1, b'0']) => self.judge(false),
                    (4, [1, b'1']) => self.judge(true),
                    (4.., _) => end(&QUIT, ProbeAction::fail("does not tell whether it is read-only")),
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The greeting has protocol 10, the version, and what the password is mixed with.
    fn greeted(&self, asked: &mut Asked, content: &[u8]) -> Vec<ProbeAction> {
        let version = content.strip_prefix(&[10]).and_then(|rest| rest.split(|byte| *byte == 0).next());
        let Some(version) = version.filter(|version| version.iter().all(u8::is_ascii_graphic)) else {
            return vec![foreign()];
        };
        let Some(login) = &self.login else {
            return vec![ProbeAction::pass(format!("greets, version {}", quoted(version, &[])))];
        };
        let Some(response) = login.respond(&content[1 + version.len()..]) else { return vec![foreign()] };
        *asked = Asked::Login;
        vec![ProbeAction::Send(packet(1, &response))]
    }

    fn let_in(&self, asked: &mut Asked, number: u8, content: &[u8]) -> Vec<ProbeAction> {
        match content {
            [0, ..] if self.role == Role::Any => end(&QUIT, ProbeAction::pass("logs in")),
            [0, ..] => {
                *asked = Asked::Role(0);
                vec![ProbeAction::Send(packet(0, b"\x03SELECT @@global.read_only"))]
            }
            // The right password is known to it, and an answer follows.
            [1, 3] => Vec::new(),
            [1, 4] => vec![ProbeAction::fail(
                "wants the password over TLS: log in once by other means, or use another plugin",
            )],
            [0xfe, rest @ ..] => match self.login.as_ref().and_then(|login| login.switch(rest)) {
                Some(proof) => vec![ProbeAction::Send(packet(number.wrapping_add(1), &proof))],
                None => vec![ProbeAction::fail("wants a way of authentication that this prober does not have")],
            },
            _ => vec![foreign()],
        }
    }

    fn judge(&self, reads_only: bool) -> Vec<ProbeAction> {
        let verdict = match (self.role, reads_only) {
            (Role::Primary, true) => ProbeAction::fail("read-only, not a primary"),
            (Role::Replica, false) => ProbeAction::fail("takes writes, not a replica"),
            (_, true) => ProbeAction::pass("logs in, read-only"),
            (_, false) => ProbeAction::pass("logs in, takes writes"),
        };
        end(&QUIT, verdict)
    }

    /// What an error means (MySQL's "Server Error Message Reference").
    fn refused(&self, code: u16, text: &[u8]) -> ProbeAction {
        // A state stands before the words, once the client has shown itself.
        let text = text.strip_prefix(b"#").and_then(|text| text.get(5..)).unwrap_or(text);
        let reason = match code {
            1040 | 1203 => "takes no more connections",
            1045 | 1698 => "does not accept the user and the password",
            1129 => "blocks this address, after too many broken connections",
            1130 => "does not let this address in",
            1053 | 3169 => "stopping",
            _ => "answers with an error",
        };
        let secret = self.login.as_ref().map_or("", |login| &login.password);
        ProbeAction::fail(format!("{reason} (code {code}): {}", quoted(text, &[secret])))
    }
}

fn foreign() -> ProbeAction {
    ProbeAction::fail("does not speak as MySQL does")
}

/// `COM_QUIT`.
const QUIT: [u8; 5] = [1, 0, 0, 0, 1];

plimsoll_sdk::plugin! { summary: "greets a MySQL or MariaDB server and, with a user, logs in and says goodbye", prober: Mysql }

#[cfg(test)]
mod tests;
