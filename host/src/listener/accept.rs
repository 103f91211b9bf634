use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slab::Slab;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::connection::{Connection, Patience};
use super::http;
use super::session::Session;
use crate::config::{self, Protocol};
use crate::io::Stream;
use crate::proxy::{self, Client, ListenerSlot};
use crate::telemetry::{OpenConnection as CountedConnection, Refusal};

/// Pause after an accept that failed for want of something, such as file descriptors, which others must give back first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one worker, so that they can be asked to end.
#[derive(Debug, Default)]
pub struct OpenConnections {
    connections: RefCell<Slab<Rc<Connection>>>,
}

/// What accepting takes: one socket of one worker.
#[derive(Debug)]
pub struct Acceptor {
    pub context: Rc<proxy::Context>,
    pub slot: Rc<ListenerSlot>,
    pub open: Rc<OpenConnections>,
    /// Connections of this listener on all workers.
    pub count: Arc<AtomicUsize>,
}

impl OpenConnections {
    /// Asks every connection to end after what is under way.
    pub fn drain(&self) {
        for (_, connection) in self.connections.borrow().iter() {
            connection.drain();
        }
    }

    /// Asks those connections to end whose listener has gone.
    pub fn drain_orphans(&self) {
        for (_, connection) in self.connections.borrow().iter() {
            if connection.listener().current().is_none() {
                connection.drain();
            }
        }
    }

    pub fn count(&self) -> usize {
        self.connections.borrow().len()
    }
}

/// Accepts until the socket is dropped with this future.
pub async fn serve(acceptor: Rc<Acceptor>, socket: std::net::TcpListener) -> io::Result<()> {
    let socket = TcpListener::from_std(socket)?;
    loop {
        match socket.accept().await {
            Ok((stream, address)) => acceptor.clone().accepted(stream, address),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(listener) = acceptor.slot.current() {
                    listener.shard.refused(Refusal::Error);
                    tracing::warn!(listener = &*listener.name, "accepting failed: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The client was gone before it was accepted; the next one is not concerned.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

impl Acceptor {
    fn accepted(self: Rc<Self>, stream: TcpStream, address: std::net::SocketAddr) {
        let Some(listener) = self.slot.current() else { return };
        let Some(counted) = OpenConnection::begin(&self, &listener) else {
            listener.shard.refused(Refusal::Limit);
            if listener.config.protocol == Protocol::Http {
                tokio::task::spawn_local(refuse(stream));
            }
            return;
        };
        // A socket that cannot be set up is already broken, and ends at its first read.
        let _ = stream.set_nodelay(true);
        let client = Client::new(address, false);
        tokio::task::spawn_local(async move {
            let connection = counted.connection.clone();
            match listener.config.protocol {
                Protocol::Http => {
                    drop(listener);
                    let (context, slot) = (self.context.clone(), self.slot.clone());
                    if let Some(session) = Session::begin(context, slot, client, connection) {
                        http::serve(session, Stream::Tcp(stream)).await;
                    }
                }
                Protocol::Tcp => proxy::tunnel(self.context.clone(), listener, Rc::new(client), stream).await,
            }
            drop(counted);
        });
    }
}

/// Says that there are too many, without ever waiting for the client.
async fn refuse(mut stream: TcpStream) {
    let text = proxy::refusal(::http::StatusCode::SERVICE_UNAVAILABLE);
    // The answer fits the socket's buffer; a client that has gone needs none.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// One connection in all the counts; taken out when dropped.
struct OpenConnection {
    connection: Rc<Connection>,
    key: usize,
    open: Rc<OpenConnections>,
    count: Arc<AtomicUsize>,
    _counted: CountedConnection,
}

impl OpenConnection {
    /// None when the listener has as many as it may.
    fn begin(acceptor: &Acceptor, listener: &proxy::Listener) -> Option<Self> {
        if acceptor.count.fetch_add(1, Ordering::Relaxed) >= listener.config.limits.connections {
            acceptor.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let connection =
            Connection::new(acceptor.context.timers.timer(), patience(&listener.config), acceptor.slot.clone());
        let key = acceptor.open.connections.borrow_mut().insert(connection.clone());
        Some(Self {
            connection,
            key,
            open: acceptor.open.clone(),
            count: acceptor.count.clone(),
            _counted: listener.shard.connection(),
        })
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.connections.borrow_mut().remove(self.key);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

fn patience(config: &config::Listener) -> Patience {
    Patience {
        head: config.timeouts.client_header,
        keep_alive: config.timeouts.keep_alive,
        write: config.timeouts.body_idle,
    }
}
