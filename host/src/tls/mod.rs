//! TLS towards clients: certificates and what they say of themselves, which of them a client gets, the tickets by which
//! sessions go on, and how a connection becomes one that is encrypted.

mod certificate;
mod certificates;
mod server;
mod tickets;

pub use certificate::Certificate;
pub use certificates::Certificates;
pub use server::ServerTls;
pub use tickets::Tickets;
