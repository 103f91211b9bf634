//! Three origins to look around with, and a configuration that balances over them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::app::Addresses;
use crate::config::{self, Config, ConfigErrors};

const NAMES: [&str; 3] = ["red", "green", "blue"];

/// Origins on a thread of their own, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct Origins {
    addresses: Vec<SocketAddr>,
}

impl Origins {
    pub(crate) fn start() -> std::io::Result<Self> {
        let listeners =
            NAMES.iter().map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("demo-origins".into()).spawn(move || {
            runtime.block_on(async move {
                let serving =
                    listeners.into_iter().zip(NAMES).map(|(listener, name)| tokio::spawn(serve(listener, name)));
                for origin in serving.collect::<Vec<_>>() {
                    if let Ok(Err(error)) = origin.await {
                        tracing::error!("a demo origin ended: {error}");
                    }
                }
            });
        })?;
        Ok(Self { addresses })
    }
}

async fn serve(listener: TcpListener, name: &'static str) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| async move {
                Ok::<_, std::convert::Infallible>(answer(name, &request))
            });
            // A client that breaks off a demo is no event.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(name: &'static str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let body = format!("{name} answers {} {}\n", request.method(), request.uri());
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert("x-origin", HeaderValue::from_static(name));
    response
}

/// One listener, one cluster of all origins, health probes, and cookies under `/sticky`.
pub(crate) fn config(bind: SocketAddr, admin: SocketAddr, origins: &Origins) -> Result<Config, ConfigErrors> {
    let endpoints: String = origins
        .addresses
        .iter()
        .zip(NAMES)
        .map(|(address, name)| format!("      - {{ id: {name}, address: \"{address}\" }}\n"))
        .collect();
    let text = format!(
        "admin: {{ bind: \"{admin}\" }}
listeners:
  - name: web
    bind: \"{bind}\"
    router:
      plugin: rules
      config:
        routes:
          - {{ match: {{ path_prefix: /sticky }}, cluster: sticky }}
          - {{ cluster: colours }}
clusters:
  - name: colours
    balancer: {{ plugin: round-robin }}
    health: {{ probe: {{ plugin: http, interval: 2s, config: {{ path: /health }} }} }}
    endpoints:
{endpoints}  - name: sticky
    affinity: {{ plugin: cookie }}
    endpoints:
{endpoints}"
    );
    config::parse(&text, "demo")
}

/// What a person who has just started the demo may want to type next.
pub(crate) fn what_to_try(addresses: &Addresses) -> String {
    let web = addresses.listeners.first().and_then(|(_, all)| all.first()).map(String::as_str).unwrap_or_default();
    let admin = addresses.admin.as_deref().unwrap_or_default();
    format!(
        "
Plimsoll is balancing over three origins: {names}.

  curl http://{web}/                     three times: each answers in turn
  curl -i http://{web}/sticky            sets a cookie; send it back and stay
  curl http://{admin}/v1/status          how the proxy is
  curl http://{admin}/v1/clusters        endpoints with health and live counters
  curl -X PATCH http://{admin}/v1/clusters/colours/endpoints/red -H 'content-type: application/json' -d '{{\"drain\":true}}'
  curl http://{admin}/v1/plugins         every decision is made by one of these
  curl http://{admin}/metrics            for Prometheus

Replace the balancing algorithm in flight, from a checkout:

  plimsoll plugin build examples/plugins/tenant-pin -o tenant-pin.wasm
  curl -X PUT --data-binary @tenant-pin.wasm http://{admin}/v1/plugins/round-robin
  curl -X POST http://{admin}/v1/plugins/round-robin/rollback

Ctrl-C ends it.",
        names = NAMES.join(", ")
    )
}
