use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use plimsoll_proxy_protocol::{Details, Tlvs, Version, write};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::datagrams::Datagrams;
use super::evaluation::{Evaluation, Session};
use super::exchange::{Answer, Request, exchange};
use super::grpc;
use super::wire::Wire;
use crate::config::UpstreamProtocol;
use crate::io::Stream;
use crate::plugin::{Fault, ProbeAction, ProbeEvent, ProbeResult, Target, Transport};
use crate::snapshot::Reported;
use crate::tls::{Carries, EndpointTls};

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
}

/// What is probed, and how.
#[derive(Debug)]
pub struct Place<'a> {
    pub cluster: &'a str,
    pub slot: u32,
    pub address: SocketAddr,
    /// What probers of HTTP speak.
    pub protocol: UpstreamProtocol,
    /// How TLS is spoken, if it is.
    pub tls: Option<&'a EndpointTls>,
    /// The version of the PROXY protocol in which we say that we speak for ourselves.
    pub proxy_protocol: Option<Version>,
    /// As the prober sees it.
    pub target: Target,
}

/// Probes one endpoint once. None when the prober cannot be asked.
pub async fn probe(evaluation: &Evaluation, place: Place<'_>, timeout: Duration) -> Option<Probed> {
    let Place { cluster, slot, address, protocol, tls, proxy_protocol, target } = place;
    let started = Instant::now();
    let (session, transport, actions) = evaluation.open(cluster, &target)?;
    let open = Open { evaluation, session };
    let mut run = Run {
        open,
        address,
        protocol,
        tls,
        proxy_protocol,
        pending: actions.into(),
        report: None,
        wait_until: None,
        moved: 0,
        steps: 0,
    };
    let finished = match transport {
        Transport::Tcp => tokio::time::timeout(timeout, run.over_tcp()).await,
        Transport::Udp => tokio::time::timeout(timeout, run.over_udp()).await,
        Transport::Http => tokio::time::timeout(timeout, run.over_http(false)).await,
        Transport::Grpc => tokio::time::timeout(timeout, run.over_http(true)).await,
    };
    let verdict = match finished {
        Ok(Ok(verdict)) => Some(verdict),
        Ok(Err(End::Fault)) => None,
        Ok(Err(End::Failed(detail))) => Some((false, detail)),
        Err(_elapsed) => Some((false, format!("no verdict within {timeout:?}"))),
    };
    let took = started.elapsed();
    let result = verdict.map(|(passed, detail)| ProbeResult { slot, passed, took, detail });
    Some(Probed { result, report: run.report })
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
    address: SocketAddr,
    protocol: UpstreamProtocol,
    tls: Option<&'a EndpointTls>,
    proxy_protocol: Option<Version>,
    pending: VecDeque<ProbeAction>,
    report: Option<Reported>,
    /// When the prober is to hear that it has waited.
    wait_until: Option<Instant>,
    moved: usize,
    steps: usize,
}

impl Run<'_> {
    async fn over_tcp(&mut self) -> Result<Verdict, End> {
        let stream = self.connect(Carries::Bytes).await?;
        self.over(Wire::stream(stream)).await
    }

    async fn over_udp(&mut self) -> Result<Verdict, End> {
        if self.tls.is_some() || self.proxy_protocol.is_some() {
            let detail = "neither TLS nor the PROXY protocol is spoken over UDP: the probe needs `tls: false` and \
                          `proxy_protocol: false`";
            return Err(End::Failed(detail.to_owned()));
        }
        let datagrams = Datagrams::towards(self.address).await.map_err(|error| failed("connecting", &error))?;
        self.over(Wire::Datagrams(datagrams)).await
    }

    /// What the prober says and hears itself.
    async fn over(&mut self, mut wire: Wire) -> Result<Verdict, End> {
        self.advance(ProbeEvent::Connected)?;
        let mut closed = false;
        loop {
            while let Some(action) = self.pending.pop_front() {
                match action {
                    ProbeAction::Send(bytes) => {
                        self.count(bytes.len())?;
                        wire.send(&bytes).await.map_err(|error| failed("sending", &error))?;
                    }
                    ProbeAction::Report(report) => self.report = Some(report),
                    ProbeAction::Wait(time) => self.wait_until = Some(Instant::now() + time),
                    ProbeAction::Exchange { .. } => return Err(no_such_action("exchange", wire.transport())),
                    ProbeAction::StartTls => return Err(no_tls()),
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
                    let request = Request { method, path, headers, body };
                    let answer = if calls { self.call(request).await? } else { self.exchange(request).await? };
                    let Answer { status, headers, body, trailers } = answer;
                    self.advance(ProbeEvent::Answered { status, headers, body, trailers })?;
                }
                Some(ProbeAction::Report(report)) => self.report = Some(report),
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

    async fn exchange(&self, request: Request) -> Result<Answer, End> {
        let stream = self.connect(Carries::Http).await?;
        exchange(stream, self.address, self.protocol, request).await.map_err(End::Failed)
    }

    async fn call(&self, request: Request) -> Result<Answer, End> {
        let stream = self.connect(Carries::Http).await?;
        let answer = exchange(stream, self.address, UpstreamProtocol::Http2, grpc::call(request)).await;
        answer.and_then(grpc::answered).map_err(End::Failed)
    }

    async fn connect(&self, carries: Carries) -> Result<Stream, End> {
        let mut stream = TcpStream::connect(self.address).await.map_err(|error| failed("connecting", &error))?;
        if let Some(version) = self.proxy_protocol {
            let header = write(version, None, &Details::default(), Tlvs::default());
            stream.write_all(&header).await.map_err(|error| failed("sending", &error))?;
        }
        let Some(tls) = self.tls else { return Ok(Stream::Tcp(stream)) };
        match tls.shake_hands(stream, carries).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream.into()))),
            Err(cause) => Err(End::Failed(format!("the TLS handshake failed: {cause}"))),
        }
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
    End::Failed("the prober asked to begin TLS, which this proxy does not do in the midst of a probe".into())
}
