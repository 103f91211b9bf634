//! Balancers with large tables prepare them here, so that no worker stands still meanwhile: for each change of endpoints an
//! instance of the plugin is made, told the endpoints, and asked for what took long about them. The workers get that
//! together with the endpoints.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::build::CONTROL;
use crate::control::membership::ClusterState;
use crate::control::state::Control;
use crate::plugin::{self, Instance, Plugin, PolicyConfig, Services};
use crate::snapshot::EndpointSet;

/// How long an operator's answer waits for workers to be told.
const PATIENCE: Duration = Duration::from_secs(2);

/// Endpoints of a cluster that its balancer has to prepare for.
struct Unprepared {
    cluster: Arc<str>,
    set: Arc<EndpointSet>,
    /// None when it has just gone; then there is nothing to prepare.
    balancer: Option<(Arc<Plugin>, PolicyConfig)>,
}

/// Prepares for the endpoints of one cluster after the other, for as long as there is a control plane. What changes again
/// meanwhile is prepared for once.
pub(in crate::control) async fn prepare_endpoints(control: Weak<Control>, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        let Some(control) = control.upgrade() else { return };
        while let Some(Unprepared { cluster, set, balancer }) = control.next_unprepared() {
            let services = control.services.clone();
            let preparing = {
                let set = set.clone();
                tokio::task::spawn_blocking(move || prepared(balancer?, &services, set))
            };
            let prepared = preparing.await.ok().flatten();
            control.tell(&cluster, &prepared.map_or(set, Arc::new));
        }
    }
}

fn prepared(
    (plugin, config): (Arc<Plugin>, PolicyConfig),
    services: &Arc<Services>,
    set: Arc<EndpointSet>,
) -> Option<EndpointSet> {
    let instance = Instance::start(plugin, services.clone(), CONTROL).ok()?;
    plugin::prepare(instance, config, set.clone()).map(|prepared| set.with_prepared(prepared))
}

impl Control {
    /// Waits until the workers have been told of a cluster's endpoints of this generation, or of later ones.
    pub async fn workers_told(&self, cluster: &str, generation: u64) {
        let told = async {
            loop {
                let news = self.told.notified();
                let is_told = self.lock().clusters.get(cluster).is_none_or(|cluster| cluster.told >= generation);
                if is_told {
                    return;
                }
                news.await;
            }
        };
        // A plugin that takes longer delays its own endpoints, and nobody's answer.
        let _ = tokio::time::timeout(PATIENCE, told).await;
    }

    fn tell(&self, name: &Arc<str>, set: &Arc<EndpointSet>) {
        self.tell_workers(name, set);
        if let Some(cluster) = self.lock().clusters.get_mut(name) {
            cluster.told = cluster.told.max(set.generation());
        }
        self.told.notify_waiters();
    }

