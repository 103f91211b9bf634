use crate::trial::{Trial, Use, only};
use crate::{Policy, Subject};

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

pub(super) fn prober(trial: &Trial<'_>) -> Result<Box<dyn Prober>, String> {
    prober_of(trial.subject, Use::config(trial.uses, "prober"))
}

pub(super) fn prober_of(subject: &dyn Subject, config: &str) -> Result<Box<dyn Prober>, String> {
    only(subject.probers(config, 0, 1))
}
