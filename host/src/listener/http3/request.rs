use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::{StatusCode, Version};
use plimsoll_fields::RequestHead;
use plimsoll_http3::Code;
use quinn::{RecvStream, SendStream};

use super::connection::Connection;
use super::outbound::Outbound;
use crate::downstream::{ClientBody, Http3Body, NoHead};
use crate::error::ErrorKind;
use crate::io::IntoQuic;
use crate::listener::stream_link::StreamLink;
use crate::proxy::{self, Response};
use crate::telemetry::BadRequest;

/// Answers one request.
pub(super) async fn answer(connection: Rc<Connection>, send: SendStream, recv: RecvStream) {
    connection.answer(send, recv).await;
}

impl Connection {
    async fn answer(&self, mut send: SendStream, recv: RecvStream) {
        let under_way = self.session.connection.begin_request();
        if u64::from(recv.id()) >= self.refuses_from.get() {
            // RFC 9114 section 5.2: it may safely be sent again elsewhere.
            self.give_up(&mut send, recv, Code::RequestRejected);
            return;
        }
        let mut body = Http3Body::new(self.quic.clone(), recv, self.session.config.limits.header_bytes);
        let patience = self.session.connection.patience();
        let head = self.session.context.timers.bound(patience.head, body.read_head()).await;
        // Ready when the client does not want the answer, is gone, or has all of it.
        let mut stopped = pin!(send.stopped());
        let outbound = Outbound::new(send);
        let response = match head {
            Ok(Ok(head)) => {
                self.respond_to(head, body, &outbound, stopped.as_mut()).await.ok_or(Code::RequestCancelled)
            }
            Ok(Err(NoHead::TooLarge)) => {
                self.session.refuse(ErrorKind::HeadTooLarge, Version::HTTP_3).ok_or(Code::RequestCancelled)
            }
            Ok(Err(NoHead::Malformed(how))) => {
                self.session.refuse_stream(ErrorKind::BadRequest(how), Version::HTTP_3);
                body.stop(Code::MessageError);
                // As with HTTP/2, it counts as one that its client has given up.
                Err(Code::MessageError)
            }
            Ok(Err(NoHead::Gone | NoHead::Broken)) => Err(Code::RequestCancelled),
            Err(_elapsed) => {
                if let Some(listener) = self.session.slot.current() {
                    listener.shard.bad_request(BadRequest::Timeout);
                }
                body.stop(Code::RequestRejected);
                Err(Code::RequestRejected)
            }
        };
        let is_taken = match response {
            Ok(response) => {
                let mut sending = outbound.into_sending(self.session.context.timers.timer(), patience.write);
                sending.send(response, stopped).await
            }
            Err(code) => {
                outbound.reset(code);
                false
            }
        };
        let connection = &self.session.connection;
        if !is_taken {
            connection.gave_up();
        }
        if connection.is_abused() && self.quic.close_reason().is_none() {
            self.session.refuse_abuse();
            self.end(Code::ExcessiveLoad);
        }
        drop(under_way);
    }

    fn give_up(&self, send: &mut SendStream, mut recv: RecvStream, code: Code) {
        // Either may be over.
        let _ = recv.stop(code.into_quic());
        let _ = send.reset(code.into_quic());
    }

    /// Has the request answered. None when its client has given it up.
    async fn respond_to(
        &self,
        mut head: RequestHead,
        body: Http3Body,
        outbound: &Outbound,
        mut stopped: Pin<&mut impl Future>,
    ) -> Option<Response> {
        let Some(listener) = self.session.listener() else {
            return Some(Response::of(StatusCode::SERVICE_UNAVAILABLE));
        };
        outbound.prioritise(&head.headers);
        let link = StreamLink::new(&self.session, self.local_address, |head| outbound.inform(head));
        let mut body = if body.is_ended() { ClientBody::Empty } else { ClientBody::Http3(Box::new(body)) };
        if head.protocol.is_some() {
            // What comes is not the request's, but of the protocol that it asks for (RFC 9220).
            link.set_tunnel(std::mem::replace(&mut body, ClientBody::Empty));
        }
        let (context, client) = (self.session.context.clone(), self.client());
        let mut serving = pin!(proxy::serve(context, listener, client, &mut head, body, &link));
        poll_fn(|task| {
            if let Poll::Ready(response) = serving.as_mut().poll(task) {
                return Poll::Ready(Some(response));
            }
            stopped.as_mut().poll(task).map(|_| None)
        })
        .await
    }
}
