use plimsoll_sdk::prelude::*;

use crate::fault::{At, Faults};

const NO_SLOT: u32 = 4_000_000;

pub(crate) struct Faulty {
    faults: Faults,
}

impl Affinity for Faulty {
    type Config = Faults;

    fn new(faults: Faults) -> Result<Self, ConfigErrors> {
        Ok(Self { faults: faults.created()? })
    }

    fn attributes(&self) -> Vec<Attribute> {
        Vec::new()
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        self.faults.strike_at(endpoints);
    }

    fn find(&mut self, _: &Request<'_>, _: &Endpoints) -> Binding {
        if self.faults.strike(At::Decide) { Binding::Bound(NO_SLOT) } else { Binding::Unbound }
    }

    fn rewrites_requests(&self) -> bool {
        self.faults.concerns(At::Edit)
    }

    fn prepare(&mut self, _: &Request<'_>) -> Vec<HeaderEdit> {
        if self.faults.strike(At::Edit) { breaking("x-prepared", "1") } else { Vec::new() }
    }

    fn bind(&mut self, _: &Request<'_>, answer: &Answer<'_>, _: &Endpoints) -> Vec<HeaderEdit> {
        let slot = answer.slot.to_string();
        if self.faults.strike(At::Edit) {
            breaking("x-bound", &slot)
        } else {
            vec![HeaderEdit::append("x-bound", slot)]
        }
    }
}

/// What would break the message, and one harmless field.
fn breaking(name: &str, value: &str) -> Vec<HeaderEdit> {
    vec![
        HeaderEdit::set("content-length", "0"),
        HeaderEdit::append("transfer-encoding", "chunked"),
        HeaderEdit::set("host", "evil.test"),
        HeaderEdit::Remove("content-length".into()),
        HeaderEdit::append("x-split", "a\r\nx-smuggled: b"),
        HeaderEdit::append("x split", "a"),
        HeaderEdit::ReplaceCookie(Header { name: "a".into(), value: b"1; b=2".to_vec() }),
        HeaderEdit::append(name, value),
    ]
}
