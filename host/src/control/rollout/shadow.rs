use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::build::Builder;
use super::placement::New;
use super::prepare::sets;
use crate::control::mistake::Mistake;
use crate::control::state::Control;
use crate::plugin::{Differences, Instance, Plugin, Recorded, SHADOWED, Services};
use crate::worker::{BeginShadow, Command, InstanceNumber};

/// Instances of a candidate, made for those of the live version that it is to stand beside.
pub(in crate::control) struct Candidates {
    /// The live ones, on every worker.
    pub(in crate::control) beside: BTreeSet<InstanceNumber>,
    workers: Vec<Vec<(InstanceNumber, Instance)>>,
}

impl Control {
    /// Makes instances of a candidate of the plugin `name`, beside all that there are now but for those `known`.
    pub(in crate::control) fn make_candidates(
        &self,
        name: &str,
        candidate: &Arc<Plugin>,
        known: &BTreeSet<InstanceNumber>,
    ) -> Result<Candidates, Vec<Mistake>> {
        let (placed, endpoints) = {
            let state = self.lock();
            (state.placed.data.instances(name, &SHADOWED), sets(&state.clusters))
        };
        let beside = placed.keys().copied().collect();
        let new = placed.into_iter().filter(|(number, _)| !known.contains(number));
        let new: Vec<New> = new.map(|(number, policies)| New { number, plugin: candidate.clone(), policies }).collect();
        let builder = Builder { services: &self.services, endpoints: &endpoints };
        let workers = (0..self.workers.len() as u32).map(|worker| builder.instances(&new, worker));
        Ok(Candidates { beside, workers: workers.collect::<Result<_, _>>()? })
    }

    /// Makes instances of the live version that are to be recorded, beside all that there are now. Each has a clock of its own.
    pub(in crate::control) fn make_witnesses(
        &self,
        name: &str,
        witness: &Arc<Plugin>,
    ) -> Result<Candidates, Vec<Mistake>> {
        let (placed, endpoints) = {
            let state = self.lock();
            (state.placed.data.instances(name, &SHADOWED), sets(&state.clusters))
        };
        let beside = placed.keys().copied().collect();
        let new = placed.into_iter().map(|(number, policies)| New { number, plugin: witness.clone(), policies });
        let new: Vec<New> = new.collect();
        let mut workers = Vec::new();
        for worker in 0..self.workers.len() as u32 {
            let mut made = Vec::new();
            for one in &new {
                let services = Arc::new(Services::for_trial(u64::from(worker) << 32 | one.number));
                services.set_now_ms(Services::trial_now_ms());
                let builder = Builder { services: &services, endpoints: &endpoints };
                made.extend(builder.instances(std::slice::from_ref(one), worker)?);
            }
            workers.push(made);
        }
        Ok(Candidates { beside, workers })
    }

    /// Answers when the candidate decides on all workers.
    pub(in crate::control) async fn send_candidates(&self, made: Candidates, differences: &Arc<Differences>) {
        self.send_beside(made, differences, None).await;
    }

    /// Answers when what happens is recorded on all workers.
    pub(in crate::control) async fn send_witnesses(
        &self,
        made: Candidates,
        mark: &Arc<Differences>,
        recorded: &Arc<Recorded>,
    ) {
        self.send_beside(made, mark, Some(recorded.clone())).await;
    }

    async fn send_beside(&self, made: Candidates, differences: &Arc<Differences>, recorded: Option<Arc<Recorded>>) {
        let mut begun = Vec::new();
        for (worker, instances) in self.workers.iter().zip(made.workers).filter(|(_, made)| !made.is_empty()) {
            let (done, acknowledged) = oneshot::channel();
            let shadow = BeginShadow { instances, differences: differences.clone(), recorded: recorded.clone() };
            // Nobody misses a candidate on a worker that has ended.
            if worker.send(Command::Shadow(Box::new(shadow), done)).await.is_ok() {
                begun.push(acknowledged);
            }
        }
        for acknowledged in begun {
            let _ = acknowledged.await;
        }
    }
}
