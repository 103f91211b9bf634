//! Connections that carry many requests at a time, whatever protocol they are of: a `pool` of them, of which a request leases a
//! place, and what is alike about requests on them.

mod carrier;
mod doubt;
mod exchange;
mod pool;
pub(super) mod request_head;

pub(super) use carrier::{Carrier, Opened, Opener, Places};
pub(super) use doubt::Doubt;
pub(super) use exchange::{Failure, INFORMATIONAL, UploadError, UploadTask};
pub(super) use pool::{Lease, Place, Pool};
