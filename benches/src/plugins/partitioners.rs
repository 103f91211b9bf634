//! Which group of endpoints an attempt goes to.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use plimsoll::plugin::{Partitioner, Role};
use serde_json::json;

use super::endpoints::endpoints;
use super::policy::{config, policy};
use super::shelf::Shelf;
use crate::measure::Case;

const PARTITIONERS: [&str; 3] = ["priority", "locality", "subset"];
const COUNT: u32 = 1000;

pub(super) fn cases(shelf: &Shelf) -> Result<Vec<Case>> {
    PARTITIONERS.into_iter().map(|name| choose(shelf, name)).collect()
}

fn choose(shelf: &Shelf, name: &str) -> Result<Case> {
    let set = endpoints(1, "here", COUNT);
    let (instance, policy) = policy(shelf, name, config(Role::Partitioner, &json!({})), &set)?;
    let partitioner = Partitioner::new(Rc::new(RefCell::new(instance)), policy);
    partitioner.divide(&set)?;
    let values = vec![Some(b"2.1".to_vec()); partitioner.attributes().len()];
    Ok(Case::new(format!("{name}: choose among groups of {COUNT}"), move |_| {
        partitioner.choose(&values, None, 1)?.context("there is a group for every request")
    }))
}
