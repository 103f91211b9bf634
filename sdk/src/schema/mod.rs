//! The JSON Schema of a configuration. It is data that the compiler puts into the plugin, and one small function that
//! writes it down when the host asks: a library that builds it at run time would be half of a component.

mod default;
mod types;
mod writer;

pub use default::{Hidden, Show, Shown, WriteJson};
pub(crate) use writer::document;

/// How a configuration is described to operators and their editors: by JSON Schema, draft 2020-12. Derive it:
///
/// ```
/// use plimsoll_sdk::prelude::*;
///
/// /// What to hash on.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields, default)]
/// struct Config {
///     /// Places of the ring for each endpoint.
///     #[schemars(range(min = 1, max = 1000))]
///     places: u32,
/// }
///
/// impl Default for Config {
///     fn default() -> Self {
///         Self { places: 100 }
///     }
/// }
/// ```
///
/// Where that does not do, write it down:
///
/// ```
/// use plimsoll_sdk::{JsonSchema, Schema, json_schema};
///
/// struct Color([u8; 3]);
///
/// impl JsonSchema for Color {
///     fn schema() -> Schema {
///         json_schema!({ "type": "string", "pattern": "^#[0-9a-f]{6}$" })
///     }
/// }
/// ```
pub trait JsonSchema {
    /// Whether a field of the type may be left out by its nature.
    #[doc(hidden)]
    const OPTIONAL: bool = false;

    fn schema() -> Schema;
}

/// A schema that is known when the plugin is compiled.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Where there is none, the schema is written in each place of use.
    definition: Option<Definition>,
    body: Value,
    nullable: bool,
}

/// What a schema is referred to by.
#[derive(Clone, Copy, Debug)]
struct Definition {
    /// The type, with its path: names may be those of several types.
    id: &'static str,
    name: &'static str,
}

/// A piece of a schema.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// JSON as it is.
    Json(&'static str),
    Text(&'static str),
    Integer(i64),
    List(&'static [Self]),
    Object(&'static [Member]),
    /// The schema of a type, with members that are added to it or take the place of its own.
    Of(fn() -> Schema, &'static [Member]),
    /// Members for the schema of the elements of a list.
    Inner(&'static [Member]),
    /// Names of members, each with whether it may be left out.
    Required(&'static [(&'static str, bool)]),
    /// A default that is written at run time, if it can be.
    Default(fn(&mut String)),
}

pub type Member = (&'static str, Value);

impl Schema {
    /// For `json_schema!` and the derive macro.
    #[doc(hidden)]
    pub const fn inline(body: Value) -> Self {
        Self { definition: None, body, nullable: false }
    }

    /// For the derive macro.
    #[doc(hidden)]
    pub const fn named(id: &'static str, name: &'static str, body: Value) -> Self {
        Self { definition: Some(Definition { id, name }), body, nullable: false }
    }
}

#[cfg(test)]
mod tests;
