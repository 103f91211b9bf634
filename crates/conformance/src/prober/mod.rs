//! Probers: what holds for each is in [`sound`], what holds for those that are handed bytes in [`bytes`], and what they
//! may not say in [`secrets`]. [`talk`] has the peers that they are tried with.

mod bytes;
mod secrets;
mod sound;
mod talk;

use crate::profile::Shown;
use crate::trial::{Property, Trial, Use, only};
use crate::{Policy, Profile, Subject};
use talk::{Session, target};

/// A prober under test.
pub trait Prober: Policy {
    fn transport(&self) -> Transport;

    fn open(&mut self, session: u32, target: &Target) -> Result<Vec<ProbeAction>, String>;

    fn advance(&mut self, session: u32, event: &ProbeEvent) -> Result<Vec<ProbeAction>, String>;

    fn close(&mut self, session: u32) -> Result<(), String>;
}

/// How the proxy carries the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    Http,
}

/// Whom a probe is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: String,
    pub id: String,
    pub cluster: String,
}

/// Something that happens in a probe.
#[derive(Clone, PartialEq, Eq)]
pub enum ProbeEvent {
    Connected,
    Received(Vec<u8>),
    Closed,
    Answered(ProbeResponse),
}

/// What a prober wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    Send(Vec<u8>),
    Exchange(ProbeRequest),
    Finish { passed: bool, detail: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for ProbeEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Received(bytes) => write!(f, "received {}", crate::request::shown(bytes)),
            Self::Closed => f.write_str("closed"),
            Self::Answered(response) => {
                write!(f, "answered {} {}", response.status, crate::request::shown(&response.body))
            }
        }
    }
}

pub(crate) fn properties() -> [&'static [Property]; 3] {
    [bytes::PROPERTIES, sound::PROPERTIES, secrets::PROPERTIES]
}

fn prober(trial: &Trial<'_>) -> Result<Box<dyn Prober>, String> {
    prober_of(trial.subject, Use::config(trial.uses, "prober"))
}

fn prober_of(subject: &dyn Subject, config: &str) -> Result<Box<dyn Prober>, String> {
    only(subject.probers(config, 0, 1))
}

/// Whether a prober is of a profile, and by what that shows.
pub(crate) fn shows(profile: Profile, subject: &dyn Subject, config: &str) -> Result<Shown, String> {
    if profile != Profile::ServerFirst {
        return Ok((profile.is_of_all(), "not of this role".to_owned()));
    }
    let mut prober = prober_of(subject, config)?;
    if prober.transport() == Transport::Http {
        return Ok((false, "it speaks HTTP, in which clients begin".to_owned()));
    }
    let session = Session::begin(&mut *prober, 1, &target(1))?;
    Ok(match (session.sent.is_empty(), session.verdict.is_none()) {
        (true, true) => (true, "it waited for the peer to speak".to_owned()),
        (false, _) => (false, "it spoke first".to_owned()),
        (true, false) => (false, "it was done before anybody spoke".to_owned()),
    })
}
