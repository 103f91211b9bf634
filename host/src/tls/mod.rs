//! TLS towards clients, and towards endpoints: certificates and what they say of themselves, which of them a client gets,
//! whose a client shows, what answers the challenges by which certificates are ordered, the tickets by which sessions go on,
//! the roots that are trusted, and how a connection becomes one that is encrypted.

mod certificate;
mod certificates;
mod challenges;
mod handshake;
mod identity;
mod quic;
mod revoked;
mod roots;
mod server;
mod tickets;
mod upstream;

pub use certificate::Certificate;
pub use certificates::{Certificates, unix_seconds};
pub use challenges::{Challenges, OpenChallenge};
pub use handshake::Handshake;
pub use identity::identity;
pub use quic::NoQuic;
pub use roots::SystemRoots;
pub use server::{QuicTls, ServerTls};
pub use tickets::Tickets;
pub use upstream::{Carries, EndpointTls, UpstreamTls, is_resumed};
