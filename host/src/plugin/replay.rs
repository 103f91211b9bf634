//! Plays a recording to a version of a plugin: it is told and asked the same, at the same times, with the same counters and
//! random numbers.

use std::collections::HashMap;
use std::sync::Arc;

use super::component::Plugin;
use super::deadline::Call;
use super::instance::Instance;
use super::memory::Services;
use super::policy::Role;
use super::recording::{Asked, Event, RecordedEndpoints, from_text};
use super::roles::{Request, hear, pick_in_words, route_in_words};
use crate::snapshot::{EndpointSet, Outcome};

/// Why a recording cannot be played on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the plugin could not be started: {0}")]
    Start(String),
    #[error("for `{scope}` there can be no {role}: {why}")]
    Policy { scope: String, role: String, why: String },
    #[error("the recording is damaged: {0}")]
    Damaged(&'static str),
}

/// Plays one recording after the other.
#[derive(Debug)]
pub struct Player {
    plugin: Arc<Plugin>,
    playing: Option<Playing>,
}

/// An instance of the recording.
#[derive(Debug)]
struct Playing {
    instance: Instance,
    services: Arc<Services>,
    /// By the numbers of the recording.
    policies: HashMap<u32, Replayed>,
}

#[derive(Debug)]
struct Replayed {
    /// Its number here.
    number: u32,
    endpoints: Arc<EndpointSet>,
    /// What the recorded version wanted to see.
    attributes: Vec<String>,
}

impl Player {
    pub fn new(plugin: Arc<Plugin>) -> Self {
        Self { plugin, playing: None }
    }

    /// Answers the decision, where one was asked for.
    pub fn play(&mut self, event: &Event) -> Result<Option<String>, ReplayError> {
        if let Event::Instance { worker, seed, at_ms } = event {
            let services = Arc::new(Services::for_trial(*seed));
            services.set_now_ms(*at_ms);
            // What failed in one does not count in another.
            self.plugin.breaker.release();
            let instance =
                Instance::start(self.plugin.clone(), services.clone(), *worker).map_err(ReplayError::Start)?;
            self.playing = Some(Playing { instance, services, policies: HashMap::new() });
            return Ok(None);
        }
        let Some(playing) = &mut self.playing else {
            return Err(ReplayError::Damaged("something happens before there is an instance"));
        };
        playing.play(event)
    }
}

impl Playing {
    fn play(&mut self, event: &Event) -> Result<Option<String>, ReplayError> {
        match event {
            Event::Recording { .. } | Event::Instance { .. } => {}
            Event::Policy { policy, config, endpoints } => {
                let set = Arc::new(endpoints.to_set());
                let Some(made) = config.to_config() else { return Err(ReplayError::Damaged("a role is unknown")) };
                let (scope, role) = (made.scope.to_string(), made.role.to_string());
                let number = self.instance.add_policy(made, set.clone());
                let number = number.map_err(|why| ReplayError::Policy { scope, role, why: why.to_string() })?;
                let attributes = config.attributes.clone();
                self.policies.insert(*policy, Replayed { number, endpoints: set, attributes });
            }
            Event::Part { of, policy, part, endpoints } => {
                let set = Arc::new(endpoints.to_set());
                let (number, attributes) = {
                    let around = self.of(*of)?;
                    (around.number, around.attributes.clone())
                };
                let made = self.instance.add_policy_like(number, part, &set);
                let number = made.map_err(|why| ReplayError::Policy {
                    scope: part.clone(),
                    role: Role::Balancer.to_string(),
                    why: why.to_string(),
                })?;
                self.policies.insert(*policy, Replayed { number, endpoints: set, attributes });
            }
            Event::Restore { role, scope, state } => {
                let state = from_text(state).ok_or(ReplayError::Damaged("a state is not Base64"))?;
                let role = Role::named(role).ok_or(ReplayError::Damaged("a role is unknown"))?;
                self.instance.restore(&[(role, scope.as_str().into(), state)]);
            }
            Event::Endpoints { policy, at_ms, endpoints } => {
                self.services.set_now_ms(*at_ms);
                self.set_endpoints(*policy, endpoints)?;
            }
            Event::Remove { policy } => {
                if let Some(gone) = self.policies.remove(policy) {
                    self.instance.destroy_policy(gone.number);
                }
            }
            Event::Counters { policy, counters } => {
                let replayed = self.of(*policy)?;
                for (slot, numbers) in counters {
                    if let Some(endpoint) = replayed.endpoints.get(*slot) {
                        endpoint.counters.set_numbers(*numbers);
                    }
                }
            }
            Event::Loads { policy, loads } => {
                let replayed = self.of(*policy)?;
                for (slot, load) in loads {
                    if let Some(endpoint) = replayed.endpoints.get(*slot) {
                        load.note(&endpoint.counters);
                    }
                }
            }
            Event::Tick { policy, at_ms } => {
                self.services.set_now_ms(*at_ms);
                let number = self.of(*policy)?.number;
                // A fault shows in what it decides.
                let _ = self.instance.tick_policy(number, Call::off_request_path("tick"));
            }
            Event::Outcomes { policy, at_ms, outcomes } => {
                self.services.set_now_ms(*at_ms);
                let number = self.of(*policy)?.number;
                let outcomes: Vec<Outcome> = outcomes.iter().map(|outcome| outcome.to_outcome()).collect();
                hear(&mut self.instance, number, &outcomes);
            }
            Event::Decision { policy, at_ms, asked, .. } => {
                self.services.set_now_ms(*at_ms);
                return self.decide(*policy, asked).map(Some);
            }
        }
        Ok(None)
    }

    fn set_endpoints(&mut self, policy: u32, endpoints: &RecordedEndpoints) -> Result<(), ReplayError> {
        let set = Arc::new(endpoints.to_set());
        let Some(replayed) = self.policies.get_mut(&policy) else {
            return Err(ReplayError::Damaged("a policy is unknown"));
        };
        replayed.endpoints = set.clone();
        let number = replayed.number;
        self.instance.put_endpoints(number, &set);
        Ok(())
    }

    fn decide(&mut self, policy: u32, asked: &Asked) -> Result<String, ReplayError> {
        let replayed = self.policies.get(&policy).ok_or(ReplayError::Damaged("a policy is unknown"))?;
        let number = replayed.number;
        let (Asked::Route { values } | Asked::Pick { values, .. }) = asked;
        let decode = |value: &Option<String>| value.as_deref().and_then(from_text);
        let known: HashMap<&str, Option<Vec<u8>>> =
            replayed.attributes.iter().map(String::as_str).zip(values.iter().map(decode)).collect();
        // What another version wants to see, and this one did not, was not recorded.
        let value = |name: &str| known.get(name).cloned().flatten();
        Ok(match asked {
            Asked::Pick { key, tried, keys, .. } => {
                let request = Request { key: *key, tried, details: None };
                pick_in_words(&mut self.instance, number, (request, keys.as_deref()), value)
            }
            Asked::Route { .. } => route_in_words(&mut self.instance, number, value),
        })
    }

    fn of(&self, policy: u32) -> Result<&Replayed, ReplayError> {
        self.policies.get(&policy).ok_or(ReplayError::Damaged("a policy is unknown"))
    }
}
