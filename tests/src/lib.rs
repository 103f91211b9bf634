//! Harness of the integration tests. They start the real binary on ports that the system chooses, speak bytes, and wait
//! for conditions, never for a time.

mod authority;
mod client;
mod clients;
mod datagrams;
mod dnsmasq;
mod endpoint;
mod free_address;
mod gate;
mod guests;
mod haproxy;
mod http2;
mod http2_endpoint;
mod namespace;
mod nat;
mod nginx;
mod origin;
mod pebble;
mod process;
mod proxy;
mod refusing;
mod server;

pub use authority::{Authority, Issued};
pub use client::{Connection, Response, curl, get, request};
pub use clients::{Asked, Clients};
pub use datagrams::{DeafSocket, Reply, UdpClient, UdpEndpoint};
pub use dnsmasq::Dnsmasq;
pub use endpoint::{Endpoint, Script, read_request};
pub use free_address::{free_address, free_ports};
pub use gate::Gate;
pub use guests::{example_plugin, guest, guest_path, specimen, wasi_guest_path};
pub use haproxy::haproxy;
pub use http2::{Begun, Http2, Http2Response, Tunnel};
pub use http2_endpoint::{Frame, Http2Endpoint, STATUS_200};
pub use namespace::Namespace;
pub use nat::Nat;
pub use nginx::{Nginx, self_signed};
pub use origin::{Behaviour, Origin};
pub use pebble::Pebble;
pub use process::{Process, node, python};
pub use proxy::{Proxy, Signal};
pub use refusing::Refusing;
pub use server::Server;

use std::time::{Duration, Instant};

/// How long a condition is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` answers something.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
