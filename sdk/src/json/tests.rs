//! The same types, read by this and by serde_json.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Reader;

/// Reads the whole text; otherwise the place and the message.
fn read<T: DeserializeOwned>(json: &str) -> Result<T, (String, String)> {
    let mut reader = Reader::new(json);
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| (reader.path().to_owned(), error.to_string()))
}

fn mistake<T: DeserializeOwned>(json: &str) -> (String, String) {
    read::<T>(json).map(|_| ()).unwrap_err()
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everything {
    text: String,
    letter: char,
    yes: bool,
    #[serde(default)]
    numbers: (u8, i64, f64),
    list: Vec<Option<i32>>,
    map: BTreeMap<i16, Kind>,
    tree: Option<Box<Tree>>,
    untagged: Vec<Untagged>,
    tagged: Tagged,
    wrapped: Wrapped,
    nothing: (),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Unit,
    New(u8),
    Pair(u8, u8),
    Named { a: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Tree {
    #[serde(default)]
    children: Vec<Self>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(f64),
    Text(String),
    Tree(Tree),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { a: u8 },
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(String);

const EVERYTHING: &str = r#" {
    "text": "a\u00e9\ud83d\udea2\"\\\/\b\f\n\r\té",
    "letter": "\u20ac",
    "yes": true,
    "numbers": [255, -9223372036854775808, -1.5e3],
    "list": [1, null, -2147483648],
    "map": { "-5": "unit", "6": { "new": 1 }, "7": { "pair": [1, 2] }, "8": { "named": { "a": 3 } }, "9": { "unit": null } },
    "tree": { "children": [{ "other": [{}, [1, "]"], true, false, null, 1e5] }, {}] },
    "untagged": [1, 2.5, "x", { "children": [] }],
    "tagged": { "a": 1, "kind": "A" },
    "wrapped": "w",
    "nothing": null
} "#;

#[test]
fn everything_is_read_as_serde_json_reads_it() {
    assert_eq!(read::<Everything>(EVERYTHING).unwrap(), serde_json::from_str(EVERYTHING).unwrap());
    assert_eq!(read::<Value>(EVERYTHING).unwrap(), serde_json::from_str::<Value>(EVERYTHING).unwrap());
}

/// Fractions may differ in their last bits: reading them to the last one takes tables that are larger than the reader.
fn same(this: &Value, that: &Value) -> bool {
    match (this, that) {
        (Value::Number(this), Value::Number(that)) if this.is_f64() && that.is_f64() => {
            let (this, that) = (this.as_f64().unwrap_or(f64::NAN), that.as_f64().unwrap_or(f64::NAN));
            (this - that).abs() <= 4.0 * f64::EPSILON * that.abs()
        }
        (Value::Array(this), Value::Array(that)) => {
            this.len() == that.len() && this.iter().zip(that).all(|(this, that)| same(this, that))
        }
        (Value::Object(this), Value::Object(that)) => {
            this.len() == that.len()
                && this.iter().all(|(key, this)| that.get(key).is_some_and(|that| same(this, that)))
        }
        _ => this == that,
    }
}

#[test]
fn no_change_of_one_byte_is_read_otherwise() {
    let both = |json: &str| {
        let (this, that) = (read::<Value>(json), serde_json::from_str::<Value>(json));
        match (this, that) {
            (Ok(this), Ok(that)) => assert!(same(&this, &that), "{json}: {this:?} here and {that:?} there"),
            (Err(_), Err(_)) => {}
            (this, that) => panic!("{json}: {this:?} here and {that:?} there"),
        }
    };
    for at in (0..EVERYTHING.len()).filter(|at| EVERYTHING.is_char_boundary(*at)) {
        both(&EVERYTHING[..at]);
        let end = (at + 1..=EVERYTHING.len()).find(|end| EVERYTHING.is_char_boundary(*end)).unwrap_or(at);
        for other in
            ["", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".", "e", "n", "t", " ", "\n", "\x01", "é"]
        {
            both(&format!("{}{other}{}", &EVERYTHING[..at], &EVERYTHING[end..]));
        }
    }
}

#[test]
fn what_is_no_json_is_an_error() {
    for json in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "tru",
        "nul",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "'a'",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "1 2",
        "[]]",
        "{}{}",
        "NaN",
        "1e999",
    ] {
        assert!(read::<Value>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<Value>(json).is_err(), "{json}");
        assert!(read::<Everything>(json).is_err(), "{json}");
    }
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(read::<Value>(&nested(64)).is_ok());
        assert!(read::<serde::de::IgnoredAny>(&nested(64)).is_ok());
        for json in [nested(65), open.repeat(100_000)] {
            assert_eq!(mistake::<Value>(&json).1, "nested too deeply");
            assert_eq!(mistake::<serde::de::IgnoredAny>(&json).1, "nested too deeply");
        }
    }
    let lists = format!("[{}1]", "[],{},".repeat(1000));
    assert!(read::<Value>(&lists).is_ok(), "what is side by side is not deep");
}

#[test]
fn a_value_of_another_kind_is_told_as_the_operator_wrote_it() {
    for (json, told) in [
        ("\"a\\\"b\"", r#"string "a\"b""#),
        ("-1", "integer `-1`"),
        ("1.50", "floating point `1.50`"),
        ("true", "boolean `true`"),
        ("null", "null"),
        ("[]", "sequence"),
        ("{}", "map"),
    ] {
        let place = |wanted: &str| (String::new(), format!("invalid type: {told}, expected {wanted}"));
        if json != "-1" {
            assert_eq!(mistake::<u8>(json), place("u8"));
        }
        if json != "true" {
            assert_eq!(mistake::<bool>(json), place("a boolean"));
        }
        if !json.starts_with('"') {
            assert_eq!(mistake::<String>(json), place("a string"));
        }
        if json != "{}" {
            assert_eq!(mistake::<Tree>(json), place("struct Tree"));
        }
        if json != "[]" {
            assert_eq!(mistake::<Vec<u8>>(json), place("a sequence"));
        }
    }
    assert_eq!(mistake::<u8>("256").1, "invalid value: integer `256`, expected u8");
}

#[test]
fn the_place_of_a_mistake_is_told() {
    #[derive(Debug, Deserialize)]
    struct Places {
        #[serde(rename = "a/b")]
        _slash: Option<BTreeMap<String, Vec<Kind>>>,
    }
    for (json, path, message) in [
        (r#"{"a/b":{"~":[{"named":{}}]}}"#, "/a~1b/~0/0/named", "missing field `a`"),
        (r#"{"a/b":{"x":[],"y":["unit","new"]}}"#, "/a~1b/y/1", "invalid type: unit variant, expected newtype variant"),
        (
            r#"{"a/b":{"x":["unit"],"y":[{"pair":[1,true]}]}}"#,
            "/a~1b/y/0/pair/1",
            "invalid type: boolean `true`, expected u8",
        ),
        (
            r#"{"a/b":{"y":[{"pair":[1]}]}}"#,
            "/a~1b/y/0/pair",
            "invalid length 1, expected tuple variant Kind::Pair with 2 elements",
        ),
        (r#"{"a/b":{"y":[{"pair":[1,2,3]}]}}"#, "/a~1b/y/0/pair/2", "the list has too many elements"),
        (
            r#"{"a/b":{"y":["none"]}}"#,
            "/a~1b/y/0",
            "unknown variant `none`, expected one of `unit`, `new`, `pair`, `named`",
        ),
        (r#"{"a/b":{"y":[]},"a/b":{}}"#, "/a~1b", "duplicate field `a/b`"),
        (r#"{"a/b":{"y":[1,]}}"#, "/a~1b/y/0", "invalid type: integer `1`, expected enum Kind"),
    ] {
        let (at, told) = mistake::<Places>(json);
        assert_eq!((at.as_str(), told.as_str()), (path, message), "{json}");
    }
    assert_eq!(mistake::<BTreeMap<u8, u8>>(r#"{"1":1,"x":2}"#).0, "/x");
}
