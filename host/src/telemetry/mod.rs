//! What the proxy says about itself: metrics, the access log, and diagnostics through `tracing`.
//!
//! `registry` hands each worker cells that it alone writes (`cell`, `histogram`, `shard`; labels in `label`), and adds
//! them up (`shards`) at a scrape, beside what is looked up then (`sample`); `families` has every metric by name. `access_log` formats one line a request, `tunnel_entry`
//! one a TCP connection; `line_writer` is the thread behind it and behind stderr. Nothing here waits on the request path, but for
//! `connection_traces`, where connections are written down because somebody looks into them; what cannot be kept is counted.
//! What is worth counting is decided elsewhere; this module imports nothing of the host.

mod access_log;
mod cell;
mod client_tls;
mod connection_traces;
mod escape;
mod families;
mod histogram;
mod label;
mod line_writer;
mod log_field;
mod plugin_histogram;
mod plugin_numbers;
mod printable;
mod process;
mod registry;
mod sample;
mod shard;
mod shards;
mod timestamp;
mod trace;
mod tunnel_entry;

#[cfg(test)]
mod exposition_tests;

pub use access_log::{AccessLog, Entry, Format};
pub use cell::{Counter, Gauge, SharedCounter, SharedGauge};
pub use client_tls::{ClientCertificate, ClientTls};
pub use connection_traces::{ConnectionTrace, ConnectionTraces};
pub use families::CONTENT_TYPE;
pub use histogram::Histogram;
pub use label::{
    AcmeOrder, AdminRefusal, AttemptOutcome, BadRequest, Class, ConnectResult, DatagramDrop, Direction, FallbackReason,
    Flag, GrpcStatus, HedgeResult, LoadReportResult, OutwardResult, ProxyHeader, QueueResult, Refusal, ReloadResult,
    RetryReason, SessionEnd, ShadowEnd, ShadowResult, TlsHandshake, TrapKind, TunnelEnd,
};
pub use line_writer::{LineSender, LineWriter, LineWriterError, Output};
pub use printable::{is_unprintable, printable, printable_lines, printable_within};
pub use process::resident_bytes;
pub use registry::Registry;
pub use sample::{CertificateSample, ClusterSample, EndpointSample};
pub use shard::{ClusterShard, ListenerShard, LivePolicy, OpenConnection, PluginShard, ShadowShard, WorkerShard};
pub use timestamp::rfc3339;
pub use trace::{TracingError, TracingGuard, init_tracing};
pub use tunnel_entry::{Carried, TunnelEntry};
