//! The same types, described by this and by schemars.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document;
use crate::{Duration, JsonSchema, NoConfig};

fn described<T: JsonSchema>() -> Value {
    let text = document(T::schema());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn by_schemars<T: schemars::JsonSchema>() -> Value {
    schemars::SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

/// Everything a configuration is made of.
#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only described")]
struct Everything {
    text: String,
    letter: char,
    yes: bool,
    bytes: (u8, i8),
    #[serde(rename = "words-of-two")]
    words: [u16; 2],
    small: i16,
    /// Numbers
    /// of "all" kinds.
    numbers: (u32, i32, u64),
    more_numbers: (i64, f32, f64),
    sizes: Vec<usize>,
    maybe: Option<String>,
    maybe_list: Option<Vec<Option<u8>>>,
    maybe_kind: Option<Kind>,
    maybe_shape: Option<Shape>,
    address: std::net::IpAddr,
    set: BTreeSet<i64>,
    map: BTreeMap<String, Tree>,
    #[serde(default)]
    left_out: Vec<u8>,
    #[serde(default = "seven")]
    seven: u8,
    #[serde(skip)]
    skipped: u8,
    wrapped: Wrapped,
    #[schemars(with = "String")]
    otherwise: std::time::Duration,
    tagged: Tagged,
    adjacent: Adjacent,
    untagged: Untagged,
    plain: Plain,
}

fn seven() -> u8 {
    7
}

/// # A kind
///
/// Without words about each.
#[derive(Deserialize, Serialize, JsonSchema, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "only described")]
enum Kind {
    One,
    TwoWords,
    #[serde(rename = "drei")]
    Three,
    #[serde(skip)]
    Four,
}

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(dead_code, reason = "only described")]
enum Shape {
    Point,
    /// With words.
    Nothing,
    /// A circle.
    Circle(u32),
    Line(u8, u8),
    #[serde(rename_all = "camelCase")]
    Rectangle {
        /// From left to right.
        its_width: u32,
        height: Option<u32>,
    },
}

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[allow(dead_code, reason = "only described")]
struct Tree {
    /// What grows on it.
    children: Vec<Self>,
    root: Option<Box<Everything>>,
}

/// A name that was made before.
#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[allow(dead_code, reason = "only described")]
struct Wrapped(#[schemars(length(min = 1))] String);

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[serde(tag = "type", deny_unknown_fields)]
#[allow(dead_code, reason = "only described")]
enum Tagged {
    /// The first.
    A {
        #[serde(default)]
        a: bool,
    },
    B {
        b: u8,
    },
}

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[serde(tag = "t", content = "c")]
#[allow(dead_code, reason = "only described")]
enum Adjacent {
    Unit,
    /// One.
    New(Kind),
    Named {
        a: u8,
    },
}

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only described")]
enum Untagged {
    /// A number.
    Number(u16),
    Kind(Kind),
    Named {
        a: u8,
    },
    Nothing,
}

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[schemars(inline)]
#[allow(dead_code, reason = "only described")]
struct Plain {
    a: u8,
}

#[test]
fn types_are_described_as_schemars_does() {
    assert_eq!(described::<Everything>(), by_schemars::<Everything>());
    assert_eq!(described::<Tree>(), by_schemars::<Tree>());
    assert_eq!(described::<Kind>(), by_schemars::<Kind>());
    assert_eq!(described::<Shape>(), by_schemars::<Shape>());
    assert_eq!(described::<Wrapped>(), by_schemars::<Wrapped>());
}

const MOST: u32 = 9;

#[derive(Deserialize, JsonSchema, schemars::JsonSchema)]
#[serde(default)]
#[allow(dead_code, reason = "only described")]
struct Limited {
    #[schemars(range(min = 1, max = 1_000_000))]
    count: u32,
    /// Below zero.
    #[schemars(range(min = -3, max = MOST))]
    integer: Option<i32>,
    #[schemars(range(min = 0.5, max = 1.0))]
    ratio: f64,
    #[schemars(length(min = 1, max = 3))]
    text: String,
    #[schemars(length(equal = 2))]
    list: Vec<String>,
    #[schemars(length(max = 4), inner(length(min = 16), regex(pattern = "^[a-z]\\d*$")))]
    inner: Vec<String>,
    #[schemars(regex(pattern = r"^\w+$"))]
    pattern: String,
    #[schemars(title = "a title", description = "not the documentation")]
    described: BTreeMap<String, bool>,
    kind: Kind,
    /// Cannot be shown.
    tree: Option<Tree>,
}

impl Default for Limited {
    fn default() -> Self {
        Self {
            count: 2,
            integer: None,
            ratio: 0.25,
            text: "a \"word\"\n".to_owned(),
            list: vec!["x".to_owned(), "y".to_owned()],
            inner: Vec::new(),
            pattern: "w".to_owned(),
            described: BTreeMap::from([("k".to_owned(), true)]),
            kind: Kind::TwoWords,
            tree: None,
        }
    }
}

#[test]
fn limits_and_defaults_are_described_as_schemars_does() {
    assert_eq!(described::<Limited>(), by_schemars::<Limited>());
}

#[test]
fn defaults_of_the_sdk_are_shown() {
    #[derive(Deserialize, JsonSchema)]
    #[serde(default)]
    #[allow(dead_code, reason = "only described")]
    struct Times {
        wait: Duration,
        ratio: f32,
        scale: f64,
        whole: f64,
        huge: f64,
    }
    impl Default for Times {
        fn default() -> Self {
            Self { wait: Duration::from_secs(90), ratio: 0.5, scale: -1.000_000_001, whole: 3.0, huge: 1e300 }
        }
    }
    let properties = described::<Times>()["properties"].clone();
    let default = |name: &str| properties[name].get("default").cloned();
    assert_eq!(default("wait"), Some(json!("90s")));
    assert_eq!(default("ratio"), Some(json!(0.5)));
    assert_eq!(default("scale"), Some(json!(-1.000_000_001)));
    assert_eq!(default("whole"), Some(json!(3.0)));
    assert_eq!(default("huge"), None);
}

#[test]
fn types_of_one_name_are_told_apart() {
    mod other {
        use super::{Deserialize, JsonSchema};

        #[derive(Deserialize, JsonSchema)]
        #[allow(dead_code, reason = "only described")]
        pub(super) struct Kind {
            other: u8,
        }
    }

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only described")]
    struct Both {
        a: Kind,
        b: other::Kind,
        c: Option<Kind>,
    }

    let schema = described::<Both>();
    assert_eq!(schema["properties"]["a"], json!({ "$ref": "#/$defs/Kind" }));
    assert_eq!(schema["properties"]["b"], json!({ "$ref": "#/$defs/Kind2" }));
    assert_eq!(schema["properties"]["c"]["anyOf"][0], json!({ "$ref": "#/$defs/Kind" }));
    assert_eq!(schema["$defs"]["Kind2"]["required"], json!(["other"]));
    assert_eq!(schema["$defs"].as_object().map(serde_json::Map::len), Some(2));
}

#[test]
fn nothing_to_configure_is_an_object_without_members() {
    let schema = described::<NoConfig>();
    assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
    assert_eq!(schema["title"], "NoConfig");
}
