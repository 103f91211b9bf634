use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll_fields::Fields;
use plimsoll_resilience::Attempts;

use super::affinity::Affine;
use super::attributes::Visible;
use super::client::Client;
use super::cluster::Cluster;
use super::context::Context;
use super::first_bytes::FirstBytes;
use super::flow::{may_go_on, note};
use super::greeting::Greeted;
use super::introduction::introduction;
use super::listener::{Listener, Route, Target};
use super::picked::{Claim, Picked, Wanted};
use super::relay::{Relay, Side, Silence};
use super::shown::Shown;
use super::tunnel_record::TunnelRecord;
use crate::error::{Error, ErrorKind};
use crate::io::Stream;
use crate::plugin::RouteSettings;
use crate::snapshot::OutcomeClass;
use crate::telemetry::ConnectResult;
use crate::timer::CallOff;
use crate::tls::Carries;
use crate::upstream::{InFlight, Introduction};

/// Where a connection goes by the name that its client asks for, in TLS that is not ours to end.
#[derive(Debug)]
pub struct Passed {
    pub cluster: Rc<Cluster>,
    pub greeted: Greeted,
}

/// Carries one TCP connection to an endpoint, and keeps account of it.
pub async fn tunnel(
    context: Rc<Context>,
    listener: Rc<Listener>,
    client: Rc<Client>,
    stream: Stream,
    passed: Option<Passed>,
) {
    let mut account = TunnelRecord::begin(&context, &listener, &client);
    let ended = carry(&context, &listener, &client, stream, passed, &mut account).await;
    account.ended(&ended);
    if let Err(error) = ended {
        tracing::debug!(listener = &*listener.name, client = %client.address, "tunnel ended: {error}");
    }
}

/// Counts and logs a connection that is not let in for what stands before its first byte.
pub fn refuse_connection(context: &Context, listener: &Listener, peer: SocketAddr, how: &'static str) {
    let client = Client::new(peer, None);
    let mut account = TunnelRecord::begin(context, listener, &client);
    let error = Error::from(ErrorKind::ProxyHeader(how));
    tracing::debug!(listener = &*listener.name, client = %peer, "connection refused: {error}");
    account.ended(&Err(error));
}

/// The story: look at how it begins if a decision depends on that, find the cluster and whom the client is bound to,
/// pick, connect, maybe try another, then bytes both ways. Each side's end of sending is passed on; the tunnel lasts until
/// both have ended.
async fn carry(
    context: &Context,
    listener: &Listener,
    client: &Client,
    mut stream: Stream,
    passed: Option<Passed>,
    account: &mut TunnelRecord<'_>,
) -> Result<Side, Error> {
    let mut first_bytes = match (&passed, client.greeting()) {
        (Some(passed), _) => FirstBytes::after(passed.greeted.clone()),
        // What is within is not looked at for another greeting.
        (None, Some(greeting)) => FirstBytes::after(greeting.into()),
        (None, None) => FirstBytes::default(),
    };
    let route = match passed {
        Some(Passed { cluster, .. }) => Route::to(cluster),
        None => {
            first_bytes.read(&context.timers, &mut stream, listener.interest()).await;
            account.server_name = first_bytes.server_name().map(Into::into);
            let visible = Visible::of_connection(&listener.name, client, &first_bytes);
            listener.route(context, visible).map_err(|fault| Error::new(ErrorKind::Plugin, fault))?
        }
    };
    account.flow.route = route.settings.as_ref().map(|settings| settings.label.clone());
    let Target::Cluster(cluster) = route.target else { return Err(ErrorKind::NoRoute.into()) };
    account.flow.cluster = Some(cluster.clone());
    first_bytes.read(&context.timers, &mut stream, cluster.interest()).await;
    account.server_name = first_bytes.server_name().map(Into::into);
    let settings = route.settings.as_deref();
    let visible = Visible::of_connection(&listener.name, client, &first_bytes);
    let visible = Visible { route: settings.map(|settings| &*settings.label), ..visible };
    let key = cluster.key(visible, &mut context.values.borrow_mut());
    let shown = cluster.shown(visible, &mut context.values.borrow_mut());

    let affinity = match settings {
        Some(settings) if !settings.binds_clients => Affine::default(),
        _ => Affine::find(context, &cluster, visible),
    };
    let local = || stream.local_address().ok();
    let introduction = introduction(&cluster, client, &client.source, local, first_bytes.server_name());
    let Connected { picked, flight, stream: upstream, started, after } =
        connect(context, &cluster, (key, &shown), settings, affinity.bound(), &introduction, account).await?;
    account.connect = Some(after);
    // There is no head to give the client anything in.
    affinity.remember(&cluster, &picked, &mut Fields::new());

    let silence = Silence { timer: context.timers.timer(), limit: listener.config.timeouts.idle };
    silence.timer.wait_for(picked.endpoint.subject(), CallOff::End);
    let relay = Relay::new(stream, first_bytes.into_vec(), upstream, silence, &context.scratch, &account.moved);
    let ended = match flight.is_deregistered() {
        true => Err(ErrorKind::Deregistered.into()),
        false => relay.run().await,
    };
    let class = match &ended {
        Ok(_) => OutcomeClass::Success,
        Err(error) => error.kind.outcome(),
    };
    note(context, &cluster, &picked, class, Some(after), started);
    drop(flight);
    ended
}

/// A connection to an endpoint.
struct Connected {
    picked: Picked,
    flight: InFlight,
    stream: Stream,
    started: Instant,
    /// How long it took to make.
    after: Duration,
}

async fn connect(
    context: &Context,
    cluster: &Rc<Cluster>,
    (key, shown): (Option<u64>, &Shown),
    settings: Option<&RouteSettings>,
    mut bound: Option<Picked>,
    introduction: &Introduction,
    account: &mut TunnelRecord<'_>,
) -> Result<Connected, Error> {
    // Nothing of a connection that failed to come about was sent.
    let most = settings.and_then(|settings| settings.retry.max_attempts).unwrap_or(cluster.config.max_attempts);
    let mut attempts = Attempts::new(most, false);
    loop {
        let wanted = Wanted { bound: bound.take(), key, shown, tried: attempts.tried() };
        let (picked, flight) = match cluster.claim(&wanted) {
            Claim::Begun(begun) => begun,
            Claim::Full => cluster.wait(context, wanted).await?,
            Claim::Nowhere => return Err(ErrorKind::NoEndpoint.into()),
        };
        account.flow.attempted(&picked);
        let started = Instant::now();
        match picked.endpoint.pool.dialer().connect(Carries::Bytes, introduction, &context.timers).await {
            Ok(stream) => {
                cluster.shard.connect(ConnectResult::New);
                return Ok(Connected { picked, flight, stream, started, after: started.elapsed() });
            }
            Err(error) => {
                cluster.shard.connect(ConnectResult::Failed);
                note(context, cluster, &picked, error.kind.outcome(), None, started);
                drop(flight);
                let slot = picked.endpoint.endpoint.slot;
                if !may_go_on(cluster, &mut attempts, slot, error.kind).await {
                    return Err(error);
                }
            }
        }
    }
}
