//! Takes one endpoint after the other, and knows whose turn it is from the version before it.

use plimsoll_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Anything {}

struct Turns {
    picks: u64,
}

impl Balancer for Turns {
    type Config = Anything;

    fn new(_: Anything) -> Result<Self, ConfigErrors> {
        Ok(Self { picks: 0 })
    }

    fn pick(&mut self, request: &Pick<'_>) -> Option<Choice> {
        let ready = request.endpoints.ready();
        let turn = self.picks as usize % ready.len().max(1);
        self.picks += 1;
        ready.iter().nth(turn).map(|e| Choice::slot(e.slot))
    }

    fn save(&self) -> Vec<u8> {
        self.picks.to_le_bytes().to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let picks = state.try_into().map(u64::from_le_bytes);
        self.picks = picks.unwrap_or(self.picks);
        picks.is_ok()
    }
}

plimsoll_sdk::plugin! { balancer: Turns }
