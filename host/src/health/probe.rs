use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::datagrams::Datagrams;
use super::evaluation::{Evaluation, Session};
use super::grpc;
use super::line::{Line, NoAnswer};
use super::message::{Answer, PROBE_BODY_BYTES, Request};
use super::steps::Step;
use super::wire::Wire;
use crate::config::UpstreamProtocol;
use crate::plugin::{Fault, ProbeAction, ProbeEvent, ProbeResult, Target, Transport};
use crate::snapshot::{Reported, Wishes};
use crate::tls::Carries;

/// A probe that moves more than this is not one.
const MAX_BYTES: usize = 1 << 20;
const MAX_STEPS: usize = 256;

/// What came of a probe.
#[derive(Debug)]
pub struct Probed {
    /// None when the prober itself failed, which says nothing about the endpoint.
    pub result: Option<ProbeResult>,
    /// What the endpoint said of its load.
    pub report: Option<Reported>,
    /// How it wants to be treated, as far as it said so.
    pub wishes: Wishes,
}

impl Probed {
    /// The same of an endpoint that has another slot elsewhere.
    pub fn of(&self, slot: u32) -> Self {
        let result = self.result.as_ref().map(|result| ProbeResult { slot, ..result.clone() });
        Self { result, report: self.report.clone(), wishes: self.wishes }
    }
}

/// What is probed, and how.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    pub cluster: &'a str,
    /// Which of the checks of the cluster's probe.
    pub check: usize,
    pub slot: u32,
    pub line: Line<'a>,
    /// As the prober sees it.
    pub target: Target,
}

/// Makes one check of an endpoint. None when the prober cannot be asked.
pub(super) async fn probe(evaluation: &Evaluation, place: Place<'_>, timeout: Duration) -> Option<Probed> {
    let _room = evaluation.room().await?;
    let started = Instant::now();
    let (slot, keep) = (place.slot, place.line.keep);
    let (session, transport, actions) = evaluation.open(place.cluster, place.check, &place.target)?;
    let open = Open { evaluation, session };
    let mut run = Run {
        open,
        place,
        pending: actions.into(),
        report: None,
        wishes: Wishes::default(),
        wait_until: None,
        moved: 0,
        steps: 0,
    };
    let finished = match transport {
        Transport::Tcp => tokio::time::timeout(timeout, Box::pin(run.over_tcp(false))).await,
        Transport::Tls => tokio::time::timeout(timeout, Box::pin(run.over_tcp(true))).await,
        Transport::Udp => tokio::time::timeout(timeout, Box::pin(run.over_udp())).await,
        Transport::Http => tokio::time::timeout(timeout, run.over_http(false)).await,
        Transport::Grpc => tokio::time::timeout(timeout, run.over_http(true)).await,
    };
    let verdict = match finished {
        Ok(Ok(verdict)) => Some(verdict),
        Ok(Err(End::Fault)) => None,
        Ok(Err(End::Failed(detail))) => Some((false, detail)),
        Err(_elapsed) => Some((false, format!("no verdict within {timeout:?}"))),
    };
    if !matches!(verdict, Some((true, _))) {
        keep.clear();
    }
    let took = started.elapsed();
    let result = verdict.map(|(passed, detail)| ProbeResult { slot, passed, took, detail });
    Some(Probed { result, report: run.report, wishes: run.wishes })
}

/// Why a probe ended without a verdict of its prober.
enum End {
    Fault,
    Failed(String),
}

impl From<Fault> for End {
    fn from(_counted: Fault) -> Self {
        Self::Fault
    }
}

impl From<NoAnswer> for End {
    fn from(none: NoAnswer) -> Self {
        Self::Failed(none.into_text())
    }
}

type Verdict = (bool, String);

/// A probe as its prober knows it. It is closed there however the probe ends, also when it is given up because its endpoint
/// is gone.
struct Open<'a> {
    evaluation: &'a Evaluation,
    session: Session,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.evaluation.close(self.session);
    }
}

struct Run<'a> {
    open: Open<'a>,
    place: Place<'a>,
    pending: VecDeque<ProbeAction>,
    report: Option<Reported>,
    wishes: Wishes,
    /// When the prober is to hear that it has waited.
    wait_until: Option<Instant>,
    moved: usize,
    steps: usize,
}

