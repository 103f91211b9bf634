use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::affinity::Affine;
use super::attributes::Visible;
use super::client::Client;
use super::cluster::{Claim, Cluster, Picked, Wanted};
use super::context::Context;
use super::first_bytes::FirstBytes;
use super::listener::{Listener, Target};
use crate::error::{Error, ErrorKind};
use crate::plugin::Values;
use crate::snapshot::{Outcome, OutcomeClass};
use crate::telemetry::{ConnectResult, Direction};
use crate::timer::Timer;
use crate::upstream::{self, InFlight};

/// Bytes that wait in one direction while the other side does not take them.
const BUFFER_BYTES: usize = 16 * 1024;

/// Carries one TCP connection to an endpoint: look at how it begins if a decision depends on that, find the cluster and whom the client is bound to, pick, connect, maybe try
/// another, then bytes both ways.
/// Each side's end of sending is passed on; the tunnel lasts until both have ended.
pub async fn tunnel(context: Rc<Context>, listener: Rc<Listener>, client: Rc<Client>, stream: TcpStream) {
    match carry(&context, &listener, &client, stream).await {
        Ok(()) => {}
        Err(error) => {
            tracing::debug!(listener = &*listener.name, client = %client.address, "tunnel ended: {error}");
        }
    }
}

async fn carry(context: &Context, listener: &Listener, client: &Client, mut stream: TcpStream) -> Result<(), Error> {
    let mut first_bytes = FirstBytes::default();
    first_bytes.read(context, &mut stream, listener.interest()).await;
    let visible = Visible::of_connection(&listener.name, client, &first_bytes);
    let route = listener.route(context, visible).map_err(|fault| Error::new(ErrorKind::Plugin, fault))?;
    let Target::Cluster(cluster) = route.target else { return Err(ErrorKind::NoRoute.into()) };
    first_bytes.read(context, &mut stream, cluster.interest()).await;
    let visible = Visible::of_connection(&listener.name, client, &first_bytes);
    let key = cluster.key(visible, &mut context.values.borrow_mut());
    let grouping = cluster.visible_to_partitioners(visible, &mut context.values.borrow_mut());

    let affinity = Affine::find(context, &cluster, visible);
    let started = Instant::now();
    let (picked, flight, upstream) = connect(context, &cluster, key, &grouping, affinity.bound()).await?;
    let connected = started.elapsed();
    // There is no head to give the client anything in.
    affinity.remember(&cluster, &picked, &mut HeaderMap::new());

    let copied = copy(context, listener, stream, first_bytes.into_vec(), upstream).await;
    let class = match &copied {
        Ok(_) => OutcomeClass::Success,
        Err(_) => OutcomeClass::Reset,
    };
    note(context, &cluster, &picked, class, Some(connected), started);
    drop(flight);
    let (received, sent) = copied?;
    listener.shard.bytes(Direction::In, received);
    listener.shard.bytes(Direction::Out, sent);
    Ok(())
}

async fn connect(
    context: &Context,
    cluster: &Rc<Cluster>,
    key: Option<u64>,
    visible: &[Values],
    mut bound: Option<Picked>,
) -> Result<(Picked, InFlight, TcpStream), Error> {
    let mut tried = Vec::new();
    loop {
        let wanted = Wanted { bound: bound.take(), key, visible, tried: &tried };
        let (picked, flight) = match cluster.claim(&wanted) {
            Claim::Begun(picked, flight) => (picked, flight),
            Claim::Full => cluster.wait(context, wanted).await?,
            Claim::Nowhere => return Err(ErrorKind::NoEndpoint.into()),
        };
        let started = Instant::now();
        let address = picked.endpoint.endpoint.address;
        match upstream::connect(address, cluster.config.timeouts.connect, &context.timers).await {
            Ok(stream) => {
                cluster.shard.connect(ConnectResult::New);
                return Ok((picked, flight, stream));
            }
            Err(error) => {
                cluster.shard.connect(ConnectResult::Failed);
                note(context, cluster, &picked, OutcomeClass::ConnectFailure, None, started);
                tried.push(picked.endpoint.endpoint.slot);
                if tried.len() >= cluster.config.max_attempts {
                    return Err(error);
                }
            }
        }
    }
}

fn note(
    context: &Context,
    cluster: &Rc<Cluster>,
    picked: &Picked,
    class: OutcomeClass,
    connected: Option<Duration>,
    started: Instant,
) {
    let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    let outcome = Outcome {
        slot: picked.endpoint.endpoint.slot,
        class,
        status: 0,
        first_byte_us: connected.map_or(0, |connected| micros(connected).max(1)),
        total_us: micros(started.elapsed()),
    };
    cluster.note(context, &picked.endpoint, outcome);
}

async fn copy(
    context: &Context,
    listener: &Listener,
    downstream: TcpStream,
    first_bytes: Vec<u8>,
    upstream: TcpStream,
) -> Result<(u64, u64), Error> {
    let timer = Rc::new(context.timers.timer());
    let patience = listener.config.timeouts.idle;
    if let Some(patience) = patience {
        timer.arm(patience);
    }
    let mut downstream = Watched { first_bytes, given: 0, stream: downstream, timer: timer.clone(), patience };
    let mut upstream = Watched { first_bytes: Vec::new(), given: 0, stream: upstream, timer: timer.clone(), patience };
    let copying = tokio::io::copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BUFFER_BYTES, BUFFER_BYTES);
    timer
        .bound(copying)
        .await
        .map_err(|_elapsed| Error::from(ErrorKind::BodyTimeout))?
        .map_err(|error| Error::new(ErrorKind::UpstreamReset, error))
}

/// A stream that sets the tunnel's timer anew whenever bytes come from it.
struct Watched {
    /// Read from the stream before, and how many of them were given back.
    first_bytes: Vec<u8>,
    given: usize,
    stream: TcpStream,
    timer: Rc<Timer>,
    patience: Option<Duration>,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given < this.first_bytes.len() {
            let rest = &this.first_bytes[this.given..];
            let taken = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..taken]);
            this.given += taken;
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if let Some(patience) = this.patience {
            this.timer.arm(patience);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
