//! YAML 1.2 (of which JSON is a part) as JSON values, with the place of each. Read by events, so that aliases, depth and
//! size are bounded before anything is built from them.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Markers, Tag};
use serde_json::{Map, Number, Value};

use super::errors::ConfigError;

/// Bounds on what a text may grow to; a dozen nested aliases could ask for more than there is memory.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;

/// Where secrets stand in a configuration, which are replaced before it is shown.
pub(super) const SECRETS: [&str; 2] = ["/secret", "/admin/token"];

/// Line and column, counted from 1, by JSON Pointer.
pub(super) type Places = HashMap<String, (usize, usize)>;

/// A text that was read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) value: Value,
    pub(super) places: Places,
    /// Where secrets begin and end, by JSON Pointer.
    pub(super) scalars: HashMap<String, Span>,
}

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The value of a text with one document, and where everything in it stands.
pub(super) fn parse(text: &str) -> Result<Parsed, ConfigError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        places: Places::new(),
        scalars: HashMap::new(),
        nodes: 0,
    };
    let value = reader.document()?;
    let Reader { places, scalars, .. } = reader;
    let scalars = scalars.into_iter().filter_map(|(pointer, span)| Some((pointer, in_bytes(text, span)?))).collect();
    Ok(Parsed { value, places, scalars })
}

/// The parser counts characters.
fn in_bytes(text: &str, span: Markers) -> Option<Span> {
    let at = |index: usize| text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index);
    let (start, end) = (at(span.start.index())?, at(span.end.index())?);
    Some(Span { start, end: start + length_of_scalar(text.get(start..end)?) })
}

/// The parser lets a quoted scalar go on to what comes next, comments included.
fn length_of_scalar(text: &str) -> usize {
    let quote = text.as_bytes().first().copied().filter(|first| matches!(first, b'"' | b'\''));
    let Some(quote) = quote else { return text.trim_end().len() };
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        let is_doubled = byte == quote && quote == b'\'' && bytes.peek().is_some_and(|(_, next)| *next == quote);
        if is_doubled || (byte == b'\\' && quote == b'"') {
            bytes.next();
        } else if byte == quote {
            return at + 1;
        }
    }
    text.len()
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    places: Places,
    scalars: HashMap<String, Markers>,
    nodes: usize,
}

#[derive(Clone)]
struct Anchored {
    value: Value,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Value, ConfigError> {
        let mut found = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                _ if found.is_some() => return Err(mistake("", span, "a second document; a configuration is one")),
                event => found = Some(self.node(event, span, String::new(), 0)?),
            }
        }
        Ok(found.unwrap_or_else(|| Value::Object(Map::new())))
    }

    fn next(&mut self) -> Result<(Event<'a>, Markers), ConfigError> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(ConfigError {
                path: String::new(),
                line: error.marker().line(),
                column: error.marker().col() + 1,
                message: format!("not valid YAML: {}", error.info()),
            }),
            None => Ok((Event::StreamEnd, Markers::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Markers, path: String, depth: usize) -> Result<Value, ConfigError> {
        if depth > MAX_DEPTH {
            return Err(mistake(&path, span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.places.entry(path.clone()).or_insert_with(|| (span.start.line(), span.start.col() + 1));
        let before = self.nodes;
        self.count(1, &path, span)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if SECRETS.contains(&path.as_str()) {
                    self.scalars.insert(path.clone(), span);
                }
                (scalar(&text, style, tag.as_deref()), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(&path, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(&path, depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor).cloned() else {
                    return Err(mistake(&path, span, "an alias inside of what it stands for"));
                };
                self.count(anchored.nodes, &path, span)?;
                return Ok(anchored.value);
            }
            _ => return Err(mistake(&path, span, "expected a value")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { value: value.clone(), nodes: self.nodes - before });
        }
        Ok(value)
    }

    fn sequence(&mut self, path: &str, depth: usize) -> Result<Value, ConfigError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            items.push(self.node(event, span, format!("{path}/{}", items.len()), depth + 1)?);
        }
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Result<Value, ConfigError> {
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) => key.into_owned(),
                _ => return Err(mistake(path, span, "a key must be plain text")),
            };
            let (event, value_span) = self.next()?;
            if key == "<<" {
                merged.push(self.node(event, value_span, format!("{path}/<<"), depth + 1)?);
                continue;
            }
            let child = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            if map.contains_key(&key) {
                return Err(mistake(&child, span, "the key is there twice"));
            }
            // A mistake is best shown at its key.
            self.places.insert(child.clone(), (span.start.line(), span.start.col() + 1));
            let value = self.node(event, value_span, child, depth + 1)?;
            map.insert(key, value);
        }
        for merge in merged {
            let maps = if let Value::Array(maps) = merge { maps } else { vec![merge] };
            for (key, value) in maps.into_iter().filter_map(as_map).flatten() {
                map.entry(key).or_insert(value);
            }
        }
        Ok(Value::Object(map))
    }

    fn count(&mut self, nodes: usize, path: &str, span: Markers) -> Result<(), ConfigError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(mistake(path, span, format!("more than {MAX_NODES} values, aliases included")));
        }
        Ok(())
    }
}

fn as_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The core schema of YAML 1.2 (section 10.3.2): `yes` and `on` are text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(integer) = unsigned.parse::<u64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = unsigned.parse::<i64>() {
        return Some(integer.into());
    }
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    unsigned.parse::<f64>().ok().and_then(Number::from_f64)
}

fn mistake(path: &str, span: Markers, message: impl Into<String>) -> ConfigError {
    ConfigError {
        path: path.to_owned(),
        line: span.start.line(),
        column: span.start.col() + 1,
        message: message.into(),
    }
}