impl Run<'_> {
    /// `tells` has the prober hear of the handshake.
    async fn over_tcp(&mut self, tells: bool) -> Result<Verdict, End> {
        let (stream, handshake) = self.place.line.connect(Carries::Bytes).await?;
        self.advance(ProbeEvent::Connected)?;
        if let Some(handshake) = handshake.filter(|_| tells) {
            self.advance(ProbeEvent::Secured(handshake))?;
        }
        self.over(Wire::stream(stream)).await
    }

    async fn over_udp(&mut self) -> Result<Verdict, End> {
        if self.place.line.encrypts || self.place.line.proxy_protocol.is_some() {
            let detail = "neither TLS nor the PROXY protocol is spoken over UDP: the probe needs `tls: false` and \
                          `proxy_protocol: false`";
            return Err(End::Failed(detail.to_owned()));
        }
        let datagrams =
            Datagrams::towards(self.place.line.address).await.map_err(|error| failed("connecting", &error))?;
        self.advance(ProbeEvent::Connected)?;
        self.over(Wire::Datagrams(datagrams)).await
    }

    /// What the prober says and hears itself.
    async fn over(&mut self, mut wire: Wire) -> Result<Verdict, End> {
        let mut closed = false;
        loop {
            while let Some(action) = self.pending.pop_front() {
                match action {
                    ProbeAction::Send(bytes) => {
                        self.count(bytes.len())?;
                        self.place.line.watcher.hear(Step::Sent(&bytes));
                        wire.send(&bytes).await.map_err(|error| failed("sending", &error))?;
                    }
                    ProbeAction::Report(report) => self.report = Some(report),
                    ProbeAction::Wish(wish) => self.wishes = self.wishes.then(wish),
                    ProbeAction::Wait(time) => self.wait_until = Some(Instant::now() + time),
                    ProbeAction::Exchange { .. } => return Err(no_such_action("exchange", wire.transport())),
                    ProbeAction::StartTls => {
                        let line = &self.place.line;
                        let (Some(stream), Some(tls)) = (wire.into_plain(), line.tls) else { return Err(no_tls()) };
                        let (stream, handshake) = line.shake_hands(tls, stream, Carries::Bytes).await?;
                        wire = Wire::stream(stream);
                        self.advance(ProbeEvent::Secured(handshake))?;
                    }
                    ProbeAction::Finish { passed, detail } => return Ok((passed, detail)),
                }
            }
            if closed {
                return Err(End::Failed("the endpoint closed the connection before a verdict".into()));
            }
            let received = match self.wait_until {
                None => wire.receive().await,
                Some(until) => match tokio::time::timeout_at(until.into(), wire.receive()).await {
                    Ok(received) => received,
                    Err(_elapsed) => {
                        self.wait_until = None;
                        self.advance(ProbeEvent::Waited)?;
                        continue;
                    }
                },
            };
            let received = received.map_err(|error| failed("receiving", &error))?;
            closed = received.is_none();
            self.place.line.watcher.hear(received.as_deref().map_or(Step::Closed, Step::Received));
            self.count(received.as_ref().map_or(0, Vec::len))?;
            self.advance(received.map_or(ProbeEvent::Closed, ProbeEvent::Received))?;
        }
    }

    /// Exchanges, which are `calls` of gRPC or not.
    async fn over_http(&mut self, calls: bool) -> Result<Verdict, End> {
        loop {
            match self.pending.pop_front() {
                Some(ProbeAction::Finish { passed, detail }) => return Ok((passed, detail)),
                Some(ProbeAction::Exchange { method, path, headers, body }) => {
                    self.place.line.watcher.hear(Step::Asked { method: &method, path: &path, headers: &headers });
                    let request = Request { method, path, headers, body, most: PROBE_BODY_BYTES };
                    let answer =
                        if calls { self.call(request).await? } else { self.place.line.exchange(request).await? };
                    let Answer { status, headers, body, trailers, .. } = answer;
                    self.place.line.watcher.hear(Step::Answered { status, headers: &headers, body: &body });
                    self.advance(ProbeEvent::Answered { status, headers, body, trailers })?;
                }
                Some(ProbeAction::Report(report)) => self.report = Some(report),
                Some(ProbeAction::Wish(wish)) => self.wishes = self.wishes.then(wish),
                Some(ProbeAction::Wait(time)) => {
                    tokio::time::sleep(time).await;
                    self.advance(ProbeEvent::Waited)?;
                }
                Some(ProbeAction::Send(_)) => return Err(no_such_action("send", "http")),
                Some(ProbeAction::StartTls) => return Err(no_tls()),
                None => return Err(End::Failed("the prober asked for nothing more and gave no verdict".into())),
            }
        }
    }

    async fn call(&self, request: Request) -> Result<Answer, End> {
        let request = grpc::call(request);
        let protocol = match self.place.line.protocol {
            UpstreamProtocol::Http3 => UpstreamProtocol::Http3,
            _ => UpstreamProtocol::Http2,
        };
        let line = Line { protocol, ..self.place.line.clone() };
        grpc::answered(line.exchange(request).await?).map_err(End::Failed)
    }

    fn advance(&mut self, event: ProbeEvent) -> Result<(), End> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(End::Failed(format!("more than {MAX_STEPS} steps without a verdict")));
        }
        let actions = self.open.evaluation.advance(self.open.session, event)?;
        self.pending.extend(actions);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), End> {
        self.moved += bytes;
        if self.moved > MAX_BYTES {
            return Err(End::Failed(format!("more than {MAX_BYTES} bytes without a verdict")));
        }
        Ok(())
    }
}

fn failed(doing: &str, error: &dyn std::error::Error) -> End {
    End::Failed(format!("{doing} failed: {error}"))
}

fn no_such_action(action: &str, transport: &str) -> End {
    End::Failed(format!("the prober asked for `{action}`, which transport `{transport}` does not have"))
}

fn no_tls() -> End {
    End::Failed("the prober asked to begin TLS where that is not possible, or has begun already".into())
}
