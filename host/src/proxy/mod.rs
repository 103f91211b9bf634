//! The story of a request. `request` tells it: route, affinity, pick, attempt, answer. `attempts` tries one endpoint after the other,
//! within a `deadline` if there is one; `early_data` is about those that come before a handshake is over. `generation` is what it sees while
//! it lasts, `effective` makes the request that is meant and `answer` the answer, `headers`
//! and `attributes` read and change heads, `forwarding` says who forwarded, `source` is from
//! whom a request comes, which `hops` reads in what trusted hops say, `affinity` asks whom a
//! client is bound to, `balancing` who chooses endpoints, `grpc` is what is known of gRPC, `grpc_web` makes what browsers speak of it into that, `hash_key` makes the keys of hashing balancers, `load_report`
//! reads what endpoints say of their load, `link` is what a request knows of its connection, `queue` is where requests
//! wait for room at an endpoint, `reply` makes the answers that are our own, `response_body` follows an answer to its end,
//! `tunnel` is the same story for a TCP connection, of which `first_bytes` looks at the beginning (`rdp` knows one kind of
//! it); `upgrade` is a request for another protocol, such as WebSocket; `relay` carries the rest, and `tunnel_record` keeps account. `udp` is the story of a session of UDP.

mod affinity;
mod answer;
mod attempts;
mod attributes;
mod balancing;
mod client;
mod cluster;
mod context;
mod deadline;
mod decision;
mod early_data;
mod effective;
mod exchange;
mod first_bytes;
mod fleet;
mod flow;
mod forwarding;
#[doc(hidden)]
pub mod fuzzing;
mod greeting;
mod grpc;
mod grpc_web;
mod hash_key;
mod headers;
mod hedging;
mod hops;
mod introduction;
mod link;
mod listener;
mod load_report;
mod local_endpoints;
mod picked;
mod queue;
mod random;
mod rdp;
mod relay;
mod reply;
mod request;
mod response;
mod response_body;
mod sent;
mod shown;
mod source;
mod status;
mod token;
mod tunnel;
mod tunnel_record;
mod udp;
mod upgrade;

pub use balancing::{Balancing, Pick, Within};
pub use client::{Announced, Client, Encrypted};
pub use cluster::{Cluster, ClusterParts};
pub use context::{Context, OutcomeBatch};
pub use exchange::Unread;
pub use first_bytes::{MOST_BYTES as MOST_GREETING, greeting};
pub use greeting::Greeted;
pub use link::Link;
pub use listener::{Destination, Listener, ListenerSlot};
pub use reply::refusal;
pub use request::{refuse, serve};
pub use response::Response;
pub use response_body::ResponseBody;
pub use shown::Shown;
pub use tunnel::{Passed, refuse_connection, tunnel};
pub use udp::{Sender, Session as UdpSession, Taken, begins_quic, carry_session};
