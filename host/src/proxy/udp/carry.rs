use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use plimsoll_fields::Fields;
use plimsoll_proxy_protocol::{Addresses, Details, write};
use plimsoll_resilience::Attempts;

use super::record::Record;
use super::session::{News, Open, Session};
use crate::error::{Error, ErrorKind};
use crate::net::DatagramSocket;
use crate::proxy::affinity::Affine;
use crate::proxy::attributes::Visible;
use crate::proxy::cluster::Cluster;
use crate::proxy::context::Context;
use crate::proxy::first_bytes::FirstBytes;
use crate::proxy::flow::{may_go_on, note};
use crate::proxy::listener::{Listener, Target};
use crate::proxy::picked::{Claim, Picked, Wanted};
use crate::proxy::shown::Shown;
use crate::snapshot::OutcomeClass;
use crate::telemetry::{ConnectResult, SessionEnd};
use crate::timer::{CallOff, Fired};
use crate::upstream::InFlight;

/// Read at once of what an endpoint sends.
const BATCH: usize = 8;
/// Batches after which others have their turn.
const ROUNDS: usize = 8;

/// Finds an endpoint for a session, brings back what it answers, and keeps account.
pub async fn carry_session(context: Rc<Context>, listener: Rc<Listener>, session: Rc<Session>) {
    let mut record = Record::begin(&context, &listener, &session);
    let ended = carry(&context, &listener, &session, &mut record).await;
    session.end();
    record.ended(&ended);
    if let Err(error) = ended {
        tracing::debug!(listener = &*listener.name, client = %session.client(), "session ended: {error}");
    }
}

/// The story: route, find whom the client is bound to, pick, send what has come so far; then answers, until there are enough of
/// them or nothing has come for too long. An endpoint at which nobody listens gives way to another one as long as nothing has
/// come back.
async fn carry(
    context: &Context,
    listener: &Rc<Listener>,
    session: &Session,
    record: &mut Record<'_>,
) -> Result<SessionEnd, Error> {
    let begun = Box::new(Search::begin(context, listener, session, record)?);
    if session.only_goes_on() && begun.home.is_none() {
        return Ok(SessionEnd::Drain);
    }
    let mut search = Some(begun);
    while let Some(seeking) = &mut search {
        let cluster = seeking.cluster.clone();
        // In a box: it is short, and sessions are not.
        let opened = Box::pin(seeking.open(context, listener, session, record)).await?;
        let Opened { picked, flight, upstream, started } = opened;
        session.silence().wait_for(picked.endpoint.subject(), CallOff::End);
        let dialer = picked.endpoint.pool.dialer();
        let mut first = None;
        let ended = relay(context, session, &upstream, || {
            dialer.note_connected();
            first = Some(started.elapsed());
            // Nothing else is looked for any more.
            search = None;
        })
        .await;
        drop(flight);
        let has_answered = first.is_some();
        let told = |class| note(context, &cluster, &picked, class, first, started);
        let error = match ended {
            Ended::Answered => {
                told(OutcomeClass::Success);
                return Ok(SessionEnd::Answered);
            }
            // It was to answer, and was still expected to.
            Ended::Silent if session.terms().responses.is_some() => {
                told(OutcomeClass::Timeout);
                return Err(ErrorKind::FirstByteTimeout.into());
            }
            Ended::Deregistered => {
                told(if has_answered { OutcomeClass::Success } else { OutcomeClass::ClientAbort });
                return Err(ErrorKind::Deregistered.into());
            }
            Ended::Silent | Ended::Gone => {
                told(if has_answered { OutcomeClass::Success } else { OutcomeClass::ClientAbort });
                return Ok(if matches!(ended, Ended::Gone) {
                    SessionEnd::EndpointGone
                } else {
                    SessionEnd::IdleTimeout
                });
            }
            Ended::Refused(error) => error,
        };
        let kind = if has_answered { ErrorKind::UpstreamReset } else { ErrorKind::ConnectFailure };
        let error = Error::new(kind, error);
        told(kind.outcome());
        dialer.note_trouble(&error);
        let slot = picked.endpoint.endpoint.slot;
        let goes_on = match &mut search {
            Some(search) => session.seek_again() && may_go_on(&cluster, &mut search.attempts, slot, error.kind).await,
            None => false,
        };
        if !goes_on {
            return Err(error);
        }
    }
    // Not reached: a search is given up only for an answer, after which the session ends above.
    Err(ErrorKind::UpstreamReset.into())
}

/// How bringing back answers has ended.
enum Ended {
    Answered,
    Silent,
    Gone,
    Deregistered,
    Refused(io::Error),
}

