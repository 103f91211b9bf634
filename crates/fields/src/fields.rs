use std::ops::Index;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a head, or trailers, in the order in which they are sent. A name may stand there more than once.
///
/// A message has a dozen of fields: looking through all of them takes less than hashing a name, and adding one takes nothing. That it
/// stays so is up to whoever reads them, which bounds their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Pair>);

type Pair = (HeaderName, HeaderValue);

/// How a field is asked for: by its name, or by the text of it in lower case.
pub trait FieldName {
    fn is(&self, name: &HeaderName) -> bool;
}

impl FieldName for HeaderName {
    #[inline]
    fn is(&self, name: &HeaderName) -> bool {
        self == name
    }
}

impl FieldName for &HeaderName {
    #[inline]
    fn is(&self, name: &HeaderName) -> bool {
        *self == name
    }
}

impl FieldName for &str {
    fn is(&self, name: &HeaderName) -> bool {
        name.as_str() == *self
    }
}

impl Fields {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With room for so many.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, count: usize) {
        self.0.reserve(count);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, name: impl FieldName) -> bool {
        self.position(&name).is_some()
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: impl FieldName) -> Option<&HeaderValue> {
        self.position(&name).map(|at| &self.0[at].1)
    }

    /// The values of all fields of this name.
    pub fn get_all(&self, name: impl FieldName) -> impl DoubleEndedIterator<Item = &HeaderValue> {
        self.0.iter().filter(move |(own, _)| name.is(own)).map(|(_, value)| value)
    }

    /// Puts a field in the place of all of its name, where the first of them stood, or at the end.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        match self.position(&name) {
            Some(at) => {
                self.0[at].1 = value;
                self.remove_from(at + 1, &name);
            }
            None => self.append(name, value),
        }
    }

    /// Adds a field, whether others have its name or not.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// Takes all fields of this name away. Answers the value of the first.
    pub fn remove(&mut self, name: impl FieldName) -> Option<HeaderValue> {
        let at = self.position(&name)?;
        let (_, value) = self.0.remove(at);
        self.remove_from(at, &name);
        Some(value)
    }

    /// Takes all fields away for which this is false.
    pub fn retain(&mut self, mut stays: impl FnMut(&HeaderName, &HeaderValue) -> bool) {
        self.0.retain(|(name, value)| stays(name, value));
    }

    /// The name of each field.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    pub fn iter(&self) -> <&Self as IntoIterator>::IntoIter {
        self.into_iter()
    }

    fn position(&self, name: &impl FieldName) -> Option<usize> {
        self.0.iter().position(|(own, _)| name.is(own))
    }

    fn remove_from(&mut self, from: usize, name: &impl FieldName) {
        if self.0[from..].iter().any(|(own, _)| name.is(own)) {
            let mut at = 0;
            self.0.retain(|(own, _)| {
                at += 1;
                at <= from || !name.is(own)
            });
        }
    }
}

/// The value of the first field of this name. Panics where there is none.
impl<N: FieldName> Index<N> for Fields {
    type Output = HeaderValue;

    fn index(&self, name: N) -> &HeaderValue {
        self.get(name).expect("a field of this name")
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a HeaderName, &'a HeaderValue);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, Pair>, fn(&'a Pair) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl IntoIterator for Fields {
    type Item = Pair;
    type IntoIter = std::vec::IntoIter<Pair>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Pair> for Fields {
    fn from_iter<I: IntoIterator<Item = Pair>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl From<HeaderMap> for Fields {
    fn from(map: HeaderMap) -> Self {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl From<Fields> for HeaderMap {
    fn from(fields: Fields) -> Self {
        fields.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HOST};
    use proptest::prelude::*;

    use super::*;

    /// What can be done to fields, by their name's number.
    #[derive(Debug, Clone)]
    enum Change {
        Insert(u8, u8),
        Append(u8, u8),
        Remove(u8),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0..5_u8, any::<u8>()).prop_map(|(name, value)| Change::Insert(name, value)),
            (0..5_u8, any::<u8>()).prop_map(|(name, value)| Change::Append(name, value)),
            (0..5_u8).prop_map(Change::Remove),
        ]
    }

    fn name(number: u8) -> HeaderName {
        [HOST, COOKIE, HeaderName::from_static("x-a"), HeaderName::from_static("x-b"), HeaderName::from_static("x-bb")]
            [usize::from(number)]
        .clone()
    }

    proptest! {
        /// A hash map of the library, which has another order, is asked for each name.
        #[test]
        fn fields_are_what_was_made_of_them(changes in prop::collection::vec(change(), 0..40)) {
            let (mut fields, mut map) = (Fields::new(), HeaderMap::new());
            for change in changes {
                match change {
                    Change::Insert(number, value) => {
                        fields.insert(name(number), u16::from(value).into());
                        map.insert(name(number), u16::from(value).into());
                    }
                    Change::Append(number, value) => {
                        fields.append(name(number), u16::from(value).into());
                        map.append(name(number), u16::from(value).into());
                    }
                    Change::Remove(number) => prop_assert_eq!(fields.remove(name(number)), map.remove(name(number))),
                }
            }
            prop_assert_eq!(fields.len(), map.len());
            for number in 0..5 {
                let name = name(number);
                prop_assert_eq!(fields.get(&name), map.get(&name));
                prop_assert_eq!(fields.contains(name.as_str()), map.contains_key(&name));
                let all: Vec<_> = fields.get_all(&name).collect();
                prop_assert_eq!(all, map.get_all(&name).iter().collect::<Vec<_>>());
            }
            prop_assert_eq!(HeaderMap::from(fields.clone()), map.clone());
            prop_assert_eq!(HeaderMap::from(Fields::from(map.clone())), map);
        }
    }

    #[test]
    fn fields_stay_in_their_order() {
        let text = |fields: &Fields| {
            let text = fields.iter().map(|(name, value)| format!("{name}={}", value.to_str().expect("text")));
            text.collect::<Vec<_>>().join(" ")
        };
        let mut fields = Fields::new();
        for (number, value) in [(2, 1), (0, 2), (2, 3), (1, 4), (2, 5), (1, 6)] {
            fields.append(name(number), u16::from(value as u8).into());
        }
        assert_eq!(text(&fields), "x-a=1 host=2 x-a=3 cookie=4 x-a=5 cookie=6");
        fields.insert(name(2), 7_u16.into());
        assert_eq!(text(&fields), "x-a=7 host=2 cookie=4 cookie=6");
        fields.insert(name(3), 8_u16.into());
        assert_eq!(fields.remove(COOKIE).as_ref().map(HeaderValue::as_bytes), Some(&b"4"[..]));
        assert_eq!(text(&fields), "x-a=7 host=2 x-b=8");
        fields.retain(|name, _| *name != HOST);
        assert_eq!(text(&fields), "x-a=7 x-b=8");
    }
}
