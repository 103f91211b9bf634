use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::either::Either;

use super::api;
use super::auth::Token;
use super::origin::Hosts;
use super::patient::Patient;
use super::peer::Peer;
use crate::config;
use crate::control::Control;
use crate::telemetry::{AdminRefusal, Registry};

/// Connections that may be open at once; one more is told so and closed.
const CONNECTIONS: usize = 128;
/// For the head of a request, and between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// After so long a connection ends with the request that is under way.
const CONNECTION: Duration = Duration::from_secs(600);
/// And how long that request may still take.
const LAST_REQUEST: Duration = Duration::from_secs(300);
/// After accepting failed, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The running admin API; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    address: String,
    serving: tokio::task::JoinHandle<()>,
    socket: Option<PathBuf>,
}

impl Admin {
    /// `ip:port`, or `unix:` and a path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.serving.abort();
        if let Some(path) = &self.socket {
            // Someone may have removed it already.
            let _ = fs::remove_file(path);
        }
    }
}

/// Starts the admin API where the configuration wants it.
pub(crate) async fn start(config: &config::Admin, control: Arc<Control>) -> anyhow::Result<Admin> {
    let registry = control.registry().clone();
    let token = Token::of(config.token.as_deref(), registry.clone());
    // The file of a Unix socket lets nobody in but its owner, and no page can reach it.
    let is_open_to_pages = config.token.is_none() && matches!(config.bind, config::AdminBind::Tcp(_));
    let (listener, address, socket) = match &config.bind {
        config::AdminBind::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("the admin API cannot listen on {address}"))?;
            let address = listener.local_addr()?;
            (Listener::Tcp(listener), address.to_string(), None)
        }
        config::AdminBind::Unix(path) => {
            let listener =
                listen_unix(path).with_context(|| format!("the admin API cannot listen on unix:{}", path.display()))?;
            (Listener::Unix(listener), format!("unix:{}", path.display()), Some(path.clone()))
        }
    };
    let hosts = is_open_to_pages.then(|| Hosts::of(&config.hosts, registry.clone()));
    let app = api::router(control, token, hosts);
    let serving = tokio::spawn(serve(listener, app, registry));
    Ok(Admin { address, serving, socket })
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is written in one piece; nothing comes of waiting for more.
                stream.set_nodelay(true)?;
                Ok((Either::Left(stream), Peer(Some(peer))))
            }
            Self::Unix(listener) => Ok((Either::Right(listener.accept().await?.0), Peer(None))),
        }
    }
}

async fn serve(listener: Listener, app: Router, registry: Arc<Registry>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the admin API cannot accept: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            registry.admin_refused(AdminRefusal::Connections);
            tokio::spawn(refuse(stream));
            continue;
        };
        let (app, registry) = (app.clone(), registry.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = converse(stream, peer, app).await
                && error.is_timeout()
            {
                registry.admin_refused(AdminRefusal::Slow);
            }
        });
    }
}

/// One connection, from its first request to its last.
async fn converse(stream: Stream, peer: Peer, app: Router) -> Result<(), hyper::Error> {
    let routes = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = tokio::time::sleep(CONNECTION) => connection.as_mut().graceful_shutdown(),
    }
    // Whoever has not taken the answer by then does not want it.
    tokio::time::timeout(LAST_REQUEST, connection).await.unwrap_or(Ok(()))
}

async fn refuse(mut stream: Stream) {
    const BODY: &str = r#"{"code":"busy","message":"as many connections are open as there may be"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    // Whether it arrives is the client's affair.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(answer.as_bytes())).await;
}

/// The file's permissions are the access control of a Unix socket: owner only.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
