//! A client of the `h2` crate, which nobody here wrote, against a server that echoes: bodies and trailers come back whole, whatever
//! the windows and in whatever pieces they come.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use plimsoll_http2::{Event, Limits, Server};
use proptest::prelude::*;
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};
use tokio::task::{LocalSet, spawn_local};

const LIMITS: Limits = Limits {
    header_bytes: 16 * 1024,
    block_bytes: 32 * 1024,
    concurrent_streams: 20,
    stream_window: 70_000,
    connection_window: 100_000,
    unsent_bytes: 30_000,
    extended_connect: false,
};

/// Serves until the client has gone.
async fn serve(mut stream: DuplexStream, server: Rc<Server>) {
    let mut input = BytesMut::new();
    poll_fn(|task| {
        server.attend(task);
        loop {
            while let Some(event) = server.receive(&mut input).expect("the client is right") {
                if let Event::Request(request) = event {
                    drop(spawn_local(echo(request)));
                }
            }
            while server.unsent() > 0 {
                let written = server.send(|pieces: &[IoSlice<'_>]| {
                    let written = Pin::new(&mut stream).poll_write(task, &pieces[0]);
                    (if let Poll::Ready(Ok(count)) = written { count } else { 0 }, written)
                });
                match written {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            if server.is_over() && server.unsent() == 0 {
                return Poll::Ready(());
            }
            let mut room = [0; 5000];
            let mut buffer = ReadBuf::new(&mut room);
            match Pin::new(&mut stream).poll_read(task, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => input.extend_from_slice(buffer.filled()),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

async fn echo(request: plimsoll_http2::Request) {
    let head = request.head.expect("a small head");
    request.responder.send_head(StatusCode::OK, &head.headers, request.body.is_none());
    let Some(body) = request.body else { return };
    while let Some(data) = poll_fn(|task| body.poll_data(task)).await {
        let mut data = data.expect("nobody resets");
        while !data.is_empty() {
            poll_fn(|task| request.responder.poll_send(&mut data, false, task)).await.expect("nobody resets");
        }
    }
    request.responder.send_trailers(&body.take_trailers().unwrap_or_default());
}

/// The client's side of one request; what came back.
async fn ask(mut requests: h2::client::SendRequest<Bytes>, body: Vec<u8>) -> (usize, Vec<u8>, HeaderMap) {
    let mark = HeaderValue::from(body.len());
    let request = Request::get("http://a.test/").header("mark", mark.clone()).body(()).expect("a request");
    poll_fn(|task| requests.poll_ready(task)).await.expect("a connection");
    let (response, mut sending) = requests.send_request(request, false).expect("room");
    let mut trailers = HeaderMap::new();
    trailers.insert("end", mark);
    sending.send_data(body.into(), false).expect("it is open");
    sending.send_trailers(trailers).expect("it is open");
    let (head, mut body) = response.await.expect("an answer").into_parts();
    let mut content = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.expect("nobody resets");
        body.flow_control().release_capacity(data.len()).expect("it was counted");
        content.extend_from_slice(&data);
    }
    let length = head.headers["mark"].to_str().expect("a number").parse().expect("a number");
    (length, content, body.trailers().await.expect("nobody resets").unwrap_or_default())
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(test))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn bodies_and_trailers_come_back_whole(
        lengths in prop::collection::vec(prop_oneof![0..50_usize, 0..200_000_usize], 1..30),
        window in 1..200_000_u32,
        connection_window in 65_535..300_000_u32,
        pipe in 10..100_000_usize,
    ) {
        run(async {
            let (near, far) = tokio::io::duplex(pipe);
            let server = Rc::new(Server::new(LIMITS));
            drop(spawn_local(serve(far, server)));
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(window).initial_connection_window_size(connection_window).header_table_size(100);
            let (requests, connection) = builder.handshake::<_, Bytes>(near).await.expect("a handshake");
            drop(spawn_local(connection));
            let asked: Vec<_> = lengths.iter().enumerate().map(|(number, length)| {
                let body: Vec<u8> = (0..*length).map(|at| (at + number) as u8).collect();
                (body.clone(), spawn_local(ask(requests.clone(), body)))
            }).collect();
            for (body, answered) in asked {
                let (length, content, trailers) = answered.await.expect("no panic");
                assert_eq!(length, body.len());
                assert!(content == body, "{} bytes of {}", content.len(), body.len());
                assert_eq!(trailers["end"], body.len().to_string());
            }
        });
    }
}

#[test]
fn a_server_that_leaves_answers_what_was_begun_and_then_ends() {
    run(async {
        let (near, far) = tokio::io::duplex(10_000);
        let server = Rc::new(Server::new(LIMITS));
        let served = spawn_local(serve(far, server.clone()));
        let (requests, connection) = h2::client::handshake(near).await.expect("a handshake");
        let ended = spawn_local(connection);
        let answered = spawn_local(ask(requests, vec![b'x'; 100_000]));
        tokio::task::yield_now().await;
        server.leave();
        assert_eq!(answered.await.expect("no panic").1.len(), 100_000);
        served.await.expect("it ends by itself");
        assert!(ended.await.expect("no panic").is_ok(), "it has heard of it");
    });
}
