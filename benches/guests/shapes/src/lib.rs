//! The guest of `cargo xtask bench shapes`. Policies are kept as the SDK keeps them, so that what differs between two
//! calls is their shape.

use std::cell::{Cell, RefCell};

use bindings::exports::plimsoll::shapes::decide::{Choice, Guest, GuestPolicy, Request};
use bindings::plimsoll::shapes::counters;

#[allow(unreachable_pub, missing_debug_implementations, clippy::use_self, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "shapes" });
    export!(Shapes with_types_in self);
    use super::Shapes;
}

const ENDPOINTS: u64 = 10;
const PREFIX: &[u8] = b"/api/";

/// What a decision reads and writes.
#[derive(Debug, Default)]
struct Policy {
    picks: Cell<u64>,
}

impl Policy {
    /// Candidates for a key.
    fn draw(&self, key: u64) -> (u32, u32) {
        self.picks.set(self.picks.get() + 1);
        ((key % ENDPOINTS) as u32, (key / ENDPOINTS % ENDPOINTS) as u32)
    }

    fn first(&self, key: Option<u64>) -> Option<Choice> {
        let (slot, _) = self.draw(key?);
        Some(Choice { slot, reason: 0 })
    }

    fn lighter(&self, key: Option<u64>, loads: impl FnOnce(u32, u32) -> (u32, u32)) -> Option<Choice> {
        let (first, second) = self.draw(key?);
        let (load_of_first, load_of_second) = loads(first, second);
        Some(Choice { slot: if load_of_second < load_of_first { second } else { first }, reason: 0 })
    }

    fn route(&self, path: &[u8]) -> Option<u32> {
        self.picks.set(self.picks.get() + 1);
        path.starts_with(PREFIX).then_some(0)
    }
}

thread_local! {
    static POLICIES: RefCell<Vec<Option<Policy>>> = const { RefCell::new(Vec::new()) };
}

fn policy<R: Default>(number: u32, call: impl FnOnce(&Policy) -> R) -> R {
    POLICIES.with_borrow(|policies| match policies.get(number as usize) {
        Some(Some(policy)) => call(policy),
        _ => R::default(),
    })
}

struct Shapes;

impl Guest for Shapes {
    type Policy = Policy;

    fn create(number: u32) {
        POLICIES.with_borrow_mut(|policies| {
            policies.resize_with(number as usize + 1, || None);
            policies[number as usize] = Some(Policy::default());
        });
    }

    fn empty() {}

    fn pick_scalars(number: u32, key: u64) -> u32 {
        policy(number, |policy| policy.draw(key).0)
    }

    fn pick_record(number: u32, request: Request) -> Option<Choice> {
        policy(number, |policy| policy.first(Some(request.key)))
    }

    fn pick_option(number: u32, key: Option<u64>) -> Option<Choice> {
        policy(number, |policy| policy.first(key))
    }

    fn pick_with_list(number: u32, key: Option<u64>, loads: Vec<u32>) -> Option<Choice> {
        let load = |slot: u32| loads.get(slot as usize).copied().unwrap_or(0);
        policy(number, |policy| policy.lighter(key, |first, second| (load(first), load(second))))
    }

    fn pick_with_two_imports(number: u32, key: Option<u64>) -> Option<Choice> {
        let loads = |first, second| (counters::in_flight(first), counters::in_flight(second));
        policy(number, |policy| policy.lighter(key, loads))
    }

    fn pick_with_one_import(number: u32, key: Option<u64>) -> Option<Choice> {
        let loads = |first, second| {
            let pair = counters::in_flight_pair(first, second);
            (pair as u32, (pair >> 32) as u32)
        };
        policy(number, |policy| policy.lighter(key, loads))
    }

    fn route_strings(number: u32, _method: String, _authority: String, path: String) -> Option<u32> {
        policy(number, |policy| policy.route(path.as_bytes()))
    }

    fn route_values(number: u32, values: Vec<Option<Vec<u8>>>) -> Option<u32> {
        let path = values.into_iter().nth(2).flatten().unwrap_or_default();
        policy(number, |policy| policy.route(&path))
    }
}

impl GuestPolicy for Policy {
    fn new() -> Self {
        Self::default()
    }

    fn pick_record(&self, request: Request) -> Option<Choice> {
        self.first(Some(request.key))
    }

    fn pick_option(&self, key: Option<u64>) -> Option<Choice> {
        self.first(key)
    }
}
