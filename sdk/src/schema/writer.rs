use super::{Definition, Member, Schema, Value, WriteJson as _};
use crate::json::quote;

/// The schema as a document of its own, with the definitions it refers to.
pub(crate) fn document(root: Schema) -> String {
    let mut writer = Writer { out: String::new(), root: root.definition, definitions: Vec::new() };
    let title = root.definition.map(|root| ("title", Value::Text(root.name)));
    writer.out.push_str(r#"{"$schema":"https://json-schema.org/draft/2020-12/schema""#);
    // A title of its own comes later and takes the place of the name.
    writer.body(root.body, title.as_slice(), &[], root.nullable);
    let mut written = 0;
    while let Some((_, name, schema)) = writer.definitions.get(written).cloned() {
        if written == 0 {
            writer.out.push_str(r#","$defs":{"#);
        }
        written += 1;
        writer.key(&name);
        writer.out.push('{');
        writer.body(schema.body, &[], &[], schema.nullable);
        writer.out.push('}');
    }
    writer.out.push_str(if written == 0 { "}" } else { "}}" });
    writer.out
}

struct Writer {
    out: String,
    root: Option<Definition>,
    /// By the paths of the types: their names here, and what they look like.
    definitions: Vec<(&'static str, String, Schema)>,
}

impl Writer {
    fn value(&mut self, value: Value, nullable: bool) {
        match value {
            Value::Json(json) => self.out.push_str(json),
            Value::Text(text) => quote(&mut self.out, text),
            Value::Integer(value) => value.write_json(&mut self.out),
            Value::List(values) => self.list(values, nullable),
            Value::Object(_) | Value::Of(..) => {
                self.out.push('{');
                self.body(value, &[], &[], false);
                self.out.push('}');
            }
            Value::Required(names) => {
                self.out.push('[');
                for (name, _) in names.iter().filter(|(_, optional)| !optional) {
                    self.comma();
                    quote(&mut self.out, name);
                }
                self.out.push(']');
            }
            Value::Default(write) => write(&mut self.out),
            // Belongs to the elements of a list.
            Value::Inner(_) => {}
        }
    }

    fn list(&mut self, values: &[Value], nullable: bool) {
        self.out.push('[');
        for value in values {
            self.comma();
            self.value(*value, false);
        }
        if nullable {
            self.comma();
            self.out.push_str("null");
        }
        self.out.push(']');
    }

    /// The members of an object, without its braces. Where a name comes twice the later counts: `before`, then those of
    /// `value`, then `after`.
    fn body(&mut self, value: Value, before: &[Member], after: &[Member], nullable: bool) {
        match value {
            Value::Object(members) => self.members(&[before, members, after].concat(), nullable),
            Value::Of(schema, more) => {
                let schema = schema();
                let after = [more, after].concat();
                match schema.definition {
                    None => self.body(schema.body, before, &after, nullable || schema.nullable),
                    Some(definition) => {
                        self.reference(definition, schema);
                        self.members(&[before, &after].concat(), false);
                    }
                }
            }
            _ => {}
        }
    }

    fn members(&mut self, members: &[Member], nullable: bool) {
        let is_list = members.iter().any(|member| matches!(member, ("type", Value::Text("array"))));
        for (index, (key, value)) in members.iter().enumerate() {
            let later = &members[index + 1..];
            let inner = later.iter().find_map(|(other, value)| match value {
                Value::Inner(inner) if other == key => Some(*inner),
                _ => None,
            });
            let is_replaced = later.iter().any(|(other, value)| other == key && !matches!(value, Value::Inner(_)));
            let is_empty = match value {
                Value::Required(names) => names.iter().all(|(_, optional)| *optional),
                Value::Inner(_) => true,
                _ => false,
            };
            if is_replaced || is_empty {
                continue;
            }
            let before = self.out.len();
            self.key(match *key {
                "minLength" if is_list => "minItems",
                "maxLength" if is_list => "maxItems",
                key => key,
            });
            let start = self.out.len();
            match (*key, *value, inner) {
                ("items", Value::Of(schema, more), Some(inner)) => {
                    self.out.push('{');
                    self.body(Value::Of(schema, more), &[], inner, false);
                    self.out.push('}');
                }
                ("type", kind, _) if nullable => self.list(&[kind, Value::Text("null")], false),
                ("enum", names, _) => self.value(names, nullable),
                (_, value, _) => self.value(value, false),
            }
            if self.out.len() == start {
                // A default that cannot be shown.
                self.out.truncate(before);
            }
        }
    }

    fn reference(&mut self, to: Definition, schema: Schema) {
        self.key("$ref");
        if self.root.is_some_and(|root| root.id == to.id) {
            self.out.push_str("\"#\"");
            return;
        }
        let known = self.definitions.iter().position(|(id, ..)| *id == to.id);
        let place = known.unwrap_or_else(|| {
            let mut name = to.name.to_owned();
            for number in 2u32.. {
                if self.definitions.iter().all(|(_, other, _)| *other != name) {
                    break;
                }
                name = to.name.to_owned();
                number.write_json(&mut name);
            }
            self.definitions.push((to.id, name, schema));
            self.definitions.len() - 1
        });
        let mut path = "#/$defs/".to_owned();
        path.push_str(&self.definitions[place].1);
        quote(&mut self.out, &path);
    }

    fn key(&mut self, key: &str) {
        self.comma();
        quote(&mut self.out, key);
        self.out.push(':');
    }

    /// Between two members or elements, and not before the first.
    fn comma(&mut self) {
        if !matches!(self.out.as_bytes().last(), Some(b'{' | b'[')) {
            self.out.push(',');
        }
    }
}
