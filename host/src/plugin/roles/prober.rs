use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use wasmtime::Store;

use crate::plugin::api::v0_2::exports::plimsoll::plugin::prober as wit;
use crate::plugin::convert;
use crate::plugin::create_error::CreateError;
use crate::plugin::deadline::Call;
use crate::plugin::fault::Fault;
use crate::plugin::guest::Guest;
use crate::plugin::instance::Instance;
use crate::plugin::policy::{PolicyConfig, Role};
use crate::plugin::role::{GuestRole, from_bindings};
use crate::snapshot::{LoadReport, Mode, Reported, Wishes};
use crate::tls::Handshake;

/// How the host carries a prober's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    /// Bytes within TLS.
    Tls,
    Udp,
    Http,
    Grpc,
}

/// How a prober wants to be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProberPlan {
    pub transport: Transport,
    /// How it wants TLS to be spoken, if it says so.
    pub tls: Option<ProberTls>,
}

/// How a prober wants TLS to be spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProberTls {
    /// In the place of what the configuration says.
    pub server_name: Option<String>,
    /// The best first.
    pub application_protocols: Vec<String>,
    pub verifies: bool,
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
    Secured(Handshake),
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
    Wish(Wishes),
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

    pub fn plan(&self, instance: &Instance) -> Option<ProberPlan> {
        instance.plan::<ProberGuest>(self.policy).cloned()
    }

    pub fn open(&self, instance: &mut Instance, session: u32, target: &Target) -> Result<Vec<ProbeAction>, Fault> {
        instance.ask(self.policy, Call::off_request_path("open"), |prober: &ProberGuest, store, policy| {
            prober.open(store, policy, session, target)
        })
    }

    pub fn advance(&self, instance: &mut Instance, session: u32, event: ProbeEvent) -> Result<Vec<ProbeAction>, Fault> {
        instance.ask(self.policy, Call::off_request_path("advance"), |prober: &ProberGuest, store, policy| {
            prober.advance(store, policy, session, event)
        })
    }

    pub fn close(&self, instance: &mut Instance, session: u32) {
        // A fault at the end of a probe is counted and changes nothing.
        let _ = instance.ask(self.policy, Call::off_request_path("close"), |prober: &ProberGuest, store, policy| {
            prober.close(store, policy, session)
        });
    }
}

/// The functions of a prober.
pub(in crate::plugin) struct ProberGuest(wit::Guest);

impl GuestRole for ProberGuest {
    const ROLE: Role = Role::Prober;
    type Plan = ProberPlan;

    from_bindings!(wit);

    fn create(&self, store: &mut Store<Guest>, policy: u32, config: &PolicyConfig) -> Result<ProberPlan, CreateError> {
        let plan = convert::created(self.0.call_create(store, policy, &config.config))?;
        convert::nothing_more(&plan.more)?;
        let transport = match plan.transport {
            wit::Transport::Tcp => Transport::Tcp,
            wit::Transport::Tls => Transport::Tls,
            wit::Transport::Udp => Transport::Udp,
            wit::Transport::Http => Transport::Http,
            wit::Transport::Grpc => Transport::Grpc,
        };
        if plan.tls.is_some() && transport == Transport::Udp {
            return Err(convert::refused("no TLS is spoken over UDP"));
        }
        Ok(ProberPlan { transport, tls: plan.tls.map(tls).transpose()? })
    }
}

/// The most protocols that a prober may offer.
const MOST_PROTOCOLS: usize = 8;

fn tls(wanted: wit::Tls) -> Result<ProberTls, CreateError> {
    let wit::Tls { server_name, application_protocols, verify } = wanted;
    if let Some(name) = server_name.as_deref().filter(|name| ServerName::try_from(*name).is_err()) {
        return Err(convert::refused(&format!("`{name}` cannot be the name on a certificate")));
    }
    let are_names = application_protocols.iter().all(|name| (1..=255).contains(&name.len()));
    if application_protocols.len() > MOST_PROTOCOLS || !are_names {
        let message = format!("up to {MOST_PROTOCOLS} application protocols can be offered, of 1 to 255 bytes each");
        return Err(convert::refused(&message));
    }
    Ok(ProberTls { server_name, application_protocols, verifies: verify })
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
            ProbeEvent::Secured(Handshake { version, application_protocol, certificate_ends }) => {
                Self::Secured(wit::Handshake { version: version.to_owned(), application_protocol, certificate_ends })
            }
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
            wit::Action::Enter(mode) => {
                let mode = match mode {
                    wit::Mode::Ready => Mode::Ready,
                    wit::Mode::Draining => Mode::Draining,
                    wit::Mode::Disabled => Mode::Disabled,
                };
                Self::Wish(Wishes { mode: Some(mode), ..Wishes::default() })
            }
            wit::Action::Weigh(share) => Self::Wish(Wishes { weight: Some(share.min(1000)), ..Wishes::default() }),
            wit::Action::Admit(most) => Self::Wish(Wishes { max_connections: Some(most), ..Wishes::default() }),
            wit::Action::Finish(verdict) => {
                Self::Finish { passed: verdict.passed, detail: convert::text(&verdict.detail) }
            }
            wit::Action::StartTls => Self::StartTls,
            wit::Action::Wait(ms) => Self::Wait(Duration::from_millis(ms.into())),
        }
    }
}
