//! What a proxy in front of us says of a connection before its first byte, or in front of a datagram.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::task::Poll;

use plimsoll_proxy_protocol::{Found, Header, MOST_BYTES, Version, read, read_datagram};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::peek::{Nothing, peek};
use crate::config::ProxyProtocol;
use crate::net::Datagrams;
use crate::proxy::{self, Announced, Listener};
use crate::telemetry::ProxyHeader;

/// Who a connection is from: whoever has made it, or the one that it is made for.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    pub(super) announced: Option<Box<Announced>>,
}

/// Reads who a connection is from. None when it is refused, which is counted and logged.
pub(super) async fn origin(
    context: &proxy::Context,
    listener: &Listener,
    terms: &ProxyProtocol,
    (stream, peer): (&mut TcpStream, SocketAddr),
    connection: &Connection,
) -> Option<Origin> {
    let plain = Origin { address: peer, announced: None };
    let count = |header| listener.shard.proxy_header(header);
    if !terms.from.contains(peer.ip()) {
        count(ProxyHeader::Untrusted);
        if !terms.required {
            return Some(plain);
        }
        return refuse(context, listener, peer, "the client is none of the proxies that are trusted");
    }
    let received = {
        let mut receiving = std::pin::pin!(context.timers.bound(Some(terms.timeout), receive(stream)));
        poll_fn(|task| match receiving.as_mut().poll(task) {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending if connection.poll_draining(task) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await?
    };
    connection.established();
    match received {
        Ok(Received::Header(header, version)) => {
            count(match (header.addresses, version) {
                (None, _) => ProxyHeader::Local,
                (Some(_), Version::V1) => ProxyHeader::V1,
                (Some(_), Version::V2) => ProxyHeader::V2,
            });
            let address = header.addresses.map_or(peer, |told| told.source());
            let destination = header.addresses.map(|told| told.destination());
            Some(Origin { address, announced: Some(Box::new(Announced { destination, details: header.details })) })
        }
        Ok(Received::Other) => {
            count(ProxyHeader::Absent);
            if terms.required { refuse(context, listener, peer, "there is no header") } else { Some(plain) }
        }
        // Checks of others connect and go; nobody is refused anything.
        Ok(Received::Closed) => {
            count(ProxyHeader::Closed);
            None
        }
        Ok(Received::Malformed(how)) => {
            count(ProxyHeader::Malformed);
            refuse(context, listener, peer, how)
        }
        // Whoever waits for the endpoint to speak first sends no header either.
        Err(_elapsed) if !terms.required && is_silent(stream) => {
            count(ProxyHeader::Absent);
            Some(plain)
        }
        Err(_elapsed) => {
            count(ProxyHeader::Timeout);
            refuse(context, listener, peer, "the header did not come in time")
        }
    }
}

/// What stands in front of a datagram.
pub(super) enum InFront {
    Nothing,
    /// A header of so many bytes.
    Header(Header, usize),
    Refused(ProxyHeader),
}

/// Looks at what stands in front of a datagram. Without a header it is taken where one is not required, or if its sender `is_known`.
/// There are no terms any more when the listener has gone; nothing begins then.
pub(super) fn in_front(
    terms: Option<&ProxyProtocol>,
    datagram: &Datagrams<'_>,
    is_known: impl FnOnce() -> bool,
) -> InFront {
    let is_required = terms.is_some_and(|terms| terms.required);
    if terms.is_some_and(|terms| !terms.from.contains(datagram.from.ip())) {
        return if is_required { InFront::Refused(ProxyHeader::Untrusted) } else { InFront::Nothing };
    }
    match read_datagram(datagram.bytes) {
        Some(Ok((header, length))) => InFront::Header(header, length),
        Some(Err(_)) => InFront::Refused(ProxyHeader::Malformed),
        None if is_required && !is_known() => InFront::Refused(ProxyHeader::Absent),
        None => InFront::Nothing,
    }
}

fn refuse(context: &proxy::Context, listener: &Listener, peer: SocketAddr, how: &'static str) -> Option<Origin> {
    proxy::refuse_connection(context, listener, peer, how);
    None
}

enum Received {
    Header(Header, Version),
    Other,
    Closed,
    Malformed(&'static str),
}

/// Looks at what has come until it is clear what it is, and takes the header alone: what follows stays in the socket.
async fn receive(stream: &mut TcpStream) -> Received {
    let mut bytes = vec![0; MOST_BYTES];
    let found = peek(stream, &mut bytes, |seen| match read(seen) {
        Found::More => None,
        found => Some(found),
    });
    match found.await {
        Ok(Found::Header { header, version, length }) => match stream.read_exact(&mut bytes[..length]).await {
            Ok(_) => Received::Header(header, version),
            Err(_) => Received::Closed,
        },
        Ok(Found::Malformed(how)) => Received::Malformed(how),
        Ok(Found::Other | Found::More) => Received::Other,
        Err(Nothing::Closed) => Received::Closed,
        Err(Nothing::Cut) => Received::Malformed("the header is cut off"),
    }
}

/// Nothing has come yet.
fn is_silent(stream: &TcpStream) -> bool {
    rustix::net::recv(stream, &mut [0; 1], rustix::net::RecvFlags::PEEK).is_err()
}
