use crate::request::texts;
use crate::{Availability, Endpoint};

/// Endpoints of many kinds that come, go and change. What they are like follows from the configuration: its texts are
/// their zones and labels, so that they are what it is about.
#[derive(Clone, Debug)]
pub(super) struct Zoo {
    words: Vec<String>,
    next_slot: u32,
    /// How many may be there in any case.
    least: usize,
    pub(super) endpoints: Vec<Endpoint>,
}

/// Something that happens to the endpoints; positions count modulo their number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Come {
        kind: u64,
    },
    Go {
        at: usize,
    },
    Become {
        at: usize,
        availability: Availability,
    },
    Weigh {
        at: usize,
        weight: u32,
    },
    /// Is told again under the same slot with another zone, level and other labels.
    Move {
        at: usize,
        kind: u64,
    },
}

const WORDS: [&str; 6] = ["a", "b", "version", "1", "2", "a, b"];
/// Few enough that often a whole group has nothing that may be used.
const USUAL: usize = 9;

impl Zoo {
    pub(super) fn of(config: &str) -> Self {
        let mut words: Vec<String> = WORDS.map(str::to_owned).to_vec();
        words.extend(texts(config).into_iter().filter(|text| !text.is_empty() && text.len() < 100));
        Self { words, next_slot: 0, least: 0, endpoints: Vec::new() }
    }

    /// With so many endpoints to begin with.
    pub(super) fn with(mut self, count: u64) -> Self {
        self.least = count as usize;
        (0..count).for_each(|kind| self.take(Change::Come { kind: kind * 0x9e37_79b9 }));
        self
    }

    pub(super) fn take(&mut self, change: Change) {
        let count = self.endpoints.len();
        match change {
            Change::Come { kind } if count < USUAL.max(self.least) => {
                let endpoint = self.endpoint(self.next_slot, kind);
                self.endpoints.push(endpoint);
                self.next_slot += 1;
            }
            Change::Come { .. } => {}
            _ if count == 0 => {}
            Change::Go { at } => drop(self.endpoints.remove(at % count)),
            Change::Become { at, availability } => self.endpoints[at % count].availability = availability,
            Change::Weigh { at, weight } => self.endpoints[at % count].weight = weight,
            Change::Move { at, kind } => {
                let slot = self.endpoints[at % count].slot;
                self.endpoints[at % count] = self.endpoint(slot, kind);
            }
        }
    }

    /// An endpoint of which the zone, the level and the labels follow from a number.
    fn endpoint(&self, slot: u32, kind: u64) -> Endpoint {
        let mut random = fastrand::Rng::with_seed(kind);
        let mut word = || self.words[random.usize(..self.words.len())].clone();
        let (zone, key, other, value) = (word(), word(), word(), word());
        let mut metadata = vec![(key, value)];
        metadata.extend(random.bool().then(|| (other, self.words[random.usize(..self.words.len())].clone())));
        let down = [Availability::Draining, Availability::Unavailable];
        Endpoint {
            weight: if random.u8(..8) == 0 { 0 } else { random.u32(1..5) },
            availability: if random.u8(..4) == 0 { down[random.usize(..2)] } else { Availability::Ready },
            priority: [0, 0, 1, 2, 7][random.usize(..5)],
            zone: if random.u8(..5) == 0 { String::new() } else { zone },
            metadata,
            ..Endpoint::new(slot)
        }
    }
}

pub(super) fn random_change(random: &mut fastrand::Rng) -> Change {
    let at = random.usize(..USUAL);
    match random.u8(..9) {
        0 | 1 => Change::Come { kind: random.u64(..) },
        2 | 3 => Change::Go { at },
        4 | 5 => {
            let states = [Availability::Ready, Availability::Draining, Availability::Unavailable];
            Change::Become { at, availability: states[random.usize(..3)] }
        }
        6 => Change::Move { at, kind: random.u64(..) },
        _ => Change::Weigh { at, weight: [0, 1, 3, 100, 65_535][random.usize(..5)] },
    }
}
