use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use http::{StatusCode, Version};
use plimsoll_fields::{RequestHead, ResponseHead};
use plimsoll_http2::{Body, Request, Responder};

use super::sending::Sending;
use crate::downstream::{ClientBody, Http2Body};
use crate::error::ErrorKind;
use crate::listener::connection::UnderWay;
use crate::listener::session::Session;
use crate::listener::stream_link::StreamLink;
use crate::proxy::{self, Response};

/// Begins to answer a request, in a task of its own.
pub(super) fn begin(session: &Rc<Session>, local_address: Option<SocketAddr>, request: Request) {
    let under_way = session.connection.begin_request();
    // It ends by itself.
    drop(tokio::task::spawn_local(answer(session.clone(), local_address, request, under_way)));
}

async fn answer(session: Rc<Session>, local_address: Option<SocketAddr>, request: Request, under_way: UnderWay) {
    let Request { head, body, responder } = request;
    let response = match head {
        Some(head) => respond_to(&session, local_address, head, body, &responder).await,
        None => session.refuse(ErrorKind::HeadTooLarge, Version::HTTP_2),
    };
    match response {
        Some(response) => {
            let patience = session.connection.patience().write;
            let sending = Sending::new(responder, session.context.timers.timer(), patience);
            sending.send(response).await;
        }
        None => session.connection.gave_up(),
    }
    drop(under_way);
}

/// Has the request answered. None when its client has given it up.
async fn respond_to(
    session: &Session,
    local_address: Option<SocketAddr>,
    mut head: Box<RequestHead>,
    body: Option<Body>,
    responder: &Responder,
) -> Option<Response> {
    let Some(listener) = session.listener() else {
        return Some(Response::of(StatusCode::SERVICE_UNAVAILABLE));
    };
    let inform = |head: ResponseHead| responder.send_head(head.status, &head.headers, false);
    let link = StreamLink::new(session, local_address, inform);
    let mut body = body.map_or(ClientBody::Empty, |body| ClientBody::Http2(Box::new(Http2Body::new(body))));
    if head.protocol.is_some() {
        // What comes is not the request's, but of the protocol that it asks for (RFC 8441 section 5).
        link.set_tunnel(std::mem::replace(&mut body, ClientBody::Empty));
    }
    let mut serving =
        std::pin::pin!(proxy::serve(session.context.clone(), listener, session.client.clone(), &mut head, body, &link));
    poll_fn(|task| {
        if let Poll::Ready(response) = serving.as_mut().poll(task) {
            return Poll::Ready(Some(response));
        }
        // Ready when the client has reset the stream, or the connection is gone.
        responder.poll_reset(task).map(|_| None)
    })
    .await
}
