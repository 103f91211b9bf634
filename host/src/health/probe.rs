use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use plimsoll_proxy_protocol::{Details, Tlvs, Version, write};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::datagrams::Datagrams;
use super::evaluation::{Evaluation, Session};
use super::exchange::exchange;
use super::grpc;
use super::http1::Keep;
use super::http3::over_http3;
use super::message::{Answer, Request};
use super::steps::{Step, Watcher};
use super::wire::Wire;
use crate::config::UpstreamProtocol;
use crate::io::Stream;
use crate::plugin::{Fault, ProbeAction, ProbeEvent, ProbeResult, Target, Transport};
use crate::snapshot::{Reported, Wishes};
use crate::tls::{Carries, EndpointTls, Handshake, NoQuic, unix_seconds};

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
    pub address: SocketAddr,
    /// What probers of HTTP speak.
    pub protocol: UpstreamProtocol,
    /// How TLS is spoken, if it is.
    pub tls: Option<&'a EndpointTls>,
    /// Whether it is spoken from the first byte on, or when the prober asks for it.
    pub encrypts: bool,
    /// Where a connection of HTTP/1.1 is kept from one exchange to the next.
    pub keep: &'a Keep,
    /// How long the endpoint's certificate has to be valid yet.
    pub min_validity: Option<Duration>,
    /// The version of the PROXY protocol in which we say that we speak for ourselves.
    pub proxy_protocol: Option<Version>,
    /// As the prober sees it.
    pub target: Target,
    /// Who hears of each step.
    pub watcher: &'a dyn Watcher,
}

