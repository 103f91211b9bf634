//! The form of a configuration against its schema: every mistake at once, each said in one line.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::schema::File;
use super::similar::similar;

/// A JSON Pointer and what is wrong there.
pub(super) type Mistake = (String, String);

pub(super) fn json_schema() -> Value {
    schema_of::<File>()
}

pub(super) fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().into()
}

/// The schema of what people write, for editors: short forms are not written out there.
pub(super) fn schema_for_editors() -> Value {
    let mut schema = json_schema();
    if let Some(items) = schema.pointer_mut("/$defs/Cluster/properties/endpoints/items") {
        *items = json!({ "anyOf": [{ "type": "string" }, items.take()] });
    }
    if let Some(items) = schema.pointer_mut("/$defs/Tls/properties/acme/items") {
        *items = json!({ "anyOf": [{ "type": "string" }, items.take()] });
    }
    if let Some(bind) = schema.pointer_mut("/$defs/Listener/properties/bind") {
        *bind = json!({ "anyOf": [{ "type": "string" }, bind.take()] });
    }
    for (of, switch) in SWITCHES {
        if let Some(of) = schema.pointer_mut(&format!("/$defs/{of}/properties/{switch}")) {
            *of = json!({ "anyOf": [{ "type": "boolean" }, of.take()] });
        }
    }
    schema
}

/// What a listener, or its `udp`, may have by `true` alone, or by a mapping of what holds for it.
const SWITCHES: [(&str, &str); 3] = [("Listener", "redirect_https"), ("Listener", "http3"), ("Udp", "quic")];

/// Writes short forms out, so that there is one form to check: an endpoint may be just its address, a list of addresses just
/// one, a certificate just its name, a switch just on.
pub(super) fn normalise(value: &mut Value) {
    let clusters = value.get_mut("clusters").and_then(Value::as_array_mut);
    for cluster in clusters.into_iter().flatten() {
        write_out(cluster);
    }
    let listeners = value.get_mut("listeners").and_then(Value::as_array_mut);
    for listener in listeners.into_iter().flatten() {
        if let Some(bind @ Value::String(_)) = listener.get_mut("bind") {
            *bind = json!([bind.take()]);
        }
        for (of, switch) in SWITCHES {
            let holder = if of == "Udp" { listener.get_mut("udp") } else { Some(&mut *listener) };
            match holder.and_then(|holder| holder.get_mut(switch)) {
                Some(on @ Value::Bool(true)) => *on = json!({}),
                Some(off @ Value::Bool(false)) => *off = Value::Null,
                _ => {}
            }
        }
        let ordered = listener.pointer_mut("/tls/acme").and_then(Value::as_array_mut);
        for certificate in ordered.into_iter().flatten() {
            if let Value::String(name) = certificate {
                *certificate = json!({ "names": [name] });
            }
        }
    }
    // An empty section, such as `plugins:` with nothing below it, is the same as none.
    drop_nulls(value);
}

/// Writes out the endpoints of what has some.
pub(super) fn write_out(value: &mut Value) {
    let endpoints = value.get_mut("endpoints").and_then(Value::as_array_mut);
    for endpoint in endpoints.into_iter().flatten() {
        if let Value::String(address) = endpoint {
            *endpoint = json!({ "address": address });
        }
    }
}

pub(super) fn drop_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
    }
}

/// The typed form of a value, and everything that is wrong with its structure. What is wrong is left out of the typed form,
/// so that the rest can be looked at too; there is none when the rest cannot do without.
pub(super) fn read<T: JsonSchema + DeserializeOwned>(mut value: Value) -> (Option<T>, Vec<Mistake>) {
    let schema = schema_of::<T>();
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => return (None, vec![(String::new(), format!("the schema is broken: {error}"))]),
    };
    let mut mistakes: Vec<Mistake> = validator.iter_errors(&value).flat_map(|error| say(&error, &schema)).collect();
    for (path, _) in &mistakes {
        leave_out(&mut value, path);
    }
    match serde_json::from_value(value) {
        Ok(typed) => (Some(typed), mistakes),
        Err(error) => {
            if mistakes.is_empty() {
                mistakes.push((String::new(), error.to_string()));
            }
            (None, mistakes)
        }
    }
}

