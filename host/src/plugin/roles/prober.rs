use std::time::Duration;

use bytes::Bytes;
use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::prober as wit;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::OFF_REQUEST_PATH;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::snapshot::{LoadReport, Reported};

/// How the host carries a prober's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    Http,
    Grpc,
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
    Answered { status: u16, headers: Vec<(String, Vec<u8>)>, body: Vec<u8>, trailers: Vec<(String, Vec<u8>)> },
    Waited,
}

/// What a prober wants done.
#[derive(Clone, Debug)]
pub enum ProbeAction {
    Send(Bytes),
    Exchange {
        method: String,
        path: String,
        headers: Vec<(String, Vec<u8>)>,
        body: Bytes,
    },
    Report(Reported),
    Finish {
        passed: bool,
        detail: String,
    },
    StartTls,
    /// [`ProbeEvent::Waited`] is to come after so long.
    Wait(Duration),
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
        instance.plan::<ProberGuest>(self.policy).copied()
    }

    pub fn open(&self, instance: &mut Instance, session: u32, target: &Target) -> Result<Vec<ProbeAction>, Fault> {
        instance.ask(self.policy, OFF_REQUEST_PATH, |prober: &ProberGuest, store, policy| {
            prober.open(store, policy, session, target)
        })
    }

    pub fn advance(&self, instance: &mut Instance, session: u32, event: ProbeEvent) -> Result<Vec<ProbeAction>, Fault> {
        instance.ask(self.policy, OFF_REQUEST_PATH, |prober: &ProberGuest, store, policy| {
            prober.advance(store, policy, session, event)
        })
    }

    pub fn close(&self, instance: &mut Instance, session: u32) {
        // A fault at the end of a probe is counted and changes nothing.
        let _ = instance.ask(self.policy, OFF_REQUEST_PATH, |prober: &ProberGuest, store, policy| {
            prober.close(store, policy, session)
        });
    }
}

/// The functions of a prober.
pub(in crate::plugin) struct ProberGuest(wit::Guest);

impl GuestRole for ProberGuest {
    const ROLE: Role = Role::Prober;
    type Plan = Transport;

    from_bindings!(wit);

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<Transport, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        let unserved = |name: &str| Err(convert::refused(&format!("this proxy does not probe over `{name}`")));
        if plan.tls.is_some() {
            return unserved("tls");
        }
        match plan.transport {
            wit::Transport::Tcp => Ok(Transport::Tcp),
            wit::Transport::Udp => Ok(Transport::Udp),
            wit::Transport::Http => Ok(Transport::Http),
            wit::Transport::Tls => unserved("tls"),
            wit::Transport::Grpc => Ok(Transport::Grpc),
        }
    }
}

impl ProberGuest {
    pub(in crate::plugin) fn open(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        session: u32,
        target: &Target,
    ) -> wasmtime::Result<Vec<ProbeAction>> {
        let Target { address, id, cluster } = target.clone();
        self.0.call_open(store, policy, session, &wit::Target { address, id, cluster }).map(actions)
    }

    pub(in crate::plugin) fn advance(
        &self,
        store: &mut Store<Guest>,
        policy: u32,
        session: u32,
        event: ProbeEvent,
    ) -> wasmtime::Result<Vec<ProbeAction>> {
        self.0.call_advance(store, policy, session, &event.into()).map(actions)
    }

    pub(in crate::plugin) fn close(&self, store: &mut Store<Guest>, policy: u32, session: u32) -> wasmtime::Result<()> {
        self.0.call_close(store, policy, session)
    }
}

fn reported(told: wit::Load) -> Reported {
    let load = LoadReport {
        cpu: told.cpu,
        memory: told.memory,
        utilization: told.utilization,
        requests_per_second: told.requests_per_second,
        errors_per_second: told.errors_per_second,
    };
    Reported { load, named: told.named.into_iter().map(|(name, value)| (convert::text(&name).into(), value)).collect() }
}

fn actions(wanted: Vec<wit::Action>) -> Vec<ProbeAction> {
    wanted.into_iter().map(ProbeAction::from).collect()
}

impl From<ProbeEvent> for wit::Event {
    fn from(event: ProbeEvent) -> Self {
        match event {
            ProbeEvent::Connected => Self::Connected,
            ProbeEvent::Received(bytes) => Self::Received(bytes),
            ProbeEvent::Closed => Self::Closed,
            ProbeEvent::Waited => Self::Waited,
            ProbeEvent::Answered { status, headers, body, trailers } => {
                let fields = |fields: Vec<(String, Vec<u8>)>| {
                    fields.into_iter().map(|(name, value)| wit::Header { name, value }).collect()
                };
                Self::Answered(wit::HttpResponse { status, headers: fields(headers), body, trailers: fields(trailers) })
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
            wit::Action::Report(load) => Self::Report(reported(load)),
            wit::Action::Finish(verdict) => {
                Self::Finish { passed: verdict.passed, detail: convert::text(&verdict.detail) }
            }
            wit::Action::StartTls => Self::StartTls,
            wit::Action::Wait(ms) => Self::Wait(Duration::from_millis(ms.into())),
        }
    }
}
