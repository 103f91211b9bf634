use plimsoll_sdk::{Binding, Duration, Endpoints, host};

use crate::Slots;

/// Bindings that the host's table keeps: from a session, by whatever it is known, to an endpoint. They outlive the plugin
/// and are shared by all workers, but not with other proxies, and end with the process. The table is bounded: sessions of
/// least recent use give way.
#[derive(Debug)]
pub struct Sessions {
    slots: Slots,
    ttl: Duration,
}

impl Sessions {
    /// Sessions are forgotten `ttl` after their last request.
    pub fn new(ttl: Duration) -> Self {
        Self { slots: Slots::default(), ttl }
    }

    pub fn update(&mut self, endpoints: &Endpoints) {
        self.slots.update(endpoints);
    }

    /// Whom the session is bound to. An empty name is none.
    pub fn find(&self, session: &[u8], endpoints: &Endpoints) -> Binding {
        if session.is_empty() {
            return Binding::Unbound;
        }
        let Some(key) = key(session) else { return Binding::Unbound };
        let Some(value) = host::table::get(&key) else { return Binding::Unbound };
        let Ok(id_hash) = value.as_slice().try_into().map(u64::from_be_bytes) else { return Binding::Lost };
        let binding = self.slots.binding(id_hash, endpoints);
        if matches!(binding, Binding::Bound(_)) {
            host::table::put(&key, &value, self.ttl);
        }
        binding
    }

    /// As [`Self::bind`], for a session that is known; another is none.
    pub fn rebind(&self, session: &[u8], slot: u32, endpoints: &Endpoints) {
        if key(session).and_then(|key| host::table::get(&key)).is_some() {
            self.bind(session, slot, endpoints);
        }
    }

    /// The session belongs to this endpoint from now on.
    pub fn bind(&self, session: &[u8], slot: u32, endpoints: &Endpoints) {
        let Some(endpoint) = endpoints.get(slot) else { return };
        if let Some(key) = key(session).filter(|_| !session.is_empty()) {
            host::table::put(&key, &endpoint.id_hash.to_be_bytes(), self.ttl);
        }
    }
}

/// A longer name is kept as a hash, so that clients cannot fill the table with long ones.
const LONGEST: usize = 64;

/// The first byte tells names from hashes: no name is the hash of another. Without the proxy's secret there are no hashes.
fn key(session: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(1 + LONGEST);
    if session.len() <= LONGEST {
        key.push(0);
        key.extend_from_slice(session);
    } else {
        // What the proxy derives from its secret is an HMAC-SHA256 of the label: nobody finds two names with the same.
        let mut label = String::new();
        session.iter().for_each(|byte| label.push(char::from(*byte)));
        key.push(1);
        key.extend_from_slice(&host::derive_key(&label)?);
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fit_the_table_and_differ() {
        let long = |last: u8| [vec![b'a'; 8192], vec![last]].concat();
        let hashed = key(&long(1)).unwrap();
        assert!(hashed.len() <= 256);
        assert_ne!(Some(&hashed), key(&long(0xff)).as_ref());
        assert_ne!(key(&long(0xfe)), key(&long(0xff)), "names need not be text");
        assert_ne!(key(&hashed[1..]), Some(hashed));
        assert_ne!(key(b"a"), key(b"b"));
    }
}
