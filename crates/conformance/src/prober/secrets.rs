use serde_json::Value;

use super::policy::{ProbeEvent, ProbeResponse, Transport, prober_of};
use super::talk::{answers, garbage, play, sayings, talks};
use crate::Profile;
use crate::trial::{Checked, Property, Stop, Trial, Use};

/// What is for the eyes of the peer only.
pub(super) const PROPERTIES: &[Property] = &[Property::quick(
    "P8",
    &[Profile::Prober],
    "no credential of the configuration is in the words of a verdict, not even when the peer says it back",
    keeps_secrets,
)];

/// Names of fields that hold credentials, or parts of them.
const NAMES: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "authorization", "credential", "api-key", "api_key"];

/// What is put where a configuration may have a credential.
const PLANTED: &str = "Bearer c4Nar1-51nG5";

fn keeps_secrets(trial: &mut Trial<'_>) -> Checked {
    let config = Use::config(trial.uses, "prober").to_owned();
    let mut configs = planted(trial, &config);
    let own = secrets(&config);
    if !own.is_empty() {
        configs.push((config, own));
    }
    if configs.is_empty() {
        return Err(Stop::Skipped("its configuration has no credentials, and takes none that were tried".into()));
    }
    trial.measure("configurations", configs.len() as f64);
    for (config, secrets) in configs {
        let mut prober = prober_of(trial.subject, &config)?;
        let mut talks = talks(&mut *prober, &config, &mut trial.random)?;
        talks.extend(echoes(trial, prober.transport(), &config, &secrets));
        for talk in talks {
            trial.try_list(talk, |trial, events| {
                let session = play(&mut *prober_of(trial.subject, &config)?, 1, events)?;
                let Some((_, detail)) = session.verdict else { return Ok(()) };
                match secrets.iter().find(|secret| detail.contains(secret.as_str())) {
                    Some(secret) => Err(format!("the verdict says {detail:?}, and {secret:?} is a credential")),
                    None => Ok(()),
                }
            })?;
        }
    }
    Ok(())
}

/// Configurations with a credential in a place where it is accepted.
fn planted(trial: &Trial<'_>, config: &str) -> Vec<(String, Vec<String>)> {
    let places: [&[&str]; 6] = [
        &["password"],
        &["secret"],
        &["token"],
        &["authorization"],
        &["headers", "authorization"],
        &["auth", "password"],
    ];
    let mut configs = Vec::new();
    for place in places {
        let Ok(mut with) = serde_json::from_str::<Value>(config) else { continue };
        let mut at = &mut with;
        for name in place {
            if !at.is_object() {
                *at = Value::Object(serde_json::Map::new());
            }
            at = &mut at[*name];
        }
        *at = PLANTED.into();
        let with = with.to_string();
        if trial.subject.create("prober", &with).is_ok() {
            configs.push((with, vec![PLANTED.to_owned(), "c4Nar1-51nG5".to_owned()]));
        }
    }
    configs
}

/// Values of the fields that hold credentials.
fn secrets(config: &str) -> Vec<String> {
    fn collect(value: &Value, is_secret: bool, secrets: &mut Vec<String>) {
        match value {
            // Shorter ones are in any text by chance.
            Value::String(text) if is_secret && text.len() >= 4 => secrets.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| collect(value, is_secret, secrets)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = name.to_ascii_lowercase();
                    let is_one = NAMES.iter().any(|known| name.contains(known));
                    collect(value, is_secret || is_one, secrets);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(config) = serde_json::from_str(config) {
        collect(&config, false, &mut found);
    }
    found
}

/// Peers that say the credentials back, as errors of servers do.
fn echoes(trial: &mut Trial<'_>, transport: Transport, config: &str, secrets: &[String]) -> Vec<Vec<ProbeEvent>> {
    let mut talks = Vec::new();
    for secret in secrets {
        match transport {
            Transport::Tcp | Transport::Udp => {
                let mut say = |begins: &[u8]| {
                    let bytes = [begins, secret.as_bytes(), b"\r\n"].concat();
                    let closed = (transport == Transport::Tcp).then_some(ProbeEvent::Closed);
                    talks.push([ProbeEvent::Received(bytes)].into_iter().chain(closed).collect());
                };
                say(b"-ERR invalid password ");
                say(b"535 ");
                say(&garbage(&mut trial.random, 20));
                sayings(config).iter().for_each(|saying| say(saying));
            }
            Transport::Http => {
                for answer in answers(config) {
                    let headers = vec![("www-authenticate".to_owned(), secret.clone().into_bytes())];
                    let body = format!("no access with {secret}").into_bytes();
                    talks.push(vec![ProbeEvent::Answered(ProbeResponse { headers, body, ..answer })]);
                }
            }
        }
    }
    talks
}
