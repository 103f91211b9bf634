use std::fmt::Write as _;

use serde_json::Value;

use super::structure::json_schema;

/// docs/CONFIG.md: every key with its type and meaning, made from the schema that files are checked against.
pub fn reference_markdown() -> String {
    let about = "# Configuration\n\nOne YAML file (JSON is YAML). Unknown keys are refused; `plimsoll check FILE` reports every mistake with its\n\
         line. `plimsoll schema` prints the JSON Schema for editors. Time spans are text with units (`500ms`, `10s`,\n`1h30m`), \
         sizes are bytes, plain or with `KiB`, `MiB`, `GiB`; `off` stands for no limit where it is allowed.\n\
         \nThis page is made from the schema.\n";
    reference(about, &json_schema())
}

/// The same of another form, after what is said about it.
#[cfg(test)]
pub(crate) fn reference_of<T: schemars::JsonSchema>(about: &str) -> String {
    reference(about, &super::structure::schema_of::<T>())
}

fn reference(about: &str, schema: &Value) -> String {
    let mut text = about.to_owned();
    section(&mut text, "Top level", schema);
    let definitions = schema.get("$defs").and_then(Value::as_object);
    for (name, definition) in definitions.into_iter().flatten() {
        section(&mut text, name, definition);
    }
    text
}

/// What needs more room than a cell of a table, by section.
const MORE: [(&str, &str); 1] = [("Listener", include_str!("forwarding.md"))];

fn section(text: &mut String, name: &str, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    // Writing to a string does not fail.
    let _ = write!(text, "\n## {name}\n\n{}\n\n| key | type | meaning |\n|---|---|---|\n", one_line(about));
    for (key, property) in properties {
        let meaning = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let needed = if required.contains(&key.as_str()) { " **Required.**" } else { "" };
        let _ = writeln!(text, "| `{key}` | {} | {}{needed} |", type_of(property), one_line(meaning));
    }
    for (_, more) in MORE.iter().filter(|(section, _)| *section == name) {
        let _ = write!(text, "\n{more}");
    }
}

fn type_of(property: &Value) -> String {
    if let Some(name) = refers_to(property) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(any) = property.get("anyOf").and_then(Value::as_array) {
        let types: Vec<String> =
            any.iter().filter(|one| one.get("type") != Some(&Value::from("null"))).map(type_of).collect();
        return types.join(" or ");
    }
    if let Some(options) = property.get("enum").and_then(Value::as_array) {
        return options
            .iter()
            .filter_map(Value::as_str)
            .map(|option| format!("`{option}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(pattern) = property.get("pattern").and_then(Value::as_str)
        && let Some(quantity) = super::quantity::describe(pattern)
    {
        let kind = if quantity.starts_with("a time") { "time span" } else { "size" };
        return if quantity.ends_with("off") { format!("{kind} or `off`") } else { kind.to_owned() };
    }
    if let Some(items) = property.get("items") {
        return format!("list of {}", type_of(items));
    }
    match property.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn refers_to(property: &Value) -> Option<&str> {
    property.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
