use std::rc::Rc;

use http::Method;
use plimsoll_fields::RequestHead;

use super::answer;
use super::attempts::{Attempts, Forwarding};
use super::client::Client;
use super::context::Context;
use super::decision::{Decision, Step, decide, look_at_body};
use super::early_data;
use super::exchange::{Exchange, Unread};
use super::headers;
use super::link::Link;
use super::listener::Listener;
use super::picked::PickedBy;
use super::reply;
use super::response::Response;
use super::response_body::{ResponseBody, Timing, Transfer};
use super::sent::Tried;
use crate::downstream::{Body, ClientBody};
use crate::error::{Error, ErrorKind};
use crate::telemetry::Flag;
use crate::upstream::Answer;

/// Answers one request, whatever happens. Its head becomes the one that goes to an endpoint; it stays with the caller, since
/// a future keeps what it is given twice.
pub async fn serve(
    context: Rc<Context>,
    listener: Rc<Listener>,
    client: Rc<Client>,
    head: &mut RequestHead,
    mut body: ClientBody,
    link: &dyn Link,
) -> Response {
    let asked = head.version;
    let mut exchange = Some(Exchange::begin(context.clone(), listener.clone(), client, head));
    let admitted = match link.handshake().filter(|completion| !completion.is_reached()).zip(exchange.as_mut()) {
        // In a box: it is rare, and would make the future of every request larger.
        Some((completion, account)) => Box::pin(early_data::admit(completion, account, head, !body.is_ended())).await,
        None => Ok(()),
    };
    let decided = match &mut exchange {
        Some(account) => match admitted.map_err(Error::from).and_then(|()| decide(account, head, &body, link)) {
            Ok(Step::Decided(decision)) => Ok(decision),
            // In a box: it is rare, and would make the future of every request larger.
            Ok(Step::Read(needed)) => Box::pin(look_at_body(account, head, &mut body, link, needed)).await,
            Err(error) => Err(error),
        },
        None => Err(ErrorKind::ClientAbort.into()),
    };
    let answered = match decided {
        Ok(Decision::Forward(wanted)) => context
            .timers
            .bound(wanted.timeout, forward(&mut exchange, &wanted, head, body, link))
            .await
            .unwrap_or_else(|_elapsed| Err(ErrorKind::RequestTimeout.into())),
        Ok(Decision::Answer(mut response)) => {
            if let Some(account) = &mut exchange {
                account.answers_ourselves(&mut response, None);
            }
            Ok(response)
        }
        Err(error) => Err(error),
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
) -> Response {
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
    head: &mut RequestHead,
    body: ClientBody,
    link: &dyn Link,
) -> Result<Response, Error> {
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
    Ok(Response { head, body })
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
