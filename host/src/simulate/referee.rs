use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use plimsoll_lab as lab;

use super::fleet::endpoint;
use crate::plugin::{CreateError, EvaluatorOnTrial, Instance, Plugin, PolicyConfig, Role, Services, Transition};
use crate::snapshot::EndpointSet;

/// A component as the evaluator of a proxy.
pub(super) struct Referee {
    services: Arc<Services>,
    evaluator: EvaluatorOnTrial,
    wants_outcomes: bool,
    tick_ms: Option<u64>,
    generation: u64,
}

impl Referee {
    pub(super) fn start(plugin: &Arc<Plugin>, config: &str, seed: u64) -> Result<Self, CreateError> {
        let services = Arc::new(Services::for_trial(seed));
        let mut instance = Instance::start(plugin.clone(), services.clone(), u32::MAX).map_err(CreateError::Failed)?;
        let config = PolicyConfig {
            role: Role::Health,
            scope: "simulation".into(),
            config: config.into(),
            pointer: String::new(),
            known_clusters: Arc::default(),
            of_connections: false,
        };
        let policy = instance.add_policy(config, Arc::default())?;
        let evaluator = EvaluatorOnTrial::new(Rc::new(RefCell::new(instance)), policy);
        let plan = evaluator.plan();
        let tick = plan.and_then(|plan| plan.tick);
        Ok(Self {
            services,
            evaluator,
            wants_outcomes: plan.is_some_and(|plan| plan.outcomes),
            tick_ms: tick.map(|tick| u64::try_from(tick.as_millis()).unwrap_or(u64::MAX)),
            generation: 0,
        })
    }
}

impl lab::Evaluator for Referee {
    fn set_endpoints(&mut self, members: &[lab::Member]) {
        self.generation += 1;
        let endpoints: Vec<_> = members.iter().map(|member| endpoint(member, Arc::default())).collect();
        let set = Arc::new(EndpointSet::new(self.generation, endpoints.iter().cloned().map(Arc::new)));
        // A fault leaves all as it is, here and below.
        let _ = self.evaluator.replace(self.generation, &endpoints, &set);
    }

    fn wants_outcomes(&self) -> bool {
        self.wants_outcomes
    }

    fn outcomes(&mut self, now_ms: u64, batch: &[lab::Outcome]) -> Vec<lab::Opinion> {
        self.services.set_now_ms(now_ms);
        opinions(self.evaluator.outcomes(now_ms, batch))
    }

    fn tick_ms(&self) -> Option<u64> {
        self.tick_ms
    }

    fn tick(&mut self, now_ms: u64) -> Vec<lab::Opinion> {
        self.services.set_now_ms(now_ms);
        opinions(self.evaluator.tick(now_ms))
    }
}

fn opinions(told: Result<Vec<Transition>, String>) -> Vec<lab::Opinion> {
    let opinion = |transition: Transition| lab::Opinion { slot: transition.slot, is_healthy: transition.is_healthy() };
    told.unwrap_or_default().into_iter().map(opinion).collect()
}
