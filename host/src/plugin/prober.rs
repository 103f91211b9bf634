use bytes::Bytes;

use super::api::v0_1::exports::plimsoll::plugin::prober as wit;
use super::convert;
use super::fault::Fault;
use super::instance::{CreateError, Instance, Live, OFF_REQUEST_PATH, Plan};
use crate::snapshot::LoadReport;

/// How the host carries a prober's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Http,
}

/// Whom a probe is for.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: String,
    pub id: String,
    pub cluster: String,
}

/// Something that happened in a probe.
#[derive(Clone, Debug)]
pub enum ProbeEvent {
    Connected,
    Received(Vec<u8>),
    Closed,
    Answered { status: u16, headers: Vec<(String, Vec<u8>)>, body: Vec<u8> },
}

/// What a prober wants done.
#[derive(Clone, Debug)]
pub enum ProbeAction {
    Send(Bytes),
    Exchange { method: String, path: String, headers: Vec<(String, Vec<u8>)>, body: Bytes },
    Report(LoadReport),
    Finish { passed: bool, detail: String },
}

/// A prober policy in the control plane.
#[derive(Clone, Copy, Debug)]
pub struct Prober {
    policy: u32,
}

impl Prober {
    pub fn new(policy: u32) -> Self {
        Self { policy }
    }

    pub fn transport(&self, instance: &Instance) -> Option<Transport> {
        match instance.plan(self.policy) {
            Some(Plan::Prober(transport)) => Some(*transport),
            _ => None,
        }
    }

    pub fn open(&self, instance: &mut Instance, session: u32, target: &Target) -> Result<Vec<ProbeAction>, Fault> {
        let target =
            wit::Target { address: target.address.clone(), id: target.id.clone(), cluster: target.cluster.clone() };
        let actions = instance.call(self.policy, OFF_REQUEST_PATH, |live, policy| {
            let Some(prober) = &live.prober else { return Err(wasmtime::Error::msg("no such role")) };
            prober.call_open(&mut live.store, policy, session, &target)
        })?;
        Ok(actions.into_iter().map(ProbeAction::from).collect())
    }

    pub fn advance(&self, instance: &mut Instance, session: u32, event: ProbeEvent) -> Result<Vec<ProbeAction>, Fault> {
        let event = wit::Event::from(event);
        let actions = instance.call(self.policy, OFF_REQUEST_PATH, |live, policy| {
            let Some(prober) = &live.prober else { return Err(wasmtime::Error::msg("no such role")) };
            prober.call_advance(&mut live.store, policy, session, &event)
        })?;
        Ok(actions.into_iter().map(ProbeAction::from).collect())
    }

    pub fn close(&self, instance: &mut Instance, session: u32) {
        // A fault at the end of a probe is counted and changes nothing.
        let _ = instance.call(self.policy, OFF_REQUEST_PATH, |live, policy| {
            let Some(prober) = &live.prober else { return Ok(()) };
            prober.call_close(&mut live.store, policy, session)
        });
    }
}

impl From<ProbeEvent> for wit::Event {
    fn from(event: ProbeEvent) -> Self {
        match event {
            ProbeEvent::Connected => Self::Connected,
            ProbeEvent::Received(bytes) => Self::Received(bytes),
            ProbeEvent::Closed => Self::Closed,
            ProbeEvent::Answered { status, headers, body } => {
                let headers = headers.into_iter().map(|(name, value)| wit::Header { name, value }).collect();
                Self::Answered(wit::HttpResponse { status, headers, body })
            }
        }
    }
}

impl From<wit::Action> for ProbeAction {
    fn from(action: wit::Action) -> Self {
        match action {
            wit::Action::Send(bytes) => Self::Send(bytes.into()),
            wit::Action::Exchange(request) => Self::Exchange {
                method: request.method,
                path: request.path,
                headers: request.headers.into_iter().map(|header| (header.name, header.value)).collect(),
                body: request.body.into(),
            },
            wit::Action::Report(load) => Self::Report(LoadReport {
                cpu: load.cpu,
                memory: load.memory,
                utilization: load.utilization,
                requests_per_second: load.requests_per_second,
                errors_per_second: load.errors_per_second,
            }),
            wit::Action::Finish(verdict) => {
                Self::Finish { passed: verdict.passed, detail: convert::text(&verdict.detail) }
            }
        }
    }
}

pub(super) fn create(live: &mut Live, policy: u32, config: &str) -> Result<Plan, CreateError> {
    let Some(prober) = &live.prober else { return Err(CreateError::MissingRole) };
    let plan = prober
        .call_create(&mut live.store, policy, config)
        .map_err(|error| CreateError::trapped(&error))?
        .map_err(|errors| CreateError::Refused(convert::mistakes(errors)))?;
    Ok(Plan::Prober(match plan.transport {
        wit::Transport::Tcp => Transport::Tcp,
        wit::Transport::Http => Transport::Http,
    }))
}
