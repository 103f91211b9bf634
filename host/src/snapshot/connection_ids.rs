use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::endpoint::Endpoint;

/// The longest that an id may be (RFC 9000 section 17.2).
pub(crate) const MOST_ID_BYTES: usize = 20;
/// Of one cluster; others are not known.
const MOST_IDS: usize = 1 << 18;

/// To which endpoint of a cluster each connection of QUIC goes that is carried there as it is, on all workers: by the ids that
/// endpoints gave them, or the parts of ids that are the endpoints' own. The lock is held for a look into it, when a session
/// begins and when an endpoint has told an id.
#[derive(Debug, Default)]
pub struct ConnectionIds(Mutex<Known>);

#[derive(Debug)]
struct Known {
    homes: HashMap<Box<[u8]>, Home>,
    /// How many there are of each length.
    lengths: [u32; MOST_ID_BYTES + 1],
}

#[derive(Debug)]
struct Home {
    slot: u32,
    id_hash: u64,
    holders: u32,
}

/// An id that leads to an endpoint as long as anybody holds it.
#[derive(Debug)]
pub struct ConnectionId {
    known: Arc<ConnectionIds>,
    bytes: Box<[u8]>,
    slot: u32,
    id_hash: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self { homes: HashMap::new(), lengths: [0; MOST_ID_BYTES + 1] }
    }
}

impl ConnectionIds {
    /// From now on this id leads to the endpoint. None when it leads to another one already, is no id, or there are too many.
    pub(crate) fn learn(self: &Arc<Self>, bytes: &[u8], endpoint: &Endpoint) -> Option<ConnectionId> {
        if bytes.is_empty() || bytes.len() > MOST_ID_BYTES {
            return None;
        }
        let (slot, id_hash) = (endpoint.slot, endpoint.id_hash);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = known.homes.len() >= MOST_IDS;
        match known.homes.get_mut(bytes) {
            Some(home) if (home.slot, home.id_hash) == (slot, id_hash) => home.holders += 1,
            Some(_) => return None,
            None if is_full => return None,
            None => {
                known.homes.insert(bytes.into(), Home { slot, id_hash, holders: 1 });
                known.lengths[bytes.len()] += 1;
            }
        }
        Some(ConnectionId { known: self.clone(), bytes: bytes.into(), slot, id_hash })
    }

    /// The longest of the ids that these bytes begin with: where no length is told, several may be meant.
    pub(crate) fn at_the_beginning_of(self: &Arc<Self>, bytes: &[u8]) -> Option<ConnectionId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = bytes.len().min(MOST_ID_BYTES);
        let mut begun = (1..=longest).rev().filter(|length| known.lengths[*length] > 0).map(|length| &bytes[..length]);
        let found = begun.find(|id| known.homes.contains_key(*id))?;
        let home = known.homes.get_mut(found)?;
        home.holders += 1;
        Some(ConnectionId { known: self.clone(), bytes: found.into(), slot: home.slot, id_hash: home.id_hash })
    }
}

impl ConnectionId {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the endpoint that it leads to is this one.
    pub(crate) fn is_of(&self, endpoint: &Endpoint) -> bool {
        (self.slot, self.id_hash) == (endpoint.slot, endpoint.id_hash)
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }
}

impl Drop for ConnectionId {
    fn drop(&mut self) {
        let mut known = self.known.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(home) = known.homes.get_mut(&self.bytes) else { return };
        home.holders -= 1;
        if home.holders == 0 {
            known.homes.remove(&self.bytes);
            known.lengths[self.bytes.len()] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::test_endpoint;

    #[test]
    fn ids_lead_to_their_endpoints_as_long_as_anybody_holds_them() {
        let ids = Arc::new(ConnectionIds::default());
        let (one, other) = (test_endpoint(0, "one"), test_endpoint(1, "other"));
        let slot = |bytes: &[u8]| ids.at_the_beginning_of(bytes).map(|id| id.slot());
        assert!(ids.learn(b"", &one).is_none() && ids.learn(&[7; 21], &one).is_none());
        let first = ids.learn(b"abcd", &one).expect("it is free");
        let second = ids.learn(b"abcdefgh", &other).expect("it is free");
        assert!(ids.learn(b"abcd", &other).is_none(), "it is taken");
        assert_eq!(
            (slot(b"abcdefg"), slot(b"abcdefghi"), slot(b"abc"), slot(b"xabcd")),
            (Some(0), Some(1), None, None)
        );
        let moved = ids.at_the_beginning_of(b"abcd and more").expect("it is known");
        assert!(moved.is_of(&one) && !moved.is_of(&other) && moved.bytes() == b"abcd");
        drop((first, second));
        assert_eq!((slot(b"abcdefghi"), slot(b"abcd")), (Some(0), Some(0)));
        drop(moved);
        let known = ids.0.lock().expect("nobody has panicked");
        assert!(known.homes.is_empty() && known.lengths == [0; MOST_ID_BYTES + 1]);
    }

    #[test]
    fn there_are_no_more_ids_than_may_be() {
        let ids = Arc::new(ConnectionIds::default());
        let one = test_endpoint(0, "one");
        let held: Vec<_> = (0..=MOST_IDS as u32).map(|number| ids.learn(&number.to_be_bytes(), &one)).collect();
        assert_eq!(held.iter().flatten().count(), MOST_IDS);
        assert!(ids.learn(&1_u32.to_be_bytes(), &one).is_some(), "those that are known stay so");
        drop(held);
        assert!(ids.learn(&(MOST_IDS as u32).to_be_bytes(), &one).is_some());
    }
}
