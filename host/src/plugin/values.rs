use super::convert::Values;

/// Values of declared attributes, packed into one buffer that is used again for every request. The packed form is also
/// the key under which a repeatable decision is remembered: equal bytes mean equal values.
#[derive(Debug, Default)]
pub struct AttributeValues {
    /// For each value its length plus one as four bytes, 0 for none, then its bytes.
    packed: Vec<u8>,
}

impl AttributeValues {
    pub fn clear(&mut self) {
        self.packed.clear();
    }

    pub fn push(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.packed.extend_from_slice(&[0; 4]),
            Some(value) => self.push_parts(std::iter::once(value), b""),
        }
    }

    /// Appends one value made of parts with a separator between them.
    pub fn push_parts<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>, separator: &[u8]) {
        let start = self.packed.len();
        self.packed.extend_from_slice(&[0; 4]);
        for (number, part) in parts.enumerate() {
            if number > 0 {
                self.packed.extend_from_slice(separator);
            }
            self.packed.extend_from_slice(part);
        }
        // Heads are bounded far below 4 GiB.
        let length = u32::try_from(self.packed.len() - start - 4).unwrap_or(u32::MAX - 1) + 1;
        self.packed[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.packed
    }

    /// The values one by one.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut rest = &self.packed[..];
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let Some(length) = u32::from_le_bytes(*length).checked_sub(1) else {
                rest = tail;
                return Some(None);
            };
            let (value, tail) = tail.split_at_checked(length as usize)?;
            rest = tail;
            Some(Some(value))
        })
    }

    /// The values as a plugin takes them.
    pub fn to_owned_values(&self) -> Values {
        self.iter().map(|value| value.map(<[u8]>::to_vec)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_as_they_went_in() {
        let mut values = AttributeValues::default();
        values.push(Some(b"GET"));
        values.push(None);
        values.push(Some(b""));
        values.push_parts([&b"a"[..], b"b"].into_iter(), b", ");
        assert_eq!(values.to_owned_values(), [Some(b"GET".to_vec()), None, Some(Vec::new()), Some(b"a, b".to_vec())]);
    }

    #[test]
    fn different_values_never_pack_alike() {
        let pack = |items: &[Option<&[u8]>]| {
            let mut values = AttributeValues::default();
            items.iter().for_each(|item| values.push(*item));
            values.packed
        };
        assert_ne!(pack(&[Some(b"ab"), Some(b"c")]), pack(&[Some(b"a"), Some(b"bc")]));
        assert_ne!(pack(&[None]), pack(&[Some(b"")]));
        assert_ne!(pack(&[Some(b""), None]), pack(&[None, Some(b"")]));
    }
}
