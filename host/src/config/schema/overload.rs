use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::quantity::SizeOrOff;

/// What happens before the process has used up what it may have, so that it goes on with what it has begun. Connections that are
/// refused get 503 where HTTP is spoken in the clear, and count as `overload`; requests get 503 with `Retry-After` and the flag
/// `OM`. The admin API answers on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Overload {
    /// Connections of clients at the same time, over all listeners; the next one is refused. Default: what the listeners
    /// allow.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::config) max_connections: Option<u32>,
    /// Resident memory from which on connections are refused and requests answered with 503, until it is a twentieth less; at
    /// least 16MiB, or `off`. Default: nine tenths of what the control group or the machine has.
    pub(in crate::config) max_memory: Option<SizeOrOff>,
    /// Share of the file descriptors that the process may have (RLIMIT_NOFILE, which it raises to its hard limit) from which
    /// on connections are refused, so that those that are open can be served. Default: 90.
    #[schemars(range(min = 1, max = 100))]
    pub(in crate::config) max_open_files_percent: Option<u32>,
}
