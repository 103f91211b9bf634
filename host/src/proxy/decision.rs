use std::rc::Rc;
use std::sync::Arc;

use http::header::HOST;
use plimsoll_fields::RequestHead;
use plimsoll_resilience::Policy;

use super::affinity::Affine;
use super::attempts::Forwarding;
use super::attributes::Visible;
use super::cluster::Cluster;
use super::deadline::Deadline;
use super::effective;
use super::exchange::Exchange;
use super::forwarding::certify;
use super::grpc_web::GrpcWeb;
use super::headers;
use super::introduction::introduction;
use super::link::{Link, go_on};
use super::listener::Target;
use super::reply;
use super::response::Response;
use super::upgrade::Upgrade;
use crate::downstream::{Body, ClientBody};
use crate::error::{Error, ErrorKind};
use crate::plugin::{Limit, RouteRetry, RouteSettings};
use crate::telemetry::Flag;

/// What is to become of a request.
pub(super) enum Decision {
    Answer(Response),
    Forward(Forwarding),
}

/// How far a decision has come.
#[expect(clippy::large_enum_variant, reason = "nearly all are decided, and a box would be an allocation for each")]
pub(super) enum Step {
    Decided(Decision),
    /// The beginning of the body has to come first.
    Read(Needed),
}

/// Who wants to see the beginning of a body.
pub(super) enum Needed {
    ForRoute,
    ForCluster(Box<Directed>),
}

/// A request whose cluster is known.
pub(super) struct Directed {
    cluster: Rc<Cluster>,
    settings: Option<Arc<RouteSettings>>,
    upgrade: Option<Rc<Upgrade>>,
    by_fallback: bool,
}

/// Reads of a body what is decided by, and decides.
pub(super) async fn look_at_body(
    account: &mut Exchange,
    head: &mut RequestHead,
    body: &mut ClientBody,
    link: &dyn Link,
    needed: Needed,
) -> Result<Decision, Error> {
    let mut step = Step::Read(needed);
    loop {
        step = match step {
            Step::Decided(decision) => return Ok(decision),
            Step::Read(Needed::ForRoute) => {
                read_ahead(account, head, body, link, account.listener.body_prefix()).await?;
                decide(account, head, body, link)?
            }
            Step::Read(Needed::ForCluster(directed)) => {
                read_ahead(account, head, body, link, directed.cluster.body_prefix()).await?;
                Step::Decided(Decision::Forward(direct(account, head, body, *directed, link)))
            }
        };
    }
}

/// The client has as long for it as for a head.
async fn read_ahead(
    account: &Exchange,
    head: &mut RequestHead,
    body: &mut ClientBody,
    link: &dyn Link,
    bytes: usize,
) -> Result<(), Error> {
    go_on(head, body, link);
    let within = account.listener.config.timeouts.client_header;
    let read = account.context.timers.bound(within, body.read_ahead(bytes)).await;
    read.unwrap_or_else(|_elapsed| Err(ErrorKind::ClientTimeout.into()))
}

/// Everything about a request that is known before an endpoint is looked for, or before its body is looked at. Its head becomes
/// the one that is meant.
pub(super) fn decide(
    account: &mut Exchange,
    head: &mut RequestHead,
    body: &ClientBody,
    link: &dyn Link,
) -> Result<Step, Error> {
    if !body.is_ended() && !body.is_read_ahead() && account.listener.body_prefix() > 0 {
        return Ok(Step::Read(Needed::ForRoute));
    }
    let (context, listener) = (account.context.clone(), account.listener.clone());
    let (client, source) = (account.client.clone(), account.source.clone());
    let upgrade = Upgrade::of_request(head, !body.is_ended(), &listener.config.upgrades)?;
    effective::make(head, link, listener.config.limits.header_count, listener.config.underscores)?;
    if !source.by_trusted_hop && client.is_misdirected(head.headers.get(HOST)) {
        return Err(ErrorKind::Misdirected.into());
    }
    // Before anybody is led away: this is read on port 80, whatever else is there.
    if let Some(answer) = context.challenges.http_answer(head.uri.path()) {
        let response = reply::acme_challenge(answer);
        account.answered(response.head.status, None);
        return Ok(Step::Decided(Decision::Answer(response)));
    }
    if let Some(redirect) = &listener.config.redirect_https
        && source.scheme == "http"
    {
        let response = reply::to_https(redirect, head);
        account.answered(response.head.status, None);
        return Ok(Step::Decided(Decision::Answer(response)));
    }
    if let Some(response) = effective::last_step(head) {
        account.answered(response.head.status, None);
        return Ok(Step::Decided(Decision::Answer(response)));
    }
    if context.overload.sheds_requests() {
        return Err(ErrorKind::Overloaded.into());
    }
    // Before anybody decides by it.
    certify(&mut head.headers, &client, &source, &listener.config);
    let visible = Visible::of_request(&listener.name, &client, &source, head, body.beginning());
    let route = listener.route(&context, visible).map_err(|fault| Error::new(ErrorKind::Plugin, fault))?;
    let settings = route.settings;
    account.routed(settings.as_ref());
    let cluster = match route.target {
        Target::Cluster(cluster) => cluster,
        Target::Redirect(redirect) => return Ok(Step::Decided(answer_ourselves(account, reply::redirect(&redirect)))),
        Target::Respond(response) => return Ok(Step::Decided(answer_ourselves(account, reply::respond(&response)))),
        Target::Nowhere => return Err(ErrorKind::NoRoute.into()),
    };
    account.cluster = Some(cluster.clone());
    let directed = Directed { cluster, settings, upgrade, by_fallback: route.by_fallback };
    if directed.cluster.body_prefix() > 0 && !body.is_ended() {
        return Ok(Step::Read(Needed::ForCluster(Box::new(directed))));
    }
    Ok(Step::Decided(Decision::Forward(direct(account, head, body, directed, link))))
}

