//! Plain facts that cross between threads: endpoints and their counters, sets of them, outcomes of attempts. Pure: no
//! sockets, no engine, no clock.

mod adaptive_limit;
mod connection_ids;
mod detour;
mod endpoint;
mod endpoint_set;
mod load;
mod overload;
mod under_way;
mod waiting;
mod wishes;

pub use connection_ids::{ConnectionId, ConnectionIds};
pub use detour::{Detour, DetourState};
pub use endpoint::{Endpoint, EndpointCounters, Trouble};
pub use endpoint_set::{Change, EndpointSet, SlotMap};
pub use load::{Named, Reported};
pub use overload::Overload;
pub use plimsoll_model::{Availability, LoadReport, Outcome, OutcomeClass};
pub use under_way::{AttemptBound, Retrying, UnderWay};
pub use waiting::Waiting;
pub use wishes::{Mode, Wishes};

#[cfg(test)]
pub(crate) use endpoint_set::tests::endpoint as test_endpoint;
