use crate::net::Datagrams;

/// What a client has sent while it waits for an endpoint; the first datagram may be as long as there are.
const WAITING_BYTES: usize = 16 << 10;
/// What is kept of it for another endpoint, until something has come back.
const KEPT_BYTES: usize = 4 << 10;
/// No bytes take room, too.
const MOST_DATAGRAMS: usize = 32;

/// Datagrams, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Held {
    /// Takes what there is room for; answers how many datagrams and bytes that is.
    pub(super) fn wait(&mut self, datagrams: &Datagrams<'_>) -> (u64, u64) {
        let mut taken = (0, 0);
        for datagram in datagrams.iter() {
            let has_room = self.bytes.len() + datagram.len() <= WAITING_BYTES && self.ends.len() < MOST_DATAGRAMS;
            if has_room || self.ends.is_empty() {
                self.push(datagram);
                taken = (taken.0 + 1, taken.1 + datagram.len() as u64);
            }
        }
        taken
    }

    /// Takes what may still be kept.
    pub(super) fn keep(&mut self, datagrams: &Datagrams<'_>) {
        for datagram in datagrams.iter() {
            if self.bytes.len() + datagram.len() <= KEPT_BYTES && self.ends.len() < MOST_DATAGRAMS {
                self.push(datagram);
            }
        }
    }

    /// None when it is more than is kept.
    pub(super) fn kept(self) -> Option<Self> {
        (self.bytes.len() <= KEPT_BYTES).then_some(self)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| self.bytes.get(begin..*end).unwrap_or_default())
    }

    fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;

    fn one(bytes: &[u8]) -> Datagrams<'_> {
        Datagrams::one(SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)), bytes)
    }

    proptest! {
        #[test]
        fn what_is_held_comes_back_in_order_and_is_bounded(sizes in proptest::collection::vec(0..6000_usize, 0..60)) {
            let sent: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
            let (mut waiting, mut kept, mut dropped) = (Held::default(), Held::default(), 0);
            for datagram in &sent {
                dropped += 1 - waiting.wait(&one(datagram)).0;
                kept.keep(&one(datagram));
            }
            prop_assert_eq!(waiting.iter().count() + dropped as usize, sent.len());
            prop_assert_eq!(waiting.iter().next(), sent.first().map(Vec::as_slice), "the first one is always held");
            for held in [&waiting, &kept] {
                let mut all = sent.iter();
                prop_assert!(held.iter().all(|held| all.any(|sent| sent == held)), "in order and unchanged");
                prop_assert!(held.ends.len() <= MOST_DATAGRAMS);
            }
            prop_assert!(waiting.bytes.len() <= WAITING_BYTES && kept.bytes.len() <= KEPT_BYTES);
        }
    }

    #[test]
    fn the_largest_datagram_waits_and_is_not_kept() {
        let largest = vec![7; 65_507];
        let mut held = Held::default();
        assert_eq!((held.wait(&one(&largest)), held.wait(&one(b"x"))), ((1, 65_507), (0, 0)));
        assert_eq!(held.iter().collect::<Vec<_>>(), [&largest]);
        assert!(held.kept().is_none());
    }
}
