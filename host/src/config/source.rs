use std::collections::HashMap;

use super::errors::{ConfigError, ConfigErrors};
use crate::telemetry::printable;

/// The text that a configuration was made from, and where in it everything stands. Two configurations are compared
/// without it.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    places: HashMap<String, (usize, usize)>,
}

impl PartialEq for Source {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Source {
    pub(super) fn new(name: &str, text: &str, places: HashMap<String, (usize, usize)>) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), places }
    }

    /// The configuration as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same without its secrets.
    pub fn redacted(&self) -> String {
        super::redact::redacted(&self.text)
    }

    /// Line and column, counted from 1, of what a JSON Pointer points to, or of the nearest thing around it.
    pub fn locate(&self, pointer: &str) -> Option<(usize, usize)> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return Some(*place);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }

    /// Mistakes that were found after the text was read, such as by plugins, with their lines.
    pub fn errors(&self, mistakes: impl IntoIterator<Item = (String, String)>) -> ConfigErrors {
        let errors = mistakes
            .into_iter()
            .map(|(path, message)| {
                let (line, column) = self.locate(&path).unwrap_or((0, 0));
                // Either may be of a plugin, or of a file that somebody sent.
                let (path, message) = (printable(&path).into_owned(), printable(&message).into_owned());
                ConfigError { path, line, column, message }
            })
            .collect();
        ConfigErrors::new(&self.name, errors)
    }
}
