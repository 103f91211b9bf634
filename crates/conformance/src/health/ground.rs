use super::policy::Health;
use super::ward::Ward;
use crate::trial::{Trial, Use};
use crate::{CreateFailure, Endpoint, Subject};

/// A plugin with its configuration.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) subject: &'a dyn Subject,
    pub(super) config: &'a str,
}

impl<'a> Ground<'a> {
    pub(super) fn of(trial: &Trial<'a>) -> Self {
        Self { subject: trial.subject, config: Use::config(trial.uses, "health") }
    }

    /// In charge of so many endpoints.
    pub(super) fn ward(&self, endpoints: u32) -> Result<Ward, String> {
        self.ward_of(Endpoint::several(endpoints))
    }

    pub(super) fn ward_of(&self, endpoints: Vec<Endpoint>) -> Result<Ward, String> {
        let health = self.several(1)?.pop().ok_or_else(|| "creating a policy: none was made".to_owned())?;
        Ward::new(health, endpoints)
    }

    pub(super) fn several(&self, count: u32) -> Result<Vec<Box<dyn Health>>, String> {
        let made = self.subject.healths(self.config, count);
        made.map_err(|failure: CreateFailure| format!("creating a policy: {failure}"))
    }
}