/// What is known of a request before an endpoint is looked for. Its head becomes the one that is sent on.
fn direct(
    account: &mut Exchange,
    head: &mut RequestHead,
    body: &ClientBody,
    directed: Directed,
    link: &dyn Link,
) -> Forwarding {
    let (context, listener) = (account.context.clone(), account.listener.clone());
    let (client, source) = (account.client.clone(), account.source.clone());
    let Directed { cluster, settings, upgrade, by_fallback } = directed;
    let visible = Visible::of_request(&listener.name, &client, &source, head, body.beginning());
    let visible = Visible { route: settings.as_ref().map(|settings| &*settings.label), ..visible };
    let affinity = match &settings {
        Some(settings) if !settings.binds_clients => Affine::default(),
        _ => Affine::find(&context, &cluster, visible),
    };
    let key = cluster.key(visible, &mut context.values.borrow_mut());
    let shown = cluster.shown(visible, &mut context.values.borrow_mut());
    go_on(head, body, link);
    headers::prepare_request(head, &client, &source, &listener.config);
    if cluster.config.protocol.carries_grpc()
        && let Some(web) = GrpcWeb::of(head)
    {
        web.translate_request(&mut head.headers);
        (account.is_call, account.web) = (true, Some(web));
    }
    affinity.prepare(&cluster, &mut head.headers);
    if let Some(upgrade) = &upgrade {
        upgrade.ask(&mut head.headers);
    }
    let settings = settings.as_deref();
    let limit = |of: fn(&RouteSettings) -> Limit| settings.map(of).unwrap_or_default();
    let timeout = limit(|settings| settings.request_timeout).over(listener.config.timeouts.request);
    let header = listener.config.deadline_header.as_ref();
    let (timeout, deadline) = Deadline::of(&head.headers, account.is_call, header, timeout);
    Forwarding {
        timeout,
        deadline: deadline.map(Box::new),
        first_byte_timeout: limit(|settings| settings.first_byte_timeout).over(cluster.config.timeouts.first_byte),
        max_attempts: settings.and_then(|settings| settings.retry.max_attempts).unwrap_or(cluster.config.max_attempts),
        introduction: introduction(&cluster, &client, &source, || link.local_address(), None),
        policy: settings.and_then(|settings| retry_policy(&settings.retry, &cluster)),
        cluster,
        affinity,
        key,
        shown,
        upgrade,
        by_fallback,
    }
}

/// Of a route that says something of its own. In a box: it is rare.
fn retry_policy(route: &RouteRetry, cluster: &Cluster) -> Option<Box<Policy>> {
    if route.statuses.is_none() && !route.non_idempotent {
        return None;
    }
    let mut policy = Box::new(cluster.config.retries.policy.clone());
    if let Some(statuses) = &route.statuses {
        policy.on.statuses = statuses.clone();
    }
    policy.non_idempotent |= route.non_idempotent;
    Some(policy)
}

fn answer_ourselves(account: &mut Exchange, response: Response) -> Decision {
    account.answered(response.head.status, Some(Flag::PluginReply));
    Decision::Answer(response)
}