/// Takes away what a pointer points to: a key with its value, or the whole of the list that it is in, since the others
/// would have other numbers afterwards.
fn leave_out(value: &mut Value, pointer: &str) {
    let Some((around, key)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(around) {
        Some(Value::Object(map)) => {
            map.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(_)) => leave_out(value, around),
        _ => {}
    }
}

fn say(error: &ValidationError<'_>, schema: &Value) -> Vec<Mistake> {
    // A section that may be left out is that or nothing; whoever wrote it meant the first.
    if let ValidationErrorKind::AnyOf { context } = error.kind()
        && let Some(meant) = context.first()
    {
        return meant.iter().flat_map(|error| say(error, schema)).collect();
    }
    let path = error.instance_path().to_string();
    let schema_path = error.schema_path().to_string();
    explain(&path, error.kind(), error.instance(), schema, &schema_path)
        .unwrap_or_else(|| vec![(path, error.to_string())])
}

fn explain(
    path: &str,
    kind: &ValidationErrorKind,
    found: &Value,
    schema: &Value,
    schema_path: &str,
) -> Option<Vec<Mistake>> {
    let at = |message: String| Some(vec![(path.to_owned(), message)]);
    let around = schema.pointer(schema_path.rsplit_once('/')?.0);
    match kind {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = around.and_then(|object| object.get("properties")).and_then(Value::as_object);
            Some(unexpected.iter().map(|key| (format!("{path}/{}", escape(key)), unknown_key(key, known))).collect())
        }
        ValidationErrorKind::Required { property } => {
            at(format!("`{}` is missing", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::Enum { options } => {
            // What may be left out may be null for the schema, which nobody needs to know.
            let options: Vec<String> =
                options.as_array()?.iter().filter(|option| !option.is_null()).map(show).collect();
            at(format!("expected one of {}, found {}", options.join(", "), show(found)))
        }
        ValidationErrorKind::Type { kind } => {
            let expected = description(around).unwrap_or_else(|| type_names(kind));
            at(format!("expected {expected}, found {}", show(found)))
        }
        ValidationErrorKind::Pattern { .. } => {
            let pattern = around.and_then(|schema| schema.get("pattern")).and_then(Value::as_str).unwrap_or_default();
            let expected = description(around).unwrap_or_else(|| format!("text of the form {pattern}"));
            at(format!("expected {expected}, found {}", show(found)))
        }
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
            let expected = description(around).unwrap_or_else(|| "another number".to_owned());
            at(format!("expected {expected}, found {}", show(found)))
        }
        ValidationErrorKind::MinLength { limit } => at(format!("expected at least {limit} characters")),
        _ => None,
    }
}

/// Quantities describe themselves; the descriptions of fields are for the manual.
fn description(schema: Option<&Value>) -> Option<String> {
    let schema = schema?;
    if let (Some(minimum), Some(maximum)) = (schema.get("minimum"), schema.get("maximum")) {
        let kind = if schema.get("type") == Some(&Value::from("number")) { "a number" } else { "an integer" };
        return Some(format!("{kind} from {minimum} to {maximum}"));
    }
    let pattern = schema.get("pattern")?.as_str()?;
    super::quantity::describe(pattern).map(ToOwned::to_owned)
}

fn unknown_key(key: &str, known: Option<&Map<String, Value>>) -> String {
    let names: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    match similar(key, names.iter().copied()) {
        Some(name) => format!("unknown key `{key}`; did you mean `{name}`?"),
        None => format!("unknown key `{key}`; known are: {}", names.join(", ")),
    }
}

fn type_names(kind: &TypeKind) -> String {
    let names: Vec<&str> = match kind {
        TypeKind::Single(kind) => vec![article(&kind.to_string())],
        TypeKind::Multiple(kinds) => {
            kinds.iter().map(|kind| article(&kind.to_string())).filter(|kind| *kind != "nothing").collect()
        }
    };
    names.join(" or ")
}

fn article(kind: &str) -> &'static str {
    match kind {
        "array" => "a list",
        "boolean" => "true or false",
        "integer" => "an integer",
        "null" => "nothing",
        "number" => "a number",
        "object" => "a mapping of keys to values",
        _ => "text",
    }
}

/// A value as a person recognises it; long ones by their kind.
fn show(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a mapping of keys to values".into(),
        Value::Null => "nothing".into(),
        Value::String(text) if text.len() > 60 => format!("a text of {} bytes", text.len()),
        other => other.to_string(),
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
