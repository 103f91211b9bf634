use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeResponse, Schema, Sorted, json_schema, pointer};
use serde_json::Value;
use talk::{Pattern, quoted};

use crate::Statuses;
use crate::token::is_token;

/// What a good answer looks like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    /// Good statuses: single ones and ranges.
    status: Statuses,
    /// Values of header fields, by name.
    headers: Sorted<String, String>,
    /// Regular expressions that are found in values of header fields, by name.
    headers_regex: Sorted<String, Pattern>,
    /// Text that the first 64 KiB of the body contain.
    body_contains: Option<String>,
    /// A regular expression that is found in the first 16 KiB of the body.
    body_regex: Option<Pattern>,
    /// Values in a body of JSON, by JSON Pointer (RFC 6901).
    json: Sorted<String, Json>,
}

/// A value of JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Json(Value);

impl JsonSchema for Json {
    fn schema() -> Schema {
        json_schema!({})
    }
}

/// What a regular expression sees of a body, so that it has time for it.
const REGEX_SEES: usize = 16 * 1024;
/// The host cuts bodies off behind so many bytes.
const BODY_BYTES: usize = 64 * 1024;

impl Expect {
    pub(crate) fn check(&self, at: &str, errors: &mut ConfigErrors) {
        let names = self.headers.iter().map(|(name, _)| ("headers", name));
        for (part, name) in names.chain(self.headers_regex.iter().map(|(name, _)| ("headers_regex", name))) {
            if !is_token(name) {
                errors.push(pointer(&pointer(at, part), name), "expected the name of a header field");
            }
        }
        for (path, _) in self.json.iter() {
            if !path.is_empty() && !path.starts_with('/') {
                let message = "expected a JSON Pointer, such as `/status`; an empty one is the whole body";
                errors.push(pointer(&pointer(at, "json"), path), message);
            }
        }
    }

    /// The error says what was expected, and what came; of the latter nothing that is in `secrets`.
    pub(crate) fn judge(&self, answer: &ProbeResponse, secrets: &[&str]) -> Result<(), String> {
        let status = answer.status;
        if !self.status.contains(status) {
            return Err(format!("expected status {}, got {status}", self.status));
        }
        for (name, value) in self.headers.iter() {
            if !values(answer, name).any(|found| found == value.as_bytes()) {
                return Err(format!("expected `{name}: {value}`, got {}", found(answer, name, secrets)));
            }
        }
        for (name, pattern) in self.headers_regex.iter() {
            if !values(answer, name).any(|found| pattern.is_found_in(found)) {
                return Err(format!("expected `{name}` to match `{pattern}`, got {}", found(answer, name, secrets)));
            }
        }
        if let Some(text) = self.body_contains.as_deref().filter(|text| !contains(&answer.body, text.as_bytes())) {
            return Err(format!("expected `{text}` in the body, got {}", body(answer, secrets)));
        }
        let seen = &answer.body[..answer.body.len().min(REGEX_SEES)];
        if let Some(pattern) = self.body_regex.as_ref().filter(|pattern| !pattern.is_found_in(seen)) {
            return Err(format!("expected the body to match `{pattern}`, got {}", body(answer, secrets)));
        }
        if self.json.is_empty() { Ok(()) } else { self.judge_json(answer, secrets) }
    }

    fn judge_json(&self, answer: &ProbeResponse, secrets: &[&str]) -> Result<(), String> {
        let Ok(read) = serde_json::from_slice::<Value>(&answer.body) else {
            let cut_off = if answer.body.len() >= BODY_BYTES { ", longer than 64 KiB" } else { "" };
            return Err(format!("expected a body of JSON, got {}{cut_off}", body(answer, secrets)));
        };
        for (path, Json(expected)) in self.json.iter() {
            let found = read.pointer(path);
            if found.is_none_or(|found| !is_equal(found, expected)) {
                let found = found
                    .map_or_else(|| "nothing there".to_owned(), |found| quoted(found.to_string().as_bytes(), secrets));
                let at = if path.is_empty() { "the body" } else { path };
                return Err(format!("expected {at} to be `{expected}`, got {found}"));
            }
        }
        Ok(())
    }
}

/// Numbers are equal by their value, however they are written; whole ones to the last digit.
fn is_equal(one: &Value, other: &Value) -> bool {
    let is_either_float = one.is_f64() || other.is_f64();
    one == other || is_either_float && one.as_f64().is_some_and(|value| other.as_f64() == Some(value))
}

fn values<'a>(answer: &'a ProbeResponse, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let fields = answer.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    fields.map(|field| field.value.as_slice())
}

fn found(answer: &ProbeResponse, name: &str, secrets: &[&str]) -> String {
    values(answer, name).next().map_or_else(|| "no such field".to_owned(), |value| quoted(value, secrets))
}

fn body(answer: &ProbeResponse, secrets: &[&str]) -> String {
    if answer.body.is_empty() { "an empty one".to_owned() } else { quoted(&answer.body, secrets) }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}
