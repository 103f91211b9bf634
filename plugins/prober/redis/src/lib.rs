//! Asks Redis, Valkey and what else speaks their protocol: `PING`, and if configured its role and whether a key is there.
//! Source: the Redis serialization protocol specification (RESP2); HAProxy's `option redis-check`, Envoy's Redis health checks.

mod reply;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeAction, ProbeEvent, Target, Transport};
use reply::Reply;
use talk::{Received, Role, end, go_on, quoted};

/// How the server is asked, and what it has to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// User of the access control list, for servers since Redis 6. Needs a password.
    username: Option<String>,
    password: Option<String>,
    role: Role,
    /// A key that has to be there.
    key: Option<String>,
}

/// Asks one question after the other.
#[derive(Debug)]
pub struct Redis {
    config: Config,
    questions: Vec<Question>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Auth,
    Ping,
    Role,
    Key,
}

/// A probe under way.
#[derive(Debug, Default)]
pub struct Session {
    received: Received,
    /// The question that is to be answered.
    at: usize,
    /// What was said so far, when an answer has several parts.
    parts: Vec<Reply>,
}

impl Prober for Redis {
    type Config = Config;
    type Session = Session;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if config.username.is_some() && config.password.is_none() {
            errors.push("/username", "expected a password beside it");
        }
        for (path, text) in [("/username", &config.username), ("/password", &config.password), ("/key", &config.key)] {
            if text.as_ref().is_some_and(String::is_empty) {
                errors.push(path, "expected at least one letter");
            }
        }
        let questions = [
            config.password.is_some().then_some(Question::Auth),
            Some(Question::Ping),
            config.key.is_some().then_some(Question::Key),
            // The last one, since not all of its answer is waited for.
            (config.role != Role::Any).then_some(Question::Role),
        ];
        errors.or(Self { config, questions: questions.into_iter().flatten().collect() })
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn open(&mut self, _target: &Target) -> (Session, Vec<ProbeAction>) {
        (Session::default(), Vec::new())
    }

    fn advance(&mut self, session: &mut Session, event: ProbeEvent) -> Vec<ProbeAction> {
        if event == ProbeEvent::Connected {
            return vec![self.ask(0)];
        }
        let Session { received, at, parts } = session;
        go_on(received, event, |received| {
            let Some(reply) = reply::next(received)? else { return Ok(None) };
            Ok(Some(self.hear(at, parts, reply)))
        })
    }
}

impl Redis {
    fn ask(&self, at: usize) -> ProbeAction {
        let Config { username, password, key, .. } = &self.config;
        let words: Vec<&str> = match self.questions[at] {
            Question::Auth => ["AUTH"].into_iter().chain(username.as_deref()).chain(password.as_deref()).collect(),
            Question::Ping => vec!["PING"],
            Question::Role => vec!["ROLE"],
            Question::Key => ["EXISTS"].into_iter().chain(key.as_deref()).collect(),
        };
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        ProbeAction::Send(command.into_bytes())
    }

    fn hear(&self, at: &mut usize, parts: &mut Vec<Reply>, reply: Reply) -> Vec<ProbeAction> {
        let fail = |reason: String| end(QUIT, ProbeAction::fail(reason));
        match (self.questions[*at], reply) {
            (_, Reply::Error(error)) => return fail(self.reason(&error)),
            (Question::Auth, Reply::Simple(ok)) if ok == b"OK" => {}
            (Question::Ping, Reply::Simple(pong)) if pong == b"PONG" => {}
            (Question::Key, Reply::Integer(1)) => {}
            (Question::Key, Reply::Integer(0)) => return fail("the key is not there".to_owned()),
            (Question::Role, part) => {
                parts.push(part);
                return match self.judge(parts) {
                    Ok(None) => Vec::new(),
                    Ok(Some(is)) => end(QUIT, ProbeAction::pass(is)),
                    Err(reason) => fail(reason),
                };
            }
            (_, reply) => {
                let said = quoted(&reply.into_text(), &self.secrets());
                return vec![ProbeAction::fail(format!("does not answer as Redis does, but with {said}"))];
            }
        }
        *at += 1;
        if *at < self.questions.len() { vec![self.ask(*at)] } else { end(QUIT, ProbeAction::pass("answers")) }
    }

    /// What the server is, once enough of its answer to `ROLE` is there; why that will not do.
    fn judge(&self, parts: &[Reply]) -> Result<Option<&'static str>, String> {
        let [Reply::Array, rest @ ..] = parts else {
            return Err("does not tell its role".to_owned());
        };
        let (role, rest) = match rest {
            [] => return Ok(None),
            [Reply::Bulk(role), rest @ ..] => (&role[..], rest),
            _ => return Err("does not tell its role".to_owned()),
        };
        match (role, self.config.role) {
            (b"master", Role::Primary) => Ok(Some("answers, as a primary")),
            (b"master", _) => Err("a primary, not a replica".to_owned()),
            (b"slave", Role::Primary) => Err("a replica, not a primary".to_owned()),
            // Host and port of its primary, and how it is with that.
            (b"slave", _) => match rest {
                [_, _, Reply::Bulk(state), ..] if state == b"connected" => Ok(Some("answers, as a replica in step")),
                [_, _, Reply::Bulk(state), ..] => {
                    Err(format!("a replica that does not follow its primary: {}", quoted(state, &self.secrets())))
                }
                [_, _, ..] if rest.len() > 2 => Err("does not tell its role".to_owned()),
                _ => Ok(None),
            },
            _ => Err(format!("neither a primary nor a replica, but {}", quoted(role, &self.secrets()))),
        }
    }

    /// What an error means.
    fn reason(&self, error: &[u8]) -> String {
        let code = error.split(|byte| *byte == b' ').next().unwrap_or_default();
        match code {
            b"LOADING" => "starting: it loads its data".to_owned(),
            b"NOAUTH" => "wants a password, and none is configured".to_owned(),
            b"WRONGPASS" => "does not accept the user and the password".to_owned(),
            b"NOPERM" => "does not let this user ask".to_owned(),
            b"MASTERDOWN" => "a replica whose primary is gone".to_owned(),
            b"BUSY" => "busy with a script".to_owned(),
            b"MISCONF" => "takes no writes, since it cannot save".to_owned(),
            _ => format!("answers with the error {}", quoted(error, &self.secrets())),
        }
    }

    fn secrets(&self) -> [&str; 1] {
        [self.config.password.as_deref().unwrap_or_default()]
    }
}

/// Says goodbye, though a server needs none.
const QUIT: &[u8] = b"*1\r\n$4\r\nQUIT\r\n";

plimsoll_sdk::plugin! {
    summary: "asks a Redis or Valkey server whether it serves, as which role, and whether a key is there",
    prober: Redis
}

#[cfg(test)]
mod tests;
