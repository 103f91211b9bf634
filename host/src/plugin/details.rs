use std::sync::Arc;

use super::convert::{Attribute, Values};

/// What a balancer needs to see of a request beyond one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub attributes: Arc<[Attribute]>,
    /// A hash of all that its cluster hashes on, and not of the first that a request has.
    pub keys: bool,
}

impl Needs {
    /// What both need.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        let keys = self.keys || other.keys;
        let is_new = |attribute: &&Attribute| !self.attributes.contains(attribute);
        let new: Vec<Attribute> = other.attributes.iter().filter(is_new).cloned().collect();
        let attributes =
            if new.is_empty() { self.attributes } else { self.attributes.iter().cloned().chain(new).collect() };
        Self { attributes, keys }
    }
}

/// What there was to see of a request for those who needed it: looked at once, for all of its attempts.
#[derive(Debug)]
pub struct Details {
    attributes: Arc<[Attribute]>,
    values: Values,
    /// None unless somebody needs them.
    keys: Option<Vec<Option<u64>>>,
}

impl Details {
    pub fn new(attributes: Arc<[Attribute]>, values: Values, keys: Option<Vec<Option<u64>>>) -> Self {
        Self { attributes, values, keys }
    }

    /// The values of these attributes. Another version of a plugin, which is live since the request came, may want some that
    /// nobody has looked at.
    pub(super) fn values(&self, attributes: &Arc<[Attribute]>) -> Values {
        if Arc::ptr_eq(attributes, &self.attributes) {
            return self.values.clone();
        }
        let value = |attribute: &Attribute| {
            let at = self.attributes.iter().position(|known| known == attribute)?;
            self.values.get(at).cloned().flatten()
        };
        attributes.iter().map(value).collect()
    }

    pub(super) fn keys(&self) -> Option<&[Option<u64>]> {
        self.keys.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(names: &[&str]) -> Arc<[Attribute]> {
        names.iter().map(|name| Attribute::Cookie((*name).to_owned())).collect()
    }

    #[test]
    fn what_two_versions_want_is_looked_at_once() {
        let live = Needs { attributes: some(&["a", "b"]), keys: false };
        let both = live.clone().and(Needs { attributes: some(&["b", "c"]), keys: true });
        assert_eq!(both, Needs { attributes: some(&["a", "b", "c"]), keys: true });
        let same = live.clone().and(Needs { attributes: some(&["b"]), keys: false });
        assert!(Arc::ptr_eq(&same.attributes, &live.attributes));
    }

    #[test]
    fn each_version_gets_its_own_and_nothing_for_what_nobody_has_looked_at() {
        let value = |text: &str| Some(text.as_bytes().to_vec());
        let details = Details::new(some(&["a", "b"]), vec![value("1"), None], None);
        assert_eq!(details.values(&some(&["b", "c", "a"])), [None, None, value("1")]);
    }
}