/// Makes one check of an endpoint. None when the prober cannot be asked.
pub(super) async fn probe(evaluation: &Evaluation, place: Place<'_>, timeout: Duration) -> Option<Probed> {
    let _room = evaluation.room().await?;
    let started = Instant::now();
    let (slot, keep) = (place.slot, place.keep);
    let (session, transport, actions) = evaluation.open(place.cluster, place.check, &place.target)?;
    let open = Open { evaluation, session };
    let (pending, patience) = (actions.into(), timeout / 2);
    let mut run = Run {
        open,
        place,
        pending,
        report: None,
        wishes: Wishes::default(),
        wait_until: None,
        moved: 0,
        steps: 0,
        patience,
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
    /// How long HTTP/3 is waited for, before HTTP/2 stands in.
    patience: Duration,
}

impl Run<'_> {
    /// `tells` has the prober hear of the handshake.
    async fn over_tcp(&mut self, tells: bool) -> Result<Verdict, End> {
        let (stream, handshake) = self.connect(Carries::Bytes).await?;
        self.advance(ProbeEvent::Connected)?;
        if let Some(handshake) = handshake.filter(|_| tells) {
            self.advance(ProbeEvent::Secured(handshake))?;
        }
        self.over(Wire::stream(stream)).await
    }

    async fn over_udp(&mut self) -> Result<Verdict, End> {
        if self.place.encrypts || self.place.proxy_protocol.is_some() {
            let detail = "neither TLS nor the PROXY protocol is spoken over UDP: the probe needs `tls: false` and \
                          `proxy_protocol: false`";
            return Err(End::Failed(detail.to_owned()));
        }
        let datagrams = Datagrams::towards(self.place.address).await.map_err(|error| failed("connecting", &error))?;
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
                        self.place.watcher.hear(Step::Sent(&bytes));
                        wire.send(&bytes).await.map_err(|error| failed("sending", &error))?;
                    }
                    ProbeAction::Report(report) => self.report = Some(report),
                    ProbeAction::Wish(wish) => self.wishes = self.wishes.then(wish),
                    ProbeAction::Wait(time) => self.wait_until = Some(Instant::now() + time),
                    ProbeAction::Exchange { .. } => return Err(no_such_action("exchange", wire.transport())),
                    ProbeAction::StartTls => {
                        let Some(stream) = wire.into_plain() else { return Err(no_tls()) };
                        let (stream, handshake) = self.shake_hands(stream, Carries::Bytes).await?;
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
            self.place.watcher.hear(received.as_deref().map_or(Step::Closed, Step::Received));
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
                    self.place.watcher.hear(Step::Asked { method: &method, path: &path, headers: &headers });
                    let request = Request { method, path, headers, body };
                    let answer = if calls { self.call(request).await? } else { self.exchange(request).await? };
                    let Answer { status, headers, body, trailers } = answer;
                    self.place.watcher.hear(Step::Answered { status, headers: &headers, body: &body });
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

    async fn exchange(&self, request: Request) -> Result<Answer, End> {
        if self.place.protocol == UpstreamProtocol::Http3
            && let Some(quic) = Box::pin(self.connect_quic()).await?
        {
            return Box::pin(over_http3(quic, self.place.address, request)).await.map_err(End::Failed);
        }
        let (address, keep) = (self.place.address, self.place.keep);
        if let Some(connection) = keep.take(&request)
            && let Some(answered) = connection.exchange_again(address, &request, keep).await
        {
            return answered.map_err(End::Failed);
        }
        // In boxes, as what is seldom needed is large: probes are moved about until they are first polled.
        let (stream, _) = Box::pin(self.connect(Carries::Http)).await?;
        Box::pin(exchange(stream, address, self.place.protocol, request, keep)).await.map_err(End::Failed)
    }

    async fn call(&self, request: Request) -> Result<Answer, End> {
        let request = grpc::call(request);
        let answer = if self.place.protocol == UpstreamProtocol::Http3 {
            self.exchange(request).await?
        } else {
            let (stream, _) = Box::pin(self.connect(Carries::Http)).await?;
            let answer =
                Box::pin(exchange(stream, self.place.address, UpstreamProtocol::Http2, request, self.place.keep)).await;
            answer.map_err(End::Failed)?
        };
        grpc::answered(answer).map_err(End::Failed)
    }

    /// None where UDP does not come through, and the endpoint is spoken to over TCP, as requests do.
    async fn connect_quic(&self) -> Result<Option<quinn::Connection>, End> {
        let Some(tls) = self.place.tls.filter(|_| self.place.encrypts) else { return Ok(None) };
        let quic = match tokio::time::timeout(self.patience, tls.connect_quic(self.place.address)).await {
            Ok(Ok(quic)) => quic,
            Ok(Err(NoQuic::Unreachable(_))) | Err(_) => return Ok(None),
            Ok(Err(NoQuic::Tls(cause))) => return Err(End::Failed(format!("the TLS handshake failed: {cause}"))),
            Ok(Err(NoQuic::Socket(error))) => return Err(failed("connecting", &error)),
        };
        self.place.watcher.hear(Step::Connected);
        self.secured(&Handshake::of_quic(&quic))?;
        Ok(Some(quic))
    }

    async fn connect(&self, carries: Carries) -> Result<(Stream, Option<Handshake>), End> {
        let connecting = TcpStream::connect(self.place.address).await;
        let mut stream = connecting.map_err(|error| failed("connecting", &error))?;
        self.place.watcher.hear(Step::Connected);
        if let Some(version) = self.place.proxy_protocol {
            let header = write(version, None, &Details::default(), Tlvs::default());
            stream.write_all(&header).await.map_err(|error| failed("sending", &error))?;
        }
        if !self.place.encrypts {
            return Ok((Stream::Tcp(stream), None));
        }
        let (stream, handshake) = self.shake_hands(stream, carries).await?;
        Ok((stream, Some(handshake)))
    }

    async fn shake_hands(&self, stream: TcpStream, carries: Carries) -> Result<(Stream, Handshake), End> {
        let tls = self.place.tls.ok_or_else(no_tls)?;
        let stream = tls.shake_hands(stream, carries).await;
        let stream = stream.map_err(|cause| End::Failed(format!("the TLS handshake failed: {cause}")))?;
        let handshake = Handshake::of(&stream);
        self.secured(&handshake)?;
        Ok((Stream::Tls(Box::new(stream.into())), handshake))
    }

    fn secured(&self, handshake: &Handshake) -> Result<(), End> {
        self.place.watcher.hear(Step::Secured(handshake));
        match (self.place.min_validity, handshake.certificate_ends) {
            (Some(wanted), Some(ends)) => is_valid_yet(ends, wanted).map_err(End::Failed),
            _ => Ok(()),
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
    End::Failed("the prober asked to begin TLS where that is not possible, or has begun already".into())
}

/// Whether a certificate that ends then, in seconds since 1970, is valid for so long yet. The error says for how long it is.
fn is_valid_yet(ends: i64, wanted: Duration) -> Result<(), String> {
    let left = Duration::from_secs(u64::try_from(ends - unix_seconds()).unwrap_or(0));
    if left >= wanted {
        return Ok(());
    }
    Err(format!("its certificate is valid for {} yet, expected {}", in_words(left), in_words(wanted)))
}

/// In the largest unit of which there are two or more.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}
