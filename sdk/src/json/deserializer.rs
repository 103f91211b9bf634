use serde::de::value::StringDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::number::{Number, float};
use super::{Error, Reader};

/// What is the same whatever the value is read into: once, and not for each type.
impl<'a> Reader<'a> {
    /// The error for a value of another kind than expected.
    fn unexpected(&mut self, expected: &dyn Expected) -> Error {
        let told = match self.peek() {
            Some(b'"') => self.string().map(|text| Error::invalid_type(Unexpected::Str(&text), expected)),
            Some(b'-' | b'0'..=b'9') => self.number().map(|number| mismatch(number, expected)),
            Some(b't') => self.word("true").map(|()| Error::invalid_type(Unexpected::Bool(true), expected)),
            Some(b'f') => self.word("false").map(|()| Error::invalid_type(Unexpected::Bool(false), expected)),
            Some(b'n') => self.word("null").map(|()| Error::invalid_type(Unexpected::Unit, expected)),
            Some(b'[') => Ok(Error::invalid_type(Unexpected::Seq, expected)),
            Some(b'{') => Ok(Error::invalid_type(Unexpected::Map, expected)),
            _ => Err(Error::new("expected a value")),
        };
        told.unwrap_or_else(|error| error)
    }

    fn number_for(&mut self, expected: &dyn Expected) -> Result<Number<'a>, Error> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn string_for(&mut self, expected: &dyn Expected) -> Result<String, Error> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn bool_for(&mut self, expected: &dyn Expected) -> Result<bool, Error> {
        match self.peek() {
            Some(b't') => self.word("true").map(|()| true),
            Some(b'f') => self.word("false").map(|()| false),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn null_for(&mut self, expected: &dyn Expected) -> Result<(), Error> {
        match self.is_null()? {
            true => Ok(()),
            false => Err(self.unexpected(expected)),
        }
    }

    /// Takes a `null` if that is next.
    fn is_null(&mut self) -> Result<bool, Error> {
        match self.peek() {
            Some(b'n') => self.word("null").map(|()| true),
            _ => Ok(false),
        }
    }

    fn list_for(&mut self, expected: &dyn Expected) -> Result<Elements<'_, 'a>, Error> {
        match self.peek() {
            Some(b'[') => self.open().map(|base| Elements { reader: self, base, next: 0, ended: false }),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn object_for(&mut self, expected: &dyn Expected) -> Result<Members<'_, 'a>, Error> {
        match self.peek() {
            Some(b'{') => self.open().map(|base| Members { reader: self, base, first: true, ended: false }),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn variant_for(&mut self, expected: &dyn Expected) -> Result<Option<usize>, Error> {
        match self.peek() {
            Some(b'"') => Ok(None),
            Some(b'{') => {
                let base = self.open()?;
                match self.peek() {
                    Some(b'"') => Ok(Some(base)),
                    _ => Err(Error::new("expected a member")),
                }
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn end_variant(&mut self, base: usize) -> Result<(), Error> {
        match self.more(base, false, b'}')? {
            false => Ok(()),
            true => Err(Error::new("expected a single member")),
        }
    }
}

impl Reader<'_> {
    fn integer<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.number_for(&visitor)? {
            Number::Unsigned(value) => visitor.visit_u64(value),
            Number::Negative(value) => visitor.visit_i64(value),
            number => Err(mismatch(number, &visitor)),
        }
    }

    fn float<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.number_for(&visitor)? {
            Number::Unsigned(value) => visitor.visit_u64(value),
            Number::Negative(value) => visitor.visit_i64(value),
            Number::Float(text) => match float(text) {
                value if value.is_finite() => visitor.visit_f64(value),
                _ => Err(Error::new("number out of range")),
            },
        }
    }

    fn list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let mut elements = self.list_for(&visitor)?;
        let value = visitor.visit_seq(&mut elements)?;
        elements.end().map(|()| value)
    }

    fn object<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let mut members = self.object_for(&visitor)?;
        let value = visitor.visit_map(&mut members)?;
        members.end().map(|()| value)
    }
}

fn mismatch(number: Number<'_>, expected: &dyn Expected) -> Error {
    match number {
        Number::Unsigned(value) => Error::invalid_type(Unexpected::Unsigned(value), expected),
        Number::Negative(value) => Error::invalid_type(Unexpected::Signed(value), expected),
        Number::Float(text) => {
            let told = format!("floating point `{text}`");
            Error::invalid_type(Unexpected::Other(&told), expected)
        }
    }
}

/// `deserialize_x` by what reads it.
macro_rules! read_with {
    ($($method:ident: $reader:ident),* $(,)?) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$reader(visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    read_with! {
        deserialize_u8: integer,
        deserialize_u16: integer,
        deserialize_u32: integer,
        deserialize_u64: integer,
        deserialize_i8: integer,
        deserialize_i16: integer,
        deserialize_i32: integer,
        deserialize_i64: integer,
        deserialize_f32: float,
        deserialize_f64: float,
        deserialize_char: deserialize_string,
        deserialize_str: deserialize_string,
        deserialize_identifier: deserialize_string,
        deserialize_bytes: deserialize_any,
        deserialize_byte_buf: deserialize_any,
        deserialize_seq: list,
        deserialize_map: object,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'"') => visitor.visit_string(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.float(visitor),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'[') => self.list(visitor),
            Some(b'{') => self.object(visitor),
            _ => self.deserialize_unit(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let string = self.string_for(&visitor)?;
        visitor.visit_string(string)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.bool_for(&visitor)?;
        visitor.visit_bool(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.null_for(&visitor)?;
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.is_null()? {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let base = self.variant_for(&visitor)?;
        let value = visitor.visit_enum(Variant { reader: &mut *self, has_content: base.is_some() })?;
        base.map_or(Ok(()), |base| self.end_variant(base)).map(|()| value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }
}

struct Elements<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Length of the path to the list.
    base: usize,
    next: usize,
    ended: bool,
}

impl Elements<'_, '_> {
    fn more(&mut self) -> Result<bool, Error> {
        let more = self.reader.more(self.base, self.next == 0, b']')?;
        self.ended = !more;
        if more {
            self.reader.step_to_index(self.next);
            self.next += 1;
        }
        Ok(more)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.ended || !self.more()? {
            true => Ok(()),
            false => Err(Error::new("the list has too many elements")),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Elements<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match !self.ended && self.more()? {
            true => seed.deserialize(&mut *self.reader).map(Some),
            false => Ok(None),
        }
    }
}

struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Length of the path to the object.
    base: usize,
    first: bool,
    ended: bool,
}

impl Members<'_, '_> {
    fn more(&mut self) -> Result<bool, Error> {
        let more = self.reader.more(self.base, self.first, b'}')?;
        self.first = false;
        self.ended = !more;
        Ok(more)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.ended || !self.more()? {
            true => Ok(()),
            false => Err(Error::new("the object has too many members")),
        }
    }

    fn key(&mut self) -> Result<Option<String>, Error> {
        if self.ended || !self.more()? {
            return Ok(None);
        }
        let key = self.reader.string()?;
        self.reader.step_to_key(&key);
        Ok(Some(key))
    }
}

impl<'de> MapAccess<'de> for &mut Members<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.key()? {
            Some(key) => seed.deserialize(Key(key)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// The name of a member, which may stand for a number.
struct Key(String);

impl Key {
    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut reader = Reader::new(&self.0);
        match reader.number().and_then(|number| reader.end().map(|()| number)) {
            Ok(Number::Unsigned(value)) => visitor.visit_u64(value),
            Ok(Number::Negative(value)) => visitor.visit_i64(value),
            _ => Err(Error::invalid_type(Unexpected::Str(&self.0), &visitor)),
        }
    }
}

impl<'de> Deserializer<'de> for Key {
    type Error = Error;

    read_with! {
        deserialize_u8: integer,
        deserialize_u16: integer,
        deserialize_u32: integer,
        deserialize_u64: integer,
        deserialize_i8: integer,
        deserialize_i16: integer,
        deserialize_i32: integer,
        deserialize_i64: integer,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StringDeserializer<Error> = self.0.into_deserializer();
        visitor.visit_enum(name)
    }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// A variant by its name, or an object whose only member has the name of a variant.
struct Variant<'r, 'a> {
    reader: &'r mut Reader<'a>,
    has_content: bool,
}

impl Variant<'_, '_> {
    fn begin_content(&mut self, name: &str) -> Result<(), Error> {
        if self.has_content {
            self.reader.step_to_key(name);
            self.reader.expect(b':')?;
        }
        Ok(())
    }

    fn content(self, expected: &'static str) -> Result<Self, Error> {
        match self.has_content {
            true => Ok(self),
            false => Err(Error::invalid_type(Unexpected::UnitVariant, &expected)),
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), Error> {
        let name = self.reader.string()?;
        let variant = seed.deserialize(Key(name.clone()))?;
        self.begin_content(&name)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.has_content {
            true => de::Deserialize::deserialize(self.reader),
            false => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.content("newtype variant")?.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content("tuple variant")?.reader.list(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.content("struct variant")?.reader.object(visitor)
    }
}
