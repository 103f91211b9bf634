use plimsoll_sdk::{Binding, Endpoints, Sorted};

/// The endpoints by the hash of their id.
#[derive(Clone, Debug, Default)]
pub struct Slots(Sorted<u64, u32>);

impl Slots {
    /// The endpoints are now these.
    pub fn update(&mut self, endpoints: &Endpoints) {
        self.0 = endpoints.iter().map(|e| (e.id_hash, e.slot)).collect();
    }

    /// What a client has that is bound to this endpoint. Draining ones keep their clients.
    pub fn binding(&self, id_hash: u64, endpoints: &Endpoints) -> Binding {
        match self.0.get(&id_hash) {
            Some(slot) if endpoints.keeps_bound(*slot) => Binding::Bound(*slot),
            _ => Binding::Lost,
        }
    }
}