    fn next_unprepared(&self) -> Option<Unprepared> {
        let mut state = self.lock();
        let state = &mut *state;
        let waits = |(name, cluster): (&Arc<str>, &ClusterState)| {
            (cluster.prepares && cluster.prepared < cluster.set.generation()).then(|| name.clone())
        };
        let name = state.clusters.iter().find_map(waits)?;
        let cluster = state.clusters.get_mut(&name)?;
        cluster.prepared = cluster.set.generation();
        let set = cluster.set.clone();
        let policy = state.uses.clusters.iter().find(|uses| uses.name == name).map(|uses| &uses.balancer);
        let balancer = policy.and_then(|policy| {
            let config = state.uses.data.get(&policy.plugin)?.get(policy.position)?;
            Some((state.plugins.get(&policy.plugin)?.live.clone()?, config.clone()))
        });
        Some(Unprepared { cluster: name, set, balancer })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::builtin;
    use crate::plugin::{Balancer, Engine, Grants, Limits, PickRequest, Role, Source};
    use crate::snapshot::{Availability, Endpoint, EndpointCounters};

    fn endpoint(slot: u32) -> Arc<Endpoint> {
        let id = format!("endpoint-{slot}");
        Arc::new(Endpoint {
            slot,
            id_hash: Endpoint::id_hash(&id),
            host: "".into(),
            id: id.into(),
            address: ([10, 0, 0, slot as u8], 80).into(),
            weight: 1,
            ramp: 1000,
            availability: Availability::Ready,
            is_unhealthy: false,
            max_connections: 0,
            priority: 0,
            zone: "".into(),
            metadata: Arc::new([]),
            counters: Arc::new(EndpointCounters::default()),
        })
    }

    fn load(name: &str) -> (Engine, Arc<Services>, Arc<Plugin>) {
        let (_, bytes) = builtin::PLUGINS.iter().find(|(known, _)| *known == name).expect("a built-in plugin");
        let (engine, services) = (Engine::new().expect("an engine"), Arc::new(Services::for_trial(1)));
        let plugin =
            Plugin::load(&engine, &services, None, bytes, Source::BuiltIn, Grants::default(), Limits::default());
        (engine, services, Arc::new(plugin.expect("it loads")))
    }

    fn config(config: &str) -> PolicyConfig {
        PolicyConfig {
            role: Role::Balancer,
            scope: "app".into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: Arc::default(),
            of_connections: false,
        }
    }

    #[test]
    fn a_worker_looks_at_the_table_that_was_prepared_for_it() {
        let (_engine, services, plugin) = load("maglev");
        let before = Arc::new(EndpointSet::new(1, (0..3).map(endpoint)));
        let after = Arc::new(EndpointSet::new(2, (0..4).map(endpoint)));
        let prepared = prepared((plugin.clone(), config("{}")), &services, after.clone()).expect("maglev prepares");
        let mut table = prepared.prepared().expect("a table").to_vec();
        assert_eq!(table.len(), 65_537 + 2);
        // So that it shows whose table it is.
        table[..65_537].fill(3);
        let mut instance = Instance::start(plugin, services, 0).expect("it starts");
        let policy = instance.add_policy(config("{}"), before).expect("a policy");
        instance.set_endpoints(policy, &Arc::new(after.with_prepared(table)));
        let balancer = Balancer::new(Rc::new(RefCell::new(instance)), policy);
        for key in 0..100_u64 {
            let pick = balancer.pick(PickRequest { key: Some(key << 40), tried: &[], details: None });
            assert_eq!(pick.expect("no fault").map(|choice| choice.slot), Some(3));
        }
    }

    #[test]
    fn the_largest_table_can_be_prepared_and_taken_over() {
        let (_engine, services, plugin) = load("maglev");
        let config = config(r#"{"table_size":5000011}"#);
        let before = Arc::new(EndpointSet::new(1, (0..3).map(endpoint)));
        let mut instance = Instance::start(plugin.clone(), services.clone(), 0).expect("it starts");
        let policy = instance.add_policy(config.clone(), before).expect("a policy");
        let instance = Rc::new(RefCell::new(instance));
        for (generation, count) in [(2, 4), (3, 5), (4, 4)] {
            let set = Arc::new(EndpointSet::new(generation, (0..count).map(endpoint)));
            let prepared = prepared((plugin.clone(), config.clone()), &services, set).expect("maglev prepares");
            instance.borrow_mut().set_endpoints(policy, &Arc::new(prepared));
            let balancer = Balancer::new(instance.clone(), policy);
            let mut chosen = vec![false; count as usize];
            for key in 0..1000_u64 {
                let pick = balancer.pick(PickRequest { key: Some(key << 40), tried: &[], details: None });
                chosen[pick.expect("no fault").expect("a choice").slot as usize] = true;
            }
            assert!(chosen.iter().all(|chosen| *chosen), "{chosen:?}");
        }
    }

    #[test]
    fn who_does_not_prepare_is_not_waited_for() {
        let (_engine, services, plugin) = load("random");
        let set = Arc::new(EndpointSet::new(1, (0..3).map(endpoint)));
        assert!(prepared((plugin, config("{}")), &services, set).is_none());
    }
}
