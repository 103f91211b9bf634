//! A configuration as it may be shown: its secrets are replaced, and put back when such a text returns.

use serde_json::Value;

use super::errors::{ConfigError, ConfigErrors};
use super::yaml::{self, SECRETS, Span};

/// What stands for a secret that is not shown.
pub const REDACTED: &str = "(redacted)";

/// The text with [`REDACTED`] in the place of each secret. It is the same text otherwise, with its comments; only where a
/// secret could be read off another place, such as an anchor, it is JSON of the same meaning.
pub(super) fn redacted(text: &str) -> String {
    // What is live has been parsed before.
    let Ok(parsed) = yaml::parse(text) else { return REDACTED.to_owned() };
    let mut value = parsed.value;
    let mut spans = Vec::new();
    let mut secrets = Vec::new();
    for pointer in SECRETS {
        let Some(place) = value.pointer_mut(pointer) else { continue };
        secrets.extend(place.take().as_str().map(ToOwned::to_owned));
        *place = REDACTED.into();
        spans.push(parsed.scalars.get(pointer).copied());
    }
    if secrets.is_empty() {
        return text.to_owned();
    }
    let shown = spans.into_iter().collect::<Option<Vec<Span>>>().map(|spans| {
        let quoted = Value::from(REDACTED).to_string();
        replace(text, spans.into_iter().map(|span| (span, quoted.clone())).collect())
    });
    let is_same = |shown: &String| {
        yaml::parse(shown).is_ok_and(|parsed| parsed.value == value)
            && !secrets.iter().any(|secret| shown.contains(secret.as_str()))
    };
    shown.filter(is_same).unwrap_or_else(|| format!("{value:#}\n"))
}

/// The text with the secrets of `live` where it has [`REDACTED`].
pub(super) fn restored(text: &str, live: Option<&str>, name: &str) -> Result<Option<String>, ConfigErrors> {
    let Ok(parsed) = yaml::parse(text) else { return Ok(None) };
    let live = live.and_then(|live| yaml::parse(live).ok()).map(|live| live.value);
    let mut secrets = Vec::new();
    let mut mistakes = Vec::new();
    for pointer in SECRETS {
        if parsed.value.pointer(pointer).and_then(Value::as_str) != Some(REDACTED) {
            continue;
        }
        let known = live.as_ref().and_then(|live| live.pointer(pointer)).filter(|known| known.is_string());
        match (known, parsed.scalars.get(pointer)) {
            (Some(known), Some(span)) => secrets.push((*span, known.to_string())),
            _ => {
                let (line, column) = parsed.places.get(pointer).copied().unwrap_or((0, 0));
                let message = format!("`{REDACTED}` stands for the one that is live, and there is none");
                mistakes.push(ConfigError { path: pointer.to_owned(), line, column, message });
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(ConfigErrors::new(name, mistakes));
    }
    Ok((!secrets.is_empty()).then(|| replace(text, secrets)))
}

/// Puts other text in the place of these spans.
fn replace(text: &str, mut places: Vec<(Span, String)>) -> String {
    places.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = text.to_owned();
    for (span, other) in places {
        text.replace_range(span.start..span.end, &other);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_all_else_is() {
        for (text, shown) in [
            ("workers: 1 # one\n", "workers: 1 # one\n"),
            ("# ü\nsecret: abc def ghi  # mine\nworkers: 1\n", "# ü\nsecret: \"(redacted)\"  # mine\nworkers: 1\n"),
            (
                "{\"secret\": \"a\\\"b\", \"admin\": {\"token\": 't''t', \"bind\": \"x\"}}",
                "{\"secret\": \"(redacted)\", \"admin\": {\"token\": \"(redacted)\", \"bind\": \"x\"}}",
            ),
            ("secret: \"a \\\" b\" # \"c\"\n", "secret: \"(redacted)\" # \"c\"\n"),
            ("admin:\n  token: >-\n    folded\n    text\n  bind: x\n", ""),
            ("x: &a hidden\nsecret: *a\n", ""),
            ("secret: hidden # not hidden any more\n", ""),
        ] {
            let redacted = redacted(text);
            if !shown.is_empty() {
                assert_eq!(redacted, shown);
            }
            assert!(!redacted.contains("hidden") || text.contains('&'), "{redacted}");
            assert!(!redacted.contains("folded"), "{redacted}");
            let value = yaml::parse(&redacted).expect("it can be read").value;
            for pointer in SECRETS {
                let expected = yaml::parse(text).expect("YAML").value.pointer(pointer).map(|_| REDACTED.into());
                assert_eq!(value.pointer(pointer), expected.as_ref(), "{redacted}");
            }
        }
    }

    #[test]
    fn what_was_shown_gets_its_secrets_back() {
        let live = "secret: \"the \\u00fc secret\"\nadmin: { token: abc, bind: x }\n";
        let shown = redacted(live);
        let back =
            restored(&shown.replace("bind: x", "bind: y"), Some(live), "f").expect("no mistake").expect("another");
        assert_eq!(back, "secret: \"the ü secret\"\nadmin: { token: \"abc\", bind: y }\n");
        assert_eq!(restored("workers: 2", Some(live), "f"), Ok(None));
        let error = restored(&shown, Some("workers: 1"), "f").expect_err("nothing to put there");
        assert_eq!(error.errors.len(), 2);
        assert!(restored(&shown, None, "f").is_err());
    }
}
