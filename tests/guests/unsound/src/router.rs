//! Routes by the first segment of the path.

use std::cell::Cell;

use plimsoll_sdk::prelude::*;

use crate::{Config, Property};

pub(crate) struct Unsound {
    breaks: Option<Property>,
    seen: Vec<Vec<u8>>,
}

thread_local! {
    static TURN_OF_ALL: Cell<u32> = const { Cell::new(0) };
}

impl Router for Unsound {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { breaks: config.breaks, seen: Vec::new() })
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![Attribute::Path]
    }

    fn clusters(&self) -> Vec<String> {
        vec!["a".into(), "others".into()]
    }

    fn route(&mut self, request: &Request<'_>) -> Decision {
        let path = request.path().unwrap_or_default();
        let is_a = path.starts_with(b"/a");
        let mut cluster = u32::from(!is_a);
        let mut repeatable = true;
        match self.breaks {
            Some(Property::R1) => assert!(!path.contains(&0), "no path has a NUL"),
            Some(Property::R5) if host::now_ms() > 1000 => cluster = 1,
            Some(Property::R8) if is_a => cluster = 2,
            Some(Property::R9) => repeatable = has_period(path),
            Some(Property::R12) => {
                repeatable = false;
                TURN_OF_ALL.set(TURN_OF_ALL.get() + 1);
                cluster = TURN_OF_ALL.get() % 2;
            }
            Some(Property::R13) => self.seen.push(vec![path.len() as u8; 512]),
            _ => {}
        }
        Decision { action: Action::Forward(cluster), route: None, repeatable }
    }
}

/// Always true, and slowly so.
fn has_period(path: &[u8]) -> bool {
    let alike = (0..path.len()).map(|at| path[at..].iter().zip(path).filter(|(a, b)| a == b).count());
    std::hint::black_box(alike.sum::<usize>()) < usize::MAX
}
