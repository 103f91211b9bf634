use std::rc::Rc;

use http::header::HOST;
use http::request::Parts;
use http::{Method, Response};
use http_body::Body;
use plimsoll_resilience::Policy;

use super::affinity::Affine;
use super::answer;
use super::attempts::{Attempts, Forwarding};
use super::attributes::Visible;
use super::client::Client;
use super::cluster::{Cluster, PickedBy};
use super::context::Context;
use super::deadline::Deadline;
use super::effective;
use super::exchange::{Exchange, Unread};
use super::forwarding::certify;
use super::grpc_web::GrpcWeb;
use super::headers;
use super::introduction::introduction;
use super::link::Link;
use super::listener::{Listener, Target};
use super::reply;
use super::response_body::{ResponseBody, Timing, Transfer};
use super::sent::Tried;
use super::upgrade::Upgrade;
use crate::downstream::ClientBody;
use crate::error::{Error, ErrorKind};
use crate::plugin::{Limit, RouteRetry, RouteSettings};
use crate::telemetry::Flag;
use crate::upstream::Answer;

/// Answers one request, whatever happens. Its head becomes the one that goes to an endpoint; it stays with the caller, since
/// a future keeps what it is given twice.
pub async fn serve(
    context: Rc<Context>,
    listener: Rc<Listener>,
    client: Rc<Client>,
    head: &mut Parts,
    body: ClientBody,
    link: &dyn Link,
) -> Response<ResponseBody> {
    let asked = head.version;
    let mut exchange = Some(Exchange::begin(context.clone(), listener.clone(), client, head));
    let decided = exchange.as_mut().map(|account| decide(account, head, body.is_end_stream(), link));
    let answered = match decided {
        Some(Ok(Decision::Forward(wanted))) => context
            .timers
            .bound(wanted.timeout, forward(&mut exchange, &wanted, head, body, link))
            .await
            .unwrap_or_else(|_elapsed| Err(ErrorKind::RequestTimeout.into())),
        Some(Ok(Decision::Answer(mut response))) => {
            if let Some(account) = &mut exchange {
                account.answers_ourselves(&mut response, None);
            }
            Ok(response)
        }
        Some(Err(error)) => Err(error),
        None => Err(ErrorKind::ClientAbort.into()),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => {
            let mut response = reply::failure(&error);
            if let Some(exchange) = &mut exchange {
                tracing::debug!(
                    listener = &*exchange.listener.name,
                    cause = error.cause_text(),
                    "request failed: {error}"
                );
                exchange.failed(error.kind);
                exchange.answers_ourselves(&mut response, Some(error.kind));
            }
            response
        }
    };
    answer::finish(&context, &head.method, &mut response);
    answer::say_hsts(&listener, &mut response);
    answer::say_alternative(&listener, asked, &mut response);
    response
}

/// Answers what came where a request was to come, and could not be read as one.
pub fn refuse(
    context: &Rc<Context>,
    listener: Rc<Listener>,
    client: Rc<Client>,
    kind: ErrorKind,
    unread: Unread<'_>,
) -> Response<ResponseBody> {
    let mut exchange = Exchange::of_unread(context.clone(), listener.clone(), client, unread);
    exchange.failed(kind);
    let mut response = reply::failure(&kind.into());
    answer::finish(context, &Method::GET, &mut response);
    answer::say_hsts(&listener, &mut response);
    response
}

/// The story, after [`decide`] has found the route and whom the client is bound to: pick, try, maybe try another, answer.
async fn forward(
    exchange: &mut Option<Exchange>,
    wanted: &Forwarding,
    head: &mut Parts,
    body: ClientBody,
    link: &dyn Link,
) -> Result<Response<ResponseBody>, Error> {
    let Some(account) = exchange.as_mut() else { return Err(ErrorKind::ClientAbort.into()) };
    let Forwarding { cluster, affinity, upgrade, .. } = wanted;
    let context = account.context.clone();
    let body = match account.web {
        Some(web) => web.body(body),
        None => body,
    };
    let attempts = Attempts { context: &context, cluster, wanted, bound: affinity.bound(), link };
    let Tried { picked, flight, answer, upload, started } = attempts.run(account, head, body).await?;

    let Answer { mut head, body, first_byte, .. } = answer;
    if cluster.config.load_reports {
        cluster.note_load(&picked.endpoint, &mut head.headers);
    }
    let switches = match upgrade {
        Some(upgrade) => upgrade.is_agreed(&mut head)?,
        None => false,
    };
    account.note_grpc(&head.headers);
    headers::prepare_response(&mut head);
    affinity.remember(cluster, &picked, &mut head.headers);
    let flag = (wanted.by_fallback || picked.by == PickedBy::Fallback).then_some(Flag::PluginFallback);
    account.answered(head.status, flag);
    let Some(account) = exchange.take() else { return Err(ErrorKind::ClientAbort.into()) };
    let web = account.web;
    let timing = Timing { started, first_byte };
    let transfer = Transfer::new(account, cluster.clone(), flight, head.status, timing);
    let mut body = match switches {
        true => ResponseBody::tunnel(body, transfer, link.tunnel().unwrap_or(ClientBody::Empty))?,
        false => ResponseBody::upstream(body, transfer.with_upload(upload)),
    };
    if let Some(in_text) = web.and_then(|web| web.translate_response(&mut head.headers)) {
        body = body.into_web(in_text);
    }
    body.begin()?;
    Ok(Response::from_parts(head, body))
}

