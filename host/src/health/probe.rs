use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::evaluation::{Evaluation, Session};
use crate::plugin::{Fault, ProbeAction, ProbeEvent, ProbeResult, Target, Transport};
use crate::snapshot::LoadReport;

/// Bytes read at once, and the most of an HTTP body that a prober sees.
const READ_BYTES: usize = 16 * 1024;
const BODY_BYTES: usize = 64 * 1024;
/// A probe that moves more than this is not one.
const MAX_BYTES: usize = 1 << 20;
const MAX_STEPS: usize = 256;

/// What came of a probe.
#[derive(Debug)]
pub struct Probed {
    /// None when the prober itself failed, which says nothing about the endpoint.
    pub result: Option<ProbeResult>,
    /// What the endpoint said of its load.
    pub report: Option<LoadReport>,
}

/// Probes one endpoint once. None when the prober cannot be asked.
pub async fn probe(
    evaluation: &Evaluation,
    cluster: &str,
    slot: u32,
    address: SocketAddr,
    target: Target,
    timeout: Duration,
) -> Option<Probed> {
    let started = Instant::now();
    let (session, transport, actions) = evaluation.open(cluster, &target)?;
    let open = Open { evaluation, session };
    let mut run = Run { open, address, pending: actions.into(), report: None, moved: 0, steps: 0 };
    let finished = match transport {
        Transport::Tcp => tokio::time::timeout(timeout, run.over_tcp()).await,
        Transport::Http => tokio::time::timeout(timeout, run.over_http()).await,
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
    pending: VecDeque<ProbeAction>,
    report: Option<LoadReport>,
    moved: usize,
    steps: usize,
}

impl Run<'_> {
    async fn over_tcp(&mut self) -> Result<Verdict, End> {
        let mut stream = self.connect().await?;
        self.advance(ProbeEvent::Connected)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut closed = false;
        loop {
            while let Some(action) = self.pending.pop_front() {
                match action {
                    ProbeAction::Send(bytes) => {
                        self.count(bytes.len())?;
                        stream.write_all(&bytes).await.map_err(|error| failed("sending", &error))?;
                    }
                    ProbeAction::Report(report) => self.report = Some(report),
                    ProbeAction::Exchange { .. } => return Err(no_such_action("exchange", "tcp")),
                    ProbeAction::Finish { passed, detail } => return Ok((passed, detail)),
                }
            }
            if closed {
                return Err(End::Failed("the endpoint closed the connection before a verdict".into()));
            }
            let read = stream.read(&mut buffer).await.map_err(|error| failed("receiving", &error))?;
            self.count(read)?;
            closed = read == 0;
            self.advance(if closed { ProbeEvent::Closed } else { ProbeEvent::Received(buffer[..read].to_vec()) })?;
        }
    }

    async fn over_http(&mut self) -> Result<Verdict, End> {
        loop {
            match self.pending.pop_front() {
                Some(ProbeAction::Finish { passed, detail }) => return Ok((passed, detail)),
                Some(ProbeAction::Exchange { method, path, headers, body }) => {
                    let answered = self.exchange(&method, &path, headers, body).await?;
                    self.advance(answered)?;
                }
                Some(ProbeAction::Report(report)) => self.report = Some(report),
                Some(ProbeAction::Send(_)) => return Err(no_such_action("send", "http")),
                None => return Err(End::Failed("the prober asked for nothing more and gave no verdict".into())),
            }
        }
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(String, Vec<u8>)>,
        body: Bytes,
    ) -> Result<ProbeEvent, End> {
        let mut request = http::Request::builder().method(method).uri(path);
        let mut has_host = false;
        for (name, value) in headers {
            has_host |= name.eq_ignore_ascii_case("host");
            request = request.header(name, value);
        }
        if !has_host {
            request = request.header(http::header::HOST, self.address.to_string());
        }
        let request = request
            .header(http::header::CONNECTION, "close")
            .body(Full::new(body))
            .map_err(|error| End::Failed(format!("the prober's request is not valid: {error}")))?;
        let stream = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed("speaking HTTP", &error))?;
        let driver = AbortOnDrop(tokio::spawn(async move {
            // Its errors reach the request.
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await.map_err(|error| failed("the exchange", &error))?;
        let (head, body) = response.into_parts();
        let body = first_bytes(body).await?;
        drop(driver);
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        Ok(ProbeEvent::Answered { status: head.status.as_u16(), headers, body })
    }

    async fn connect(&self) -> Result<TcpStream, End> {
        TcpStream::connect(self.address).await.map_err(|error| failed("connecting", &error))
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

/// As much of a body as a prober sees; the rest is not read.
async fn first_bytes(body: hyper::body::Incoming) -> Result<Vec<u8>, End> {
    let mut body = Limited::new(body, MAX_BYTES);
    let mut bytes = Vec::new();
    while bytes.len() < BODY_BYTES {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| End::Failed(format!("reading the answer failed: {error}")))?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    bytes.truncate(BODY_BYTES);
    Ok(bytes)
}

fn failed(doing: &str, error: &dyn std::error::Error) -> End {
    End::Failed(format!("{doing} failed: {error}"))
}

fn no_such_action(action: &str, transport: &str) -> End {
    End::Failed(format!("the prober asked for `{action}`, which transport `{transport}` does not have"))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
