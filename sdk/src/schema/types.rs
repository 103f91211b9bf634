//! What the types of the standard library look like.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{JsonSchema, Member, Schema, Value};

const fn inline(members: &'static [Member]) -> Schema {
    Schema::inline(Value::Object(members))
}

macro_rules! described {
    ($($type:ty: $kind:literal $(, $key:literal: $value:expr)*;)*) => { $(
        impl JsonSchema for $type {
            fn schema() -> Schema {
                const { inline(&[("type", Value::Text($kind)), $(($key, $value)),*]) }
            }
        }
    )* };
}

described! {
    (): "null";
    bool: "boolean";
    u8: "integer", "format": Value::Text("uint8"), "minimum": Value::Integer(0), "maximum": Value::Integer(0xff);
    u16: "integer", "format": Value::Text("uint16"), "minimum": Value::Integer(0), "maximum": Value::Integer(0xffff);
    u32: "integer", "format": Value::Text("uint32"), "minimum": Value::Integer(0);
    u64: "integer", "format": Value::Text("uint64"), "minimum": Value::Integer(0);
    usize: "integer", "format": Value::Text("uint"), "minimum": Value::Integer(0);
    i8: "integer", "format": Value::Text("int8"), "minimum": Value::Integer(-0x80), "maximum": Value::Integer(0x7f);
    i16: "integer", "format": Value::Text("int16"), "minimum": Value::Integer(-0x8000), "maximum": Value::Integer(0x7fff);
    i32: "integer", "format": Value::Text("int32");
    i64: "integer", "format": Value::Text("int64");
    isize: "integer", "format": Value::Text("int");
    f32: "number", "format": Value::Text("float");
    f64: "number", "format": Value::Text("double");
    char: "string", "minLength": Value::Integer(1), "maxLength": Value::Integer(1);
    String: "string";
    std::net::IpAddr: "string", "format": Value::Text("ip");
    std::net::Ipv4Addr: "string", "format": Value::Text("ipv4");
    std::net::Ipv6Addr: "string", "format": Value::Text("ipv6");
    std::net::SocketAddr: "string";
}

impl<T: JsonSchema> JsonSchema for Box<T> {
    const OPTIONAL: bool = T::OPTIONAL;

    fn schema() -> Schema {
        T::schema()
    }
}

impl<T: JsonSchema> JsonSchema for Option<T> {
    const OPTIONAL: bool = true;

    fn schema() -> Schema {
        let schema = T::schema();
        match (schema.definition, schema.body) {
            (None, Value::Object(members)) if members.iter().any(|(key, _)| *key == "type") => {
                Schema { nullable: true, ..schema }
            }
            _ => {
                let either = const {
                    let null = Value::Object(&[("type", Value::Text("null"))]);
                    Value::Object(&[("anyOf", Value::List(&[Value::Of(T::schema, &[]), null]))])
                };
                Schema::inline(either)
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for Vec<T> {
    fn schema() -> Schema {
        inline(const { &[("type", Value::Text("array")), ("items", Value::Of(T::schema, &[]))] })
    }
}

impl<T: JsonSchema, const N: usize> JsonSchema for [T; N] {
    fn schema() -> Schema {
        inline(
            const {
                &[
                    ("type", Value::Text("array")),
                    ("items", Value::Of(T::schema, &[])),
                    ("minItems", Value::Integer(N as i64)),
                    ("maxItems", Value::Integer(N as i64)),
                ]
            },
        )
    }
}

macro_rules! sets {
    ($($set:ident)*) => { $(
        impl<T: JsonSchema> JsonSchema for $set<T> {
            fn schema() -> Schema {
                inline(const { &[
                    ("type", Value::Text("array")),
                    ("uniqueItems", Value::Json("true")),
                    ("items", Value::Of(T::schema, &[])),
                ] })
            }
        }
    )* };
}

sets! { BTreeSet HashSet }

macro_rules! maps {
    ($($map:ident)*) => { $(
        impl<V: JsonSchema> JsonSchema for $map<String, V> {
            fn schema() -> Schema {
                inline(const { &[
                    ("type", Value::Text("object")),
                    ("additionalProperties", Value::Of(V::schema, &[])),
                ] })
            }
        }
    )* };
}

maps! { BTreeMap HashMap }

macro_rules! tuples {
    ($($length:literal: $($part:ident)+;)*) => { $(
        impl<$($part: JsonSchema),+> JsonSchema for ($($part,)+) {
            fn schema() -> Schema {
                inline(const { &[
                    ("type", Value::Text("array")),
                    ("prefixItems", Value::List(&[$(Value::Of($part::schema, &[])),+])),
                    ("minItems", Value::Integer($length)),
                    ("maxItems", Value::Integer($length)),
                ] })
            }
        }
    )* };
}

tuples! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
}