/// What is to become of a request.
enum Decision {
    Answer(Response<ResponseBody>),
    Forward(Forwarding),
}

/// Everything about a request that is known before an endpoint is looked for. Its head becomes the one that is sent on.
fn decide(account: &mut Exchange, head: &mut Parts, has_no_body: bool, link: &dyn Link) -> Result<Decision, Error> {
    let (context, listener) = (account.context.clone(), account.listener.clone());
    let (client, source) = (account.client.clone(), account.source.clone());
    let upgrade = Upgrade::of_request(head, !has_no_body, &listener.config.upgrades)?;
    effective::make(head, link, listener.config.limits.header_count, listener.config.underscores)?;
    if !source.by_trusted_hop && client.is_misdirected(head.headers.get(HOST)) {
        return Err(ErrorKind::Misdirected.into());
    }
    // Before anybody is led away: this is read on port 80, whatever else is there.
    if let Some(answer) = context.challenges.http_answer(head.uri.path()) {
        let response = reply::acme_challenge(answer);
        account.answered(response.status(), None);
        return Ok(Decision::Answer(response));
    }
    if let Some(redirect) = &listener.config.redirect_https
        && source.scheme == "http"
    {
        let response = reply::to_https(redirect, head);
        account.answered(response.status(), None);
        return Ok(Decision::Answer(response));
    }
    if let Some(response) = effective::last_step(head) {
        account.answered(response.status(), None);
        return Ok(Decision::Answer(response));
    }
    if context.overload.sheds_requests() {
        return Err(ErrorKind::Overloaded.into());
    }
    // Before anybody decides by it.
    certify(&mut head.headers, &client, &source, &listener.config);
    let visible = Visible::of_request(&listener.name, &client, &source, head);
    let route = listener.route(&context, visible).map_err(|fault| Error::new(ErrorKind::Plugin, fault))?;
    let settings = route.settings;
    account.routed(settings.as_ref());
    let cluster = match route.target {
        Target::Cluster(cluster) => cluster,
        Target::Redirect(redirect) => return Ok(answer_ourselves(account, reply::redirect(&redirect))),
        Target::Respond(response) => return Ok(answer_ourselves(account, reply::respond(&response))),
        Target::Nowhere => return Err(ErrorKind::NoRoute.into()),
    };
    account.cluster = Some(cluster.clone());

    let visible = Visible { route: settings.as_ref().map(|settings| &*settings.label), ..visible };
    let affinity = match &settings {
        Some(settings) if !settings.binds_clients => Affine::default(),
        _ => Affine::find(&context, &cluster, visible),
    };
    let key = cluster.key(visible, &mut context.values.borrow_mut());
    let grouping = cluster.visible_to_partitioners(visible, &mut context.values.borrow_mut());
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
    Ok(Decision::Forward(Forwarding {
        timeout,
        deadline: deadline.map(Box::new),
        first_byte_timeout: limit(|settings| settings.first_byte_timeout).over(cluster.config.timeouts.first_byte),
        max_attempts: settings.and_then(|settings| settings.retry.max_attempts).unwrap_or(cluster.config.max_attempts),
        introduction: introduction(&cluster, &client, &source, || link.local_address(), None),
        policy: settings.and_then(|settings| retry_policy(&settings.retry, &cluster)),
        cluster,
        affinity,
        key,
        visible: grouping,
        upgrade,
        by_fallback: route.by_fallback,
    }))
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

fn answer_ourselves(account: &mut Exchange, response: Response<ResponseBody>) -> Decision {
    account.answered(response.status(), Some(Flag::PluginReply));
    Decision::Answer(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, E, F, G>(_function: impl Fn(A, B, C, D, E, F) -> G) -> usize {
        size_of::<G>()
    }

    /// It is made for every request, and moved.
    #[test]
    fn the_future_of_a_request_stays_small() {
        let size = size_of_future(serve);
        assert!(size <= 2048, "{size} bytes");
    }
}
