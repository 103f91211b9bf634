//! `Set-Cookie` fields (RFC 6265 section 5.2): a name and a value up to the first `;`, then attributes.

use plimsoll_sdk::HeaderEdit;

/// Header that the fields come in.
pub const SET_COOKIE: &str = "set-cookie";

/// The value that a field gives to the cookie of this name, as it is.
pub fn value<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (start, end) = place(field, name)?;
    field.get(start..end)
}

/// The value that the last of the fields gives to the cookie: it is the one that clients keep.
pub fn last_value<'a>(fields: &'a [Vec<u8>], name: &str) -> Option<&'a [u8]> {
    fields.iter().rev().find_map(|field| value(field, name))
}

/// Gives the cookie of this name another value, in all fields that set it. `change` gets each value, and answers none
/// where it is to stay. The other fields stay as they are, in their order. No edits if nothing changes.
pub fn change(fields: &[Vec<u8>], name: &str, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<HeaderEdit> {
    let mut edits = vec![HeaderEdit::Remove(SET_COOKIE.to_owned())];
    let mut changed = false;
    for field in fields {
        let other = place(field, name).and_then(|(start, end)| {
            let value = change(&field[start..end])?;
            Some([&field[..start], &value, &field[end..]].concat())
        });
        changed |= other.is_some();
        edits.push(HeaderEdit::append(SET_COOKIE, other.unwrap_or_else(|| field.clone())));
    }
    if changed { edits } else { Vec::new() }
}

/// A field that sets a cookie, with attributes such as `Path=/; HttpOnly`.
pub fn set(name: &str, value: &[u8], attributes: &str) -> HeaderEdit {
    let separator = if attributes.is_empty() { "" } else { "; " };
    HeaderEdit::append(SET_COOKIE, [name.as_bytes(), b"=", value, separator.as_bytes(), attributes.as_bytes()].concat())
}

/// Where the value begins and ends.
fn place(field: &[u8], name: &str) -> Option<(usize, usize)> {
    let end = field.iter().position(|byte| *byte == b';').unwrap_or(field.len());
    let pair = field.get(..end)?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (before, value) = pair.split_at_checked(equals + 1)?;
    let (_, known) = before.split_last()?;
    if known.trim_ascii() != name.as_bytes() {
        return None;
    }
    let value = value.trim_ascii_start();
    let start = end - value.len();
    Some((start, start + value.trim_ascii_end().len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changed(fields: &[&str]) -> Vec<String> {
        let fields: Vec<Vec<u8>> = fields.iter().map(|field| field.as_bytes().to_vec()).collect();
        let edits = change(&fields, "sid", |value| Some([b"x~", value].concat()));
        edits
            .into_iter()
            .map(|edit| match edit {
                HeaderEdit::Append(header) => String::from_utf8(header.value).unwrap(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn the_value_of_one_cookie_changes_and_nothing_else() {
        let removed = "Edit::Remove(\"set-cookie\")".to_owned();
        let after = changed(&["a=1; Path=/", "sid=7; Path=/; HttpOnly", "sid2=8"]);
        assert_eq!(after, [removed, "a=1; Path=/".into(), "sid=x~7; Path=/; HttpOnly".into(), "sid2=8".into()]);
        assert_eq!(changed(&["a=sid=1", "Sid=2", "sid"]), [""; 0]);
        assert_eq!(changed(&[" sid = 7 ;x"])[1], " sid = x~7 ;x");
    }

    #[test]
    fn the_last_field_counts() {
        let fields: Vec<Vec<u8>> = ["sid=1", "b=2", "sid=3; Path=/"].map(|field| field.as_bytes().to_vec()).to_vec();
        assert_eq!(last_value(&fields, "sid"), Some(&b"3"[..]));
        assert_eq!(last_value(&fields, "c"), None);
    }

    proptest! {
        #[test]
        fn whatever_endpoints_send_is_no_trap(field in proptest::collection::vec(any::<u8>(), 0..60)) {
            let field = [b"sid".to_vec(), field].concat();
            if let Some(value) = value(&field, "sid") {
                prop_assert!(!value.contains(&b';'));
                let same = change(std::slice::from_ref(&field), "sid", |value| Some(value.to_vec()));
                prop_assert_eq!(same.last(), Some(&HeaderEdit::append(SET_COOKIE, field.clone())));
            }
        }
    }
}
