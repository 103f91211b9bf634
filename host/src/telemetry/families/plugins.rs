//! Of plugins, whatever they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::Scrape;
use super::exposition::Exposition;
use crate::telemetry::histogram::{CALL, HistogramTotal};
use crate::telemetry::label::{FallbackReason, OutwardResult, ShadowEnd, ShadowResult, TrapKind};
use crate::telemetry::shard::PluginShard;
use crate::telemetry::shards::PluginKey;

impl Scrape {
    pub(super) fn plugins(&self, out: &mut Exposition<'_>) -> fmt::Result {
        // By plugin and role, with the shards of all workers and the control plane.
        let mut roles: Vec<(&str, &'static str, Vec<&PluginShard>)> = Vec::new();
        for (plugin, shards) in &self.shards.plugins {
            for (&(role, _), shard) in shards as &BTreeMap<PluginKey, Arc<PluginShard>> {
                match roles.last_mut() {
                    Some((last_plugin, last_role, found)) if *last_plugin == &**plugin && *last_role == role => {
                        found.push(shard);
                    }
                    _ => roles.push((plugin, role, vec![shard])),
                }
            }
        }
        let sum = |shards: &[&PluginShard], read: &dyn Fn(&PluginShard) -> u64| -> u64 {
            shards.iter().map(|shard| read(shard)).sum()
        };

        let mut family =
            out.counter("plimsoll_plugin_calls_total", "Calls into plugins, those that failed included.")?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &|shard| shard.calls.get());
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }
        let mut family = out.histogram(
            "plimsoll_plugin_call_seconds",
            "Time of calls into plugins. Only some are timed; plimsoll_plugin_calls_total has them all.",
        )?;
        for (plugin, role, shards) in &roles {
            let total = HistogramTotal::of(&CALL, shards.iter().map(|shard| &shard.call_seconds));
            family.histogram([("plugin", plugin), ("role", role)], &total)?;
        }
        let mut family = out.counter("plimsoll_plugin_traps_total", "Calls that a plugin did not survive.")?;
        for (plugin, role, shards) in &roles {
            for kind in TrapKind::ALL {
                let count = sum(shards, &|shard| shard.traps[kind as usize].get());
                family.sample([("plugin", plugin), ("role", role), ("kind", kind.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_plugin_fallbacks_total", "Decisions that the host took in a plugin's stead.")?;
        for (plugin, role, shards) in &roles {
            for reason in FallbackReason::ALL {
                let count = sum(shards, &|shard| shard.fallbacks[reason as usize].get());
                family.sample([("plugin", plugin), ("role", role), ("reason", reason.as_str())], count)?;
            }
        }
        let mut family =
            out.counter("plimsoll_plugin_invalid_answers_total", "Answers of plugins that the host could not use.")?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &|shard| shard.invalid_answers.get());
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }
        let mut family =
            out.counter("plimsoll_plugin_repeats_total", "Decisions answered from memory, without a call.")?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &|shard| shard.repeats.get());
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }

        let mut family = out.counter(
            "plimsoll_plugin_shadow_decisions_total",
            "Decisions of a candidate beside the live version of a plugin, by how they stand to that one's.",
        )?;
        for (plugin, shards) in &self.shards.shadows {
            let roles: BTreeSet<&str> = shards.keys().map(|(role, _)| *role).collect();
            for role in roles {
                let of_role = || shards.iter().filter(|((of, _), _)| *of == role);
                for result in ShadowResult::ALL {
                    let count: u64 = of_role().map(|(_, shard)| shard.decisions[result as usize].get()).sum();
                    family.sample([("plugin", plugin), ("role", role), ("result", result.as_str())], count)?;
                }
            }
        }

        let mut family = out.counter(
            "plimsoll_plugin_shadows_ended_total",
            "Candidates that are no longer beside the live version of a plugin, by why.",
        )?;
        for (plugin, totals) in &*self.plugins {
            for end in ShadowEnd::ALL {
                let count = totals.shadows_ended[end as usize].get();
                family.sample([("plugin", plugin.as_ref()), ("state", end.as_str())], count)?;
            }
        }

        let mut family =
            out.gauge("plimsoll_plugin_quarantined", "1 while the host leaves a plugin alone after repeated faults.")?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.quarantined.get())?;
        }
        let mut family = out.gauge(
            "plimsoll_plugin_policies",
            "Policies that there are now, on all workers and in the control plane, those of groups of endpoints included.",
        )?;
        for (plugin, role, shards) in &roles {
            let count = sum(shards, &PluginShard::policies);
            family.sample([("plugin", plugin), ("role", role)], count)?;
        }
        let mut family = out.gauge(
            "plimsoll_plugin_table_bytes",
            "Memory of the proxy that what policies remember in their tables takes.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.table_bytes.get())?;
        }
        let mut family = out.counter(
            "plimsoll_plugin_table_evictions_total",
            "Entries of tables that gave way to others, since the plugin or the process had no memory left for both.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.table_evicted.get())?;
        }
        let mut family = out.counter(
            "plimsoll_plugin_table_refusals_total",
            "Entries that found no room in a table, since nothing of the same policy could give way.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.table_refused.get())?;
        }
        let mut family = out.counter("plimsoll_plugin_rebuilds_total", "Instances made anew after a fault.")?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.rebuilds.get())?;
        }
        let mut family = out.counter(
            "plimsoll_plugin_messages_dropped_total",
            "Messages of plugins that were not logged, since an instance had more than 100 in a second.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.messages_dropped.get())?;
        }
        let mut family =
            out.counter("plimsoll_plugin_outward_calls_total", "Requests to clusters that were made for a plugin.")?;
        for (plugin, totals) in &*self.plugins {
            for result in OutwardResult::ALL {
                let count = totals.outward_calls[result as usize].get();
                family.sample([("plugin", plugin.as_ref()), ("result", result.as_str())], count)?;
            }
        }
        let mut family = out.counter("plimsoll_plugin_counter_total", "What plugins count themselves.")?;
        for (plugin, totals) in &*self.plugins {
            for (name, count) in totals.own.counters() {
                family.sample([("plugin", plugin), ("name", name)], count)?;
            }
        }
        let mut family = out.gauge("plimsoll_plugin_gauge", "Levels that plugins set themselves.")?;
        for (plugin, totals) in &*self.plugins {
            for (name, value) in totals.own.gauges() {
                family.sample([("plugin", plugin), ("name", name)], value)?;
            }
        }
        let mut family = out.histogram("plimsoll_plugin_histogram", "Values that plugins have observed themselves.")?;
        for (plugin, totals) in &*self.plugins {
            for (name, total) in totals.own.histograms() {
                family.histogram([("plugin", plugin), ("name", name)], &total)?;
            }
        }
        let mut family = out.counter(
            "plimsoll_plugin_adds_refused_total",
            "Changes of numbers that a plugin may not have: a 65th name, one that is empty, too long, unprintable or of another kind, or no value of a histogram.",
        )?;
        for (plugin, totals) in &*self.plugins {
            family.sample([("plugin", plugin)], totals.own.refused())?;
        }
        Ok(())
    }
}
