use plimsoll_sdk::prelude::*;
use talk::{MOST_RECEIVED, Pattern, quoted};

use crate::Bytes;

/// What a good answer looks like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Expect {
    /// The answer begins with these bytes.
    Prefix(Bytes),
    /// The answer contains these bytes within its first 16 KiB.
    Contains(Bytes),
    /// A line of the first 16 KiB of the answer in which this regular expression is found, once it has ended.
    Regex(Pattern),
}

/// What an answer comes to.
pub(crate) enum Found {
    /// It is as expected, up to this byte.
    To(usize),
    NotYet,
    /// It never will be; says what was expected, and what came.
    Never(String),
}

impl Expect {
    pub(crate) fn check(&self, at: &str, errors: &mut ConfigErrors) {
        let (part, is_empty) = match self {
            Self::Prefix(bytes) => ("prefix", bytes.as_slice().is_empty()),
            Self::Contains(bytes) => ("contains", bytes.as_slice().is_empty()),
            Self::Regex(_) => return,
        };
        if is_empty {
            errors.push(plimsoll_sdk::pointer(at, part), "expected at least one byte");
        }
    }

    /// Looks for it in what was received. Of what is in `secrets` nothing is told.
    pub(crate) fn look(&self, received: &[u8], secrets: &[&str]) -> Found {
        let never = |what: String| Found::Never(format!("expected {what}, got {}", quoted(received, secrets)));
        let so_far = |what: String| if received.len() >= MOST_RECEIVED { never(what) } else { Found::NotYet };
        match self {
            Self::Prefix(prefix) => {
                let prefix = prefix.as_slice();
                if received.starts_with(prefix) {
                    Found::To(prefix.len())
                } else if prefix.starts_with(received) {
                    Found::NotYet
                } else {
                    never(format!("an answer that begins with {}", quoted(prefix, secrets)))
                }
            }
            Self::Contains(text) => {
                let text = text.as_slice();
                match received.windows(text.len()).position(|window| window == text) {
                    Some(at) => Found::To(at + text.len()),
                    None => so_far(format!("{} within 16 KiB", quoted(text, secrets))),
                }
            }
            Self::Regex(pattern) => {
                let mut end = 0;
                for line in received.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
                    end += line.len();
                    let line = &line[..line.len() - 1];
                    if pattern.is_found_in(line.strip_suffix(b"\r").unwrap_or(line)) {
                        return Found::To(end);
                    }
                }
                so_far(format!("a line that matches `{pattern}` within 16 KiB"))
            }
        }
    }

    /// What is missing when the peer has gone.
    pub(crate) fn missing(&self, received: &[u8], secrets: &[&str]) -> String {
        let what = match self {
            Self::Prefix(bytes) => format!("an answer that begins with {}", quoted(bytes.as_slice(), secrets)),
            Self::Contains(bytes) => quoted(bytes.as_slice(), secrets),
            Self::Regex(pattern) => format!("a line that matches `{pattern}`"),
        };
        let got = if received.is_empty() { "nothing".to_owned() } else { quoted(received, secrets) };
        format!("closed the connection: expected {what}, got {got}")
    }
}