/// Brings back what the endpoint sends. `answered` hears of the first of it.
async fn relay(context: &Context, session: &Session, upstream: &DatagramSocket, answered: impl FnOnce()) -> Ended {
    let mut answered = Some(answered);
    loop {
        if session.is_complete() {
            return Ended::Answered;
        }
        let mut ready = pin!(upstream.ready());
        let event = poll_fn(|task| {
            if let Some(news) = session.news(task) {
                return Poll::Ready(Some(Err(news)));
            }
            if session.silence().poll_fired(task).is_ready() {
                return Poll::Ready(None);
            }
            ready.as_mut().poll(task).map(|ready| Some(ready.map_err(News::Refused)))
        });
        match event.await {
            None => {
                return match session.silence().fired() {
                    Some(Fired::CalledOff(_)) => Ended::Deregistered,
                    _ => Ended::Silent,
                };
            }
            Some(Err(News::Gone)) => return Ended::Gone,
            Some(Err(News::Refused(error))) => return Ended::Refused(error),
            Some(Ok(())) => {}
        }
        for round in 1.. {
            let more = {
                let mut batch = context.batch.borrow_mut();
                let more = match upstream.receive(&mut batch, BATCH) {
                    Ok(more) => more,
                    Err(error) => return Ended::Refused(error),
                };
                for datagrams in batch.iter() {
                    answered.take().into_iter().for_each(|answered| answered());
                    session.answer(&datagrams);
                }
                more
            };
            if !more || session.is_complete() {
                break;
            }
            if round == ROUNDS {
                tokio::task::yield_now().await;
                break;
            }
        }
    }
}

/// What it takes to look for an endpoint.
struct Search {
    cluster: Rc<Cluster>,
    key: Option<u64>,
    shown: Shown,
    affine: Affine,
    /// The endpoint that the client's connection of QUIC is with.
    home: Option<Picked>,
    bound: Option<Picked>,
    attempts: Attempts,
    may_move: bool,
}

/// An endpoint that was found.
struct Opened {
    picked: Picked,
    flight: InFlight,
    upstream: Rc<DatagramSocket>,
    started: Instant,
}

/// What is said of the client in front of each of its datagrams; nothing where the cluster has no PROXY protocol.
fn announcement(cluster: &Cluster, session: &Session) -> Box<[u8]> {
    let Some(told) = cluster.config.proxy_protocol else { return Box::default() };
    let addresses = session.destination().map(|to| Addresses::new(session.client(), to).of_datagrams());
    write(told.version, addresses, &Details::default(), told.tlvs).into()
}

impl Search {
    fn begin(
        context: &Context,
        listener: &Listener,
        session: &Session,
        record: &mut Record<'_>,
    ) -> Result<Self, Error> {
        let (client, nothing) = (session.sender().as_client(), FirstBytes::default());
        let visible = Visible::of_connection(&listener.name, &client, &nothing);
        let route = listener.route(context, visible).map_err(|fault| Error::new(ErrorKind::Plugin, fault))?;
        let settings = route.settings.as_deref();
        record.flow.route = settings.map(|settings| settings.label.clone());
        let Target::Cluster(cluster) = route.target else { return Err(ErrorKind::NoRoute.into()) };
        record.flow.cluster = Some(cluster.clone());
        if let Some(what) = cluster.config.not_over_udp() {
            return Err(Error::new(ErrorKind::NoRoute, format!("its cluster has {what}, which UDP does not carry")));
        }
        let visible = Visible { route: settings.map(|settings| &*settings.label), ..visible };
        let key = cluster.key(visible, &mut context.values.borrow_mut());
        let affine = match settings {
            Some(settings) if !settings.binds_clients => Affine::default(),
            _ => Affine::find(context, &cluster, visible),
        };
        let most = settings.and_then(|settings| settings.retry.max_attempts).unwrap_or(cluster.config.max_attempts);
        let home = session.home(&cluster);
        Ok(Self {
            key,
            shown: cluster.shown(visible, &mut context.values.borrow_mut()),
            bound: home.clone().or_else(|| affine.bound()),
            home,
            affine,
            attempts: Attempts::new(most, true),
            may_move: most > 1 && cluster.config.retries.policy.on.connect,
            cluster,
        })
    }

    async fn open(
        &mut self,
        context: &Context,
        listener: &Rc<Listener>,
        session: &Session,
        record: &mut Record<'_>,
    ) -> Result<Opened, Error> {
        // Where few answers are expected, looking for several at once would only cost.
        let many = session.terms().responses.is_none();
        let shown = self.cluster.config.transparent.then_some(session.client().ip());
        loop {
            let (key, tried) = (self.key, self.attempts.tried());
            let wanted = Wanted { bound: self.bound.take(), key, shown: &self.shown, tried };
            let (picked, flight) = match self.cluster.claim(&wanted) {
                Claim::Begun(begun) => begun,
                Claim::Full => self.cluster.wait(context, wanted).await?,
                Claim::Nowhere => return Err(ErrorKind::NoEndpoint.into()),
            };
            record.flow.attempted(&picked);
            let started = Instant::now();
            match picked.endpoint.pool.dialer().datagrams(&session.socket(), shown, many) {
                Ok(upstream) => {
                    self.cluster.shard.connect(ConnectResult::New);
                    self.affine.remember(&self.cluster, &picked, &mut Fields::new());
                    let upstream = Rc::new(upstream);
                    let open = Open {
                        upstream: upstream.clone(),
                        announcement: announcement(&self.cluster, session),
                        picked: picked.clone(),
                        cluster: self.cluster.clone(),
                        listener: listener.clone(),
                        kept: None,
                    };
                    session.open(open, self.may_move);
                    session.break_silence();
                    return Ok(Opened { picked, flight, upstream, started });
                }
                Err(error) => {
                    self.cluster.shard.connect(ConnectResult::Failed);
                    note(context, &self.cluster, &picked, error.kind.outcome(), None, started);
                    drop(flight);
                    let slot = picked.endpoint.endpoint.slot;
                    if !may_go_on(&self.cluster, &mut self.attempts, slot, error.kind).await {
                        return Err(error);
                    }
                }
            }
        }
    }
}
