use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};

use super::api;
use super::auth::Token;
use crate::config;
use crate::control::Control;

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
    let app = api::router(control, Token(config.token.as_deref().map(Arc::from)));
    match &config.bind {
        config::AdminBind::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("the admin API cannot listen on {address}"))?;
            let address = listener.local_addr()?.to_string();
            let serving = tokio::spawn(async move { ended(axum::serve(listener, app).await) });
            Ok(Admin { address, serving, socket: None })
        }
        config::AdminBind::Unix(path) => {
            let listener =
                listen_unix(path).with_context(|| format!("the admin API cannot listen on unix:{}", path.display()))?;
            let serving = tokio::spawn(async move { ended(axum::serve(listener, app).await) });
            Ok(Admin { address: format!("unix:{}", path.display()), serving, socket: Some(path.clone()) })
        }
    }
}

fn ended(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!("the admin API ended: {error}");
    }
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
