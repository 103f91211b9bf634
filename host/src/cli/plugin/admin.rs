//! A client of the admin API.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// Of connecting.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer: the proxy may look at a plugin for 20 s.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
const MOST_ANSWERED: usize = 1 << 20;
/// Of an event.
const MOST_OF_A_LINE: usize = 64 << 10;
/// Before the events are asked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// The admin API of a running proxy.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    /// Host and port.
    authority: String,
    token: Option<String>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// What it says to people.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        told["message"].as_str().map_or_else(|| text.trim().to_owned(), str::to_owned)
    }
}

impl Admin {
    /// Or why there can be none at this address.
    pub(super) fn new(uri: &Uri, token: Option<String>) -> Result<Self, String> {
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http"));
        let host = host.ok_or_else(|| format!("`{uri}` is no address of an admin API: expected http://HOST:PORT"))?;
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        Ok(Self { authority, token })
    }

    pub(super) fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Answer> {
        runtime()?.block_on(async {
            let answered = tokio::time::timeout(ANSWER_PATIENCE, async {
                let response = self.ask(Method::from_bytes(method.as_bytes())?, path, body).await?;
                let status = response.status();
                let body = Limited::new(response.into_body(), MOST_ANSWERED).collect().await;
                let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
                Ok(Answer { status, body: body.to_bytes() })
            });
            answered.await.with_context(|| format!("no answer from {} within {ANSWER_PATIENCE:?}", self.authority))?
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>> {
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(&self.authority)).await;
        let connecting =
            connecting.with_context(|| format!("no connection to {} within {PATIENCE:?}", self.authority))?;
        let stream = connecting.with_context(|| format!("connect to {}", self.authority))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?)
    }

    /// Has what a plugin says and how it fails shown from now on, for as long as this program runs.
    pub(super) fn follow(&self, plugin: String, show: fn(&str)) -> Result<JoinHandle<()>> {
        let runtime = runtime()?;
        let admin = self.clone();
        let follow = move || {
            runtime.block_on(async {
                loop {
                    // A proxy that ends is started again some time.
                    let _ = admin.events(&plugin, show).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        };
        std::thread::Builder::new().name("events".into()).spawn(follow).context("start a thread")
    }

    async fn events(&self, plugin: &str, show: fn(&str)) -> Result<()> {
        let mut response = self.ask(Method::GET, "/v1/events", Vec::new()).await?;
        let mut text = Vec::new();
        while let Some(frame) = response.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            text.extend_from_slice(&data);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                if let Some(told) = told(&line, plugin) {
                    show(&told);
                }
            }
            if text.len() > MOST_OF_A_LINE {
                bail!("a line of events is too long");
            }
        }
        Ok(())
    }
}

/// What a line of the events says of a plugin.
fn told(line: &[u8], plugin: &str) -> Option<String> {
    let event: Value = serde_json::from_slice(line.strip_prefix(b"data: ")?).ok()?;
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    if text("plugin") != plugin {
        return None;
    }
    match text("event") {
        "message" => Some(format!("{}: {}", text("level"), text("message"))),
        "fault" => Some(format!("fault as {} of {}: {}", text("role"), text("scope"), text("reason"))),
        _ => None,
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("start the runtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_the_plugin_is_shown() {
        let line = br#"data: {"event":"message","plugin":"mine","level":"warn","message":"hot"}"#;
        assert_eq!(told(line, "mine").as_deref(), Some("warn: hot"));
        assert_eq!(told(line, "other"), None);
        let line = br#"data: {"event":"fault","plugin":"mine","role":"balancer","scope":"app","reason":"panicked"}"#;
        assert_eq!(told(line, "mine").as_deref(), Some("fault as balancer of app: panicked"));
        assert_eq!(told(b"event: health\n", "mine"), None);
    }

    #[test]
    fn an_address_is_that_of_http() {
        let of = |uri: &str| Admin::new(&uri.parse().unwrap(), None);
        assert_eq!(of("http://127.0.0.1:9900").unwrap().authority, "127.0.0.1:9900");
        assert!(of("https://127.0.0.1:9900").is_err() && of("/v1").is_err());
    }
}
