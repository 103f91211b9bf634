//! TLS that is not for us: clients that ask for certain names are carried on as they came.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use tokio::net::TcpStream;

use super::connection::Connection;
use super::peek::peek;
use crate::config::Passthrough;
use crate::proxy::{self, Cluster, Greeted, Listener, MOST_GREETING, Passed, greeting};
use crate::telemetry::TlsHandshake;

/// For whom a client's greeting is.
pub(super) enum For {
    Us,
    Other(Passed),
    /// It did not come to that, which is counted.
    Nobody,
}

/// Looks at the greeting of a client that is to speak TLS, which stays in the socket.
pub(super) async fn whose(
    context: &proxy::Context,
    listener: &Listener,
    passthrough: &Passthrough,
    stream: &TcpStream,
    connection: &Connection,
) -> For {
    let mut room = vec![0; MOST_GREETING];
    let looking = peek(stream, &mut room, |seen| {
        // As much as is looked at has no greeting in it.
        greeting(seen).or_else(|| (seen.len() == MOST_GREETING).then(Greeted::default))
    });
    let mut looking = std::pin::pin!(context.timers.bound(listener.config.timeouts.tls_handshake, looking));
    let found = poll_fn(|task| match looking.as_mut().poll(task) {
        Poll::Ready(found) => Poll::Ready(Some(found)),
        Poll::Pending if connection.poll_draining(task) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let greeted = match found.await {
        Some(Ok(Ok(greeted))) => greeted,
        // What is no greeting, or half of one, fails in our handshake, which tells how.
        Some(Ok(Err(_))) => Greeted::default(),
        Some(Err(_elapsed)) => {
            listener.shard.tls_handshake(TlsHandshake::Timeout);
            return For::Nobody;
        }
        None => return For::Nobody,
    };
    let cluster = greeted.server_name.as_deref().and_then(|name| cluster(listener, passthrough.cluster(name)?));
    let Some(cluster) = cluster else { return For::Us };
    listener.shard.tls_handshake(TlsHandshake::PassedThrough);
    For::Other(Passed { cluster, greeted })
}

fn cluster(listener: &Listener, name: &str) -> Option<Rc<Cluster>> {
    listener.clusters.iter().find(|cluster| &*cluster.name == name).cloned()
}
