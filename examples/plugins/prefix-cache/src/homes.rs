/// Which endpoint has the beginning of a prompt, by its key: a table of fixed size, in which a key has four places, and takes that of the
/// one of them that was asked for least lately.
#[derive(Debug)]
pub(crate) struct Homes {
    places: Vec<Place>,
    now: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    key: u64,
    id_hash: u64,
    /// When it was asked for last; 0 is nobody's.
    at: u64,
}

const WAYS: usize = 4;

impl Homes {
    pub(crate) fn new(prefixes: usize) -> Self {
        Self { places: vec![Place::default(); prefixes.next_multiple_of(WAYS)], now: 0 }
    }

    pub(crate) fn get(&mut self, key: u64) -> Option<u64> {
        self.ways(key).iter().find(|place| place.at > 0 && place.key == key).map(|place| place.id_hash)
    }

    pub(crate) fn put(&mut self, key: u64, id_hash: u64) {
        self.now += 1;
        let at = self.now;
        let ways = self.ways(key);
        let known = ways.iter().position(|place| place.at > 0 && place.key == key);
        let place = known.or_else(|| (0..ways.len()).min_by_key(|way| ways[*way].at));
        if let Some(place) = place.and_then(|place| ways.get_mut(place)) {
            *place = Place { key, id_hash, at };
        }
    }

    fn ways(&mut self, key: u64) -> &mut [Place] {
        let sets = self.places.len() / WAYS;
        let set = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % sets;
        &mut self.places[set * WAYS..][..WAYS]
    }
}
