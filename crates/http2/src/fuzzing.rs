//! A connection as a function of bytes, for a fuzz target.

use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use plimsoll_fields::Fields;

use crate::connection::Limits;
use crate::server::{Event, Server};

const LIMITS: Limits = Limits {
    header_bytes: 4096,
    block_bytes: 8192,
    concurrent_streams: 4,
    stream_window: 1000,
    connection_window: 70_000,
    unsent_bytes: 10_000,
    extended_connect: true,
};

/// What a client sends behind the preface. What is answered does not depend on the pieces in which it comes.
pub fn read_frames(bytes: &[u8]) {
    let Some((step, frames)) = bytes.split_first() else { return };
    let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", frames].concat();
    let whole = answer(&bytes, bytes.len());
    assert_eq!(whole, answer(&bytes, usize::from(*step).max(1)), "the pieces make a difference");
}

/// What is answered to `bytes` that come in pieces.
fn answer(bytes: &[u8], step: usize) -> Vec<u8> {
    let (server, mut input, mut sent) = (Server::new(LIMITS), BytesMut::new(), Vec::new());
    let task = Context::from_waker(Waker::noop());
    let mut under_way = Vec::new();
    for piece in bytes.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match server.receive(&mut input) {
                Ok(Some(Event::Request(request))) => {
                    request.responder.send_head(StatusCode::OK, &Fields::new(), false);
                    let _ = request.responder.poll_send(&mut Bytes::from(vec![0; 100]), request.body.is_none(), &task);
                    if let Some(body) = request.body {
                        under_way.push((body, request.responder));
                    }
                }
                Ok(Some(Event::Begun | Event::Malformed(_))) => {}
                Ok(None) => break,
                Err(code) => {
                    server.abort(code);
                    take(&server, &mut sent);
                    return sent;
                }
            }
            take(&server, &mut sent);
        }
    }
    for (body, responder) in under_way {
        while matches!(body.poll_data(&task), Poll::Ready(Some(Ok(_)))) {}
        drop((body, responder));
        take(&server, &mut sent);
    }
    sent
}

fn take(server: &Server, sent: &mut Vec<u8>) {
    while server.unsent() > 0 {
        server.send(|slices| {
            let before = sent.len();
            slices.iter().for_each(|slice| sent.extend_from_slice(slice));
            (sent.len() - before, ())
        });
    }
}
