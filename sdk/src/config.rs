use std::borrow::Cow;
use std::fmt::Display;

use serde::de::DeserializeOwned;

use crate::ConfigError;
use crate::json::{Reader, push_step};

/// Configuration of a policy that has nothing to configure.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, crate::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Everything that is wrong with a configuration. Collect all of it: the operator sees every mistake at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub fn new() -> Self {
        Self::default()
    }

    /// One mistake. `path` is a JSON Pointer (RFC 6901) into the configuration, such as `/routes/0/cluster`, and empty
    /// for the whole of it; see [`pointer()`] for parts that come from the operator. `message` says what is wrong and
    /// what was expected: lower case, no full stop.
    pub fn at<'a>(path: impl Into<Cow<'a, str>>, message: impl Display) -> Self {
        let mut errors = Self::new();
        errors.push(path, message);
        errors
    }

    pub fn push<'a>(&mut self, path: impl Into<Cow<'a, str>>, message: impl Display) {
        self.add(path.into(), &message);
    }

    /// Once, whatever the message is made of.
    #[inline(never)]
    fn add(&mut self, path: Cow<'_, str>, message: &dyn Display) {
        self.0.push(ConfigError { path: path.into_owned(), message: message.to_string() });
    }

    /// `value` if nothing was wrong.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    pub(crate) fn into_vec(self) -> Vec<ConfigError> {
        self.0
    }
}

impl Extend<ConfigError> for ConfigErrors {
    fn extend<I: IntoIterator<Item = ConfigError>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}

impl IntoIterator for ConfigErrors {
    type Item = ConfigError;
    type IntoIter = std::vec::IntoIter<ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// `base` with one more step, escaped as RFC 6901 asks.
pub fn pointer(base: &str, step: impl Display) -> String {
    with_step(base, &step)
}

/// Once, whatever the step is.
#[inline(never)]
fn with_step(base: &str, step: &dyn Display) -> String {
    let mut pointer = base.to_owned();
    push_step(&mut pointer, &step.to_string());
    pointer
}

/// Reads a policy's configuration. Nothing at all and `null` stand for an empty object, so that every plugin whose
/// fields have defaults works without a configuration.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, ConfigErrors> {
    let json = match json.trim_ascii() {
        "" | "null" => "{}",
        json => json,
    };
    let mut reader = Reader::new(json);
    let config = C::deserialize(&mut reader).and_then(|config| reader.end().map(|()| config));
    config.map_err(|error| ConfigErrors::at(reader.path(), error))
}

/// Reads JSON (RFC 8259) from outside, such as the answer to a call, by what is compiled into every plugin for its configuration. The error
/// says what is wrong and where.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::new(text);
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| match reader.path() {
        "" => error.to_string(),
        path => format!("{path}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(default)]
        routes: Vec<Route>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Route {
        weight: u16,
    }

    fn mistake(json: &str) -> (String, String) {
        let errors = parse::<Sample>(json).unwrap_err();
        let first = errors.iter().next().unwrap();
        (first.path.clone(), first.message.clone())
    }

    #[test]
    fn nothing_and_null_are_an_empty_object() {
        for json in ["", "  ", "null", "{}"] {
            assert_eq!(parse::<Sample>(json).unwrap(), Sample { routes: vec![] });
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        assert_eq!(
            mistake(r#"{"routes":[{"weight":1},{"weight":"2"}]}"#),
            ("/routes/1/weight".into(), "invalid type: string \"2\", expected u16".into())
        );
        assert_eq!(mistake(r#"{"routes":[{}]}"#), ("/routes/0".into(), "missing field `weight`".into()));
        assert_eq!(mistake(r#"{"route":[]}"#), ("/route".into(), "unknown field `route`, expected `routes`".into()));
        assert_eq!(mistake("{} x").0, "");
    }

    #[test]
    fn steps_are_escaped() {
        assert_eq!(pointer("/headers", "a/b~c"), "/headers/a~1b~0c");
    }
}
