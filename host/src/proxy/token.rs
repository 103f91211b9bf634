//! Claims of JSON Web Tokens (RFC 7519) in their compact form. NOTHING IS VERIFIED: not the signature, not the time. It tells clients apart, and
//! lets nobody in.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// What is longer is no token: it is read for every request.
const LONGEST: usize = 16 << 10;
const SCHEME: &[u8] = b"bearer ";

/// Value of a claim in what a header has, with or without `Bearer ` before it: a text as it is, anything else as JSON. A claim within another is
/// `outer.inner`. None for what is null, or not there.
pub(super) fn claim(field: &[u8], name: &str) -> Option<Vec<u8>> {
    let token = match field.split_at_checked(SCHEME.len()) {
        // The scheme is compared without regard to case (RFC 9110 section 11.1).
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => token.trim_ascii(),
        _ => field,
    };
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let text = match member(&payload, name)? {
        Value::Null => return None,
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    };
    Some(text.into_owned().into_bytes())
}

/// Names of claims have dots of their own, as addresses do: the longest name that there is counts.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    let within = |(at, _): (usize, &str)| member(object.get(&name[..at])?, &name[at + 1..]);
    object.get(name).or_else(|| name.rmatch_indices('.').find_map(within))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(payload: &str, name: &str) -> Option<String> {
        let field = format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        claim(field.as_bytes(), name).map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn texts_are_as_they_are_and_all_else_is_json() {
        let payload = r#"{"sub":"b\u00f6b","n":17,"on":true,"roles":["a","b"],"none":null}"#;
        let values = ["sub", "n", "on", "roles", "none", "other"].map(|name| of(payload, name));
        let expected = [Some("böb"), Some("17"), Some("true"), Some("[\"a\",\"b\"]"), None, None];
        assert_eq!(values, expected.map(|value| value.map(str::to_owned)));
    }

    #[test]
    fn names_with_dots_are_names_before_they_are_paths() {
        assert_eq!(of(r#"{"a":{"b":"in"},"a.b":"whole"}"#, "a.b").as_deref(), Some("whole"));
        assert_eq!(of(r#"{"realm":{"tenant":"t"}}"#, "realm.tenant").as_deref(), Some("t"));
        assert_eq!(of(r#"{"https://a.test/t":"u"}"#, "https://a.test/t").as_deref(), Some("u"));
        assert_eq!(of(r#"{"https://a.test/t":{"id":1}}"#, "https://a.test/t.id").as_deref(), Some("1"));
        assert_eq!(of(r#"{"a":"text"}"#, "a.b"), None);
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        let good = "e30.eyJzdWIiOiJib2IifQ.c2ln";
        assert_eq!(claim(good.as_bytes(), "sub").as_deref(), Some(&b"bob"[..]));
        assert_eq!(claim(format!("bEARER  {good} ").as_bytes(), "sub").as_deref(), Some(&b"bob"[..]));
        for field in
            ["", "Bearer ", "a.b", "e30.eyJzdWIiOiJib2IifQ", "e30.eyJzdWIiOiJib2IifQ.a.b", "e30.!.x", "Basic YTpi"]
        {
            assert_eq!(claim(field.as_bytes(), "sub"), None, "{field}");
        }
        let long = format!("{good}{}", "x".repeat(LONGEST));
        assert_eq!(claim(long.as_bytes(), "sub"), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_no_panic(payload in "[{}\\[\\]:,\"\\\\ a1.]{0,40}", name in "[a.]{0,12}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            of(&payload, &name);
            claim(&bytes, &name);
        }
    }
}
