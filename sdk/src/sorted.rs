use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::{JsonSchema, Schema, sort_by};

/// A map in a list that is in the order of its keys, for plugins that are to stay small: a `BTreeMap` is 3 to 6 KB of
/// WebAssembly, this some hundred bytes. Collecting many entries is quick, and so is adding greater and greater keys;
/// adding one before others moves all of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Sorted<K, V> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In ascending order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> Sorted<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Takes the place of what was there.
    pub fn insert(&mut self, key: K, value: V) {
        match self.position(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Ok(at) = self.position(key) {
            self.0.remove(at);
        }
    }

    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }
}

/// Of several values for a key the first is kept.
impl<K: Ord, V> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(usize, (K, V))> = entries.into_iter().enumerate().collect();
        sort_by(&mut entries, |(place_of_a, (a, _)), (place_of_b, (b, _))| a.cmp(b).then(place_of_a.cmp(place_of_b)));
        entries.dedup_by(|(_, (a, _)), (_, (b, _))| a == b);
        Self(entries.into_iter().map(|(_, entry)| entry).collect())
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Sorted<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Members<K, V> {
            type Value = Sorted<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut sorted = Sorted::new();
                while let Some((key, value)) = members.next_entry()? {
                    sorted.insert(key, value);
                }
                Ok(sorted)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl<V: JsonSchema> JsonSchema for Sorted<String, V> {
    fn schema() -> Schema {
        <std::collections::BTreeMap<String, V> as JsonSchema>::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_whatever_order_they_came_in() {
        let mut sorted: Sorted<u32, &str> = [(3, "c"), (1, "a")].into_iter().collect();
        sorted.insert(2, "b");
        sorted.insert(3, "C");
        assert_eq!(
            sorted.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>(),
            [(1, "a"), (2, "b"), (3, "C")]
        );
        sorted.remove(&1);
        sorted.retain(|key, _| *key != 2);
        assert_eq!((sorted.get(&1), sorted.get(&2), sorted.get(&3)), (None, None, Some(&"C")));
    }

    #[test]
    fn of_several_for_a_key_the_first_is_kept() {
        let sorted: Sorted<u8, u8> = [(2, 1), (1, 1), (2, 2), (1, 2), (2, 3)].into_iter().collect();
        assert_eq!(sorted, Sorted(vec![(1, 1), (2, 1)]));
    }

    #[test]
    fn it_is_read_as_a_map_of_which_later_members_count() {
        let sorted: Sorted<String, u8> = serde_json::from_str(r#"{"b":1,"a":2,"b":3}"#).unwrap();
        assert_eq!(sorted, Sorted(vec![("a".into(), 2), ("b".into(), 3)]));
    }
}
