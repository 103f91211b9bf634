use std::net::SocketAddr;

use http::uri::Scheme;

use super::message::{Answer, HEAD_BYTES, Request};
use crate::io::Stream;

/// Far below what flow control has (RFC 9113 section 6.9.1), and above what is read of any answer.
const LARGEST_WINDOW: u32 = 4 << 20;

/// In the clear with prior knowledge (RFC 9113 section 3.3).
pub(super) async fn over_http2(stream: Stream, address: SocketAddr, request: Request) -> Result<Answer, String> {
    let scheme = if stream.is_encrypted() { Scheme::HTTPS } else { Scheme::HTTP };
    let head = request.head_of_http2(address, scheme)?;
    let window = u32::try_from(request.most).unwrap_or(LARGEST_WINDOW).min(LARGEST_WINDOW);
    let mut builder = h2::client::Builder::new();
    // The window of the connection is no bound beside that of its one stream.
    builder
        .enable_push(false)
        .initial_window_size(window)
        .initial_connection_window_size(2 * window)
        .max_header_list_size(HEAD_BYTES);
    let failed = |doing: &'static str| move |error: h2::Error| failed(doing, &error);
    let (sender, connection) = builder.handshake(stream).await.map_err(failed("speaking HTTP/2"))?;
    let driver = AbortOnDrop(tokio::spawn(async move {
        // Its errors reach the request.
        let _ = connection.await;
    }));
    let mut sender = sender.ready().await.map_err(failed("speaking HTTP/2"))?;
    let (response, mut upload) = sender.send_request(head, request.body.is_empty()).map_err(failed("the exchange"))?;
    if !request.body.is_empty() {
        upload.send_data(request.body, true).map_err(failed("the exchange"))?;
    }
    let (head, mut body) = response.await.map_err(failed("the exchange"))?.into_parts();
    let mut bytes = Vec::new();
    // More than the window does not come, so that there is nothing to give back.
    let mut trailers = None;
    while bytes.len() < request.most {
        let Some(data) = body.data().await else {
            let fields = body.trailers().await.map_err(failed("reading the answer"))?;
            trailers = Some(fields.unwrap_or_default().into());
            break;
        };
        bytes.extend_from_slice(&data.map_err(failed("reading the answer"))?);
    }
    drop(driver);
    Ok(Answer::new(&head.into(), (bytes, request.most), trailers.as_ref()))
}

fn failed(doing: &str, error: &dyn std::error::Error) -> String {
    format!("{doing} failed: {error}")
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
