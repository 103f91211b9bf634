//! Has several roles, and breaks just the property of the conformance suite that its configuration names. As a balancer
//! it takes turns.

mod partitioner;
mod prober;
mod router;

use std::cell::Cell;

use plimsoll_sdk::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Property {
    /// Keeps something of every pick.
    G5,
    /// Takes saved state for its own.
    G8,
    /// Counts on small weights.
    G10,
    /// Has one turn for all its policies.
    G12,
    /// Tries again what has failed.
    B4,
    /// Does not look at the priority.
    B16,
    /// Dies of a NUL in a path.
    R1,
    /// Says that an answer is repeatable that depends on the time.
    R5,
    /// Names a cluster that it has not.
    R8,
    /// Compares a path with each of its own beginnings.
    R9,
    /// Has one turn for all its policies.
    R12,
    /// Keeps something of every request.
    R13,
    /// Judges each piece by itself.
    P1,
    /// Takes a beginning for the whole when the peer has gone.
    P2,
    /// Reserves what a peer announces.
    P6,
    /// Tells its password.
    P8,
    /// Has one buffer for all probes.
    P9,
    /// Says goodbye after its verdict.
    P10,
    /// Keeps probes that are closed.
    P14,
    /// Has a group for each endpoint.
    PT2,
    /// Chooses the first group, whatever is in it.
    PT4,
    /// Divides in the order in which zones came.
    PT5,
    /// Adds up weights in 32 bits.
    PT7,
    /// Goes by the zones of whichever policy was told last.
    PT9,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    breaks: Option<Property>,
    /// What a prober could log in with.
    password: String,
}

struct Unsound {
    breaks: Option<Property>,
    start: usize,
    turn: usize,
    begun: bool,
}

thread_local! {
    static TURN_OF_ALL: Cell<usize> = const { Cell::new(0) };
}

impl Unsound {
    fn breaks(&self, property: Property) -> bool {
        self.breaks == Some(property)
    }
}

impl Balancer for Unsound {
    type Config = Config;

    fn new(config: Config) -> Result<Self, ConfigErrors> {
        Ok(Self { breaks: config.breaks, start: 0, turn: 0, begun: false })
    }

    fn endpoints(&mut self, endpoints: &Endpoints) {
        if self.breaks(Property::G10) {
            assert!(endpoints.iter().all(|e| e.weight < 1 << 20), "nobody configures such weights");
        }
        if !self.begun && !endpoints.is_empty() {
            self.begun = true;
            self.start = host::random_below(1000) as usize;
            self.turn = self.start;
        }
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        if self.breaks(Property::G5) {
            std::mem::forget(std::hint::black_box(vec![0_u8; 512]));
        }
        let usable = |e: &&Endpoint| e.availability == Availability::Ready && e.weight > 0;
        let slots: Vec<u32> = if self.breaks(Property::B16) {
            request.endpoints.iter().filter(usable).map(|e| e.slot).collect()
        } else {
            request.endpoints.ready().iter().map(|e| e.slot).collect()
        };
        if self.breaks(Property::B4) && !request.tried.is_empty() {
            return slots.iter().find(|slot| request.is_tried(**slot)).map(|slot| Choice::slot(*slot));
        }
        let mut left: Vec<u32> = slots.iter().copied().filter(|slot| !request.is_tried(*slot)).collect();
        if left.is_empty() {
            left = slots;
        }
        self.turn += 1;
        let turn = if self.breaks(Property::G12) {
            TURN_OF_ALL.set(TURN_OF_ALL.get() + 1);
            self.start + TURN_OF_ALL.get()
        } else {
            self.turn
        };
        left.get(turn % left.len().max(1)).map(|slot| Choice::slot(*slot))
    }

    fn save(&self) -> Vec<u8> {
        (self.turn as u32).to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        if self.breaks(Property::G8) {
            let turn: [u8; 4] = state.try_into().expect("nobody else saves state");
            self.turn = u32::from_le_bytes(turn) as usize;
        }
        true
    }
}

plimsoll_sdk::plugin! {
    balancer: Unsound,
    router: router::Unsound,
    prober: prober::Unsound,
    partitioner: partitioner::Unsound,
}
