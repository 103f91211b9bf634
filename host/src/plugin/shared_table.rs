use std::sync::{Arc, OnceLock};

use super::memory::Services;
use super::table::Table;

/// What stands in the place of a role in the name of a table that all roles share.
const ALL_ROLES: &str = "shared";

/// The table of a plugin for one listener or cluster, whatever the role: made when a policy asks for it first, since most
/// never do.
#[derive(Clone, Debug)]
pub(super) struct SharedTable {
    plugin: Arc<str>,
    scope: Arc<str>,
    limit_bytes: usize,
    table: Arc<OnceLock<Arc<Table>>>,
}

impl SharedTable {
    /// That of a policy of this scope, which is a part of a cluster for policies of groups.
    pub(super) fn of(plugin: Arc<str>, scope: &str, limit_bytes: usize) -> Self {
        let whole = scope.split('/').next().unwrap_or(scope);
        Self { plugin, scope: whole.into(), limit_bytes, table: Arc::default() }
    }

    pub(super) fn get(&self, services: &Services) -> Arc<Table> {
        let make = || services.table(&self.plugin, ALL_ROLES, &self.scope, self.limit_bytes);
        self.table.get_or_init(make).clone()
    }
}
