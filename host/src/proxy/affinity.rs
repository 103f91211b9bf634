use std::sync::Arc;

use http::HeaderValue;
use http::header::COOKIE;
use plimsoll_fields::Fields;

use super::attributes::Visible;
use super::cluster::Cluster;
use super::context::Context;
use super::headers::is_ours;
use super::picked::Picked;
use crate::plugin::{Affinity, AffinityPlan, Binding, HeaderEdit, Values};

/// Whom a client is bound to, if its cluster binds clients.
#[derive(Default)]
pub(super) struct Affine {
    asked: Option<Asked>,
    picked: Option<Picked>,
}

/// What the policy was asked.
struct Asked {
    plan: Arc<AffinityPlan>,
    values: Values,
    /// What the client remembers is to be renewed.
    renew: bool,
}

impl Affine {
    pub(super) fn find(context: &Context, cluster: &Cluster, visible: Visible<'_>) -> Self {
        let Some(affinity) = &cluster.affinity else { return Self::default() };
        let plan = affinity.plan();
        let values = {
            let mut scratch = context.values.borrow_mut();
            visible.fill(&plan.attributes, &mut scratch);
            scratch.to_owned_values()
        };
        let (slot, renew) = match affinity.find(&values) {
            Ok(Binding::Bound(slot)) => (Some(slot), false),
            Ok(Binding::Renew(slot)) => (Some(slot), true),
            Ok(Binding::Lost | Binding::Unbound) => (None, false),
            Err(fault) => {
                affinity.count_fallback(fault);
                (None, false)
            }
        };
        let picked = slot.and_then(|slot| cluster.bound(slot));
        if let (Some(slot), None) = (slot, &picked) {
            let reason = format_args!("found a binding to slot {slot}, which takes no requests of bound clients");
            affinity.count_fallback(affinity.invalid_answer(reason));
        }
        Self { asked: Some(Asked { plan, values, renew }), picked }
    }

    pub(super) fn bound(&self) -> Option<Picked> {
        self.picked.clone()
    }

    /// Makes of the client's head what the policy wants endpoints to see.
    pub(super) fn prepare(&self, cluster: &Cluster, headers: &mut Fields) {
        let (Some(affinity), Some(asked)) = (&cluster.affinity, &self.asked) else { return };
        if !asked.plan.rewrites_requests || affinity.plan() != asked.plan {
            return;
        }
        match affinity.prepare(&asked.values) {
            Ok(edits) => apply(edits, affinity, headers, edit_request),
            Err(fault) => affinity.count_fallback(fault),
        }
    }

    /// Gives the client what makes it come back to the endpoint that answered, unless it has that already.
    pub(super) fn remember(&self, cluster: &Cluster, picked: &Picked, headers: &mut Fields) {
        let (Some(affinity), Some(asked)) = (&cluster.affinity, &self.asked) else { return };
        let slot = picked.endpoint.endpoint.slot;
        let bound = self.picked.as_ref().map(|picked| picked.endpoint.endpoint.slot);
        let wanted = &asked.plan.response_headers;
        let tells = || wanted.iter().flatten().any(|name| headers.contains(name));
        if bound == Some(slot) && !asked.renew && !tells() {
            return;
        }
        // A version that came meanwhile may have asked for other values.
        if affinity.plan() != asked.plan {
            return;
        }
        match affinity.bind(&asked.values, slot, &fields(headers, asked)) {
            Ok(edits) => apply(edits, affinity, headers, edit_fields),
            Err(fault) => affinity.count_fallback(fault),
        }
    }
}

/// The fields of the headers that the policy wants to see.
fn fields(headers: &Fields, asked: &Asked) -> Vec<Vec<Vec<u8>>> {
    let of = |name| headers.get_all(name).map(|field| field.as_bytes().to_vec()).collect();
    asked.plan.response_headers.iter().map(|name| name.as_ref().map_or_else(Vec::new, of)).collect()
}

/// Makes the edits that are allowed; whether there were others is counted.
fn apply(
    edits: Vec<HeaderEdit>,
    affinity: &Affinity,
    headers: &mut Fields,
    apply: fn(&mut Fields, HeaderEdit) -> bool,
) {
    let refused = edits.into_iter().map(|edit| apply(headers, edit)).filter(|made| !made).count();
    if refused > 0 {
        affinity.invalid_answer(format_args!("asked for {refused} edits of headers that are the proxy's own"));
    }
}

/// False if the edit is not allowed, and was not made.
fn edit_fields(headers: &mut Fields, edit: HeaderEdit) -> bool {
    match edit {
        HeaderEdit::Set(name, _) | HeaderEdit::Append(name, _) | HeaderEdit::Remove(name) if is_ours(&name) => {
            return false;
        }
        HeaderEdit::Set(name, value) => {
            headers.insert(name, value);
        }
        HeaderEdit::Append(name, value) => {
            headers.append(name, value);
        }
        HeaderEdit::Remove(name) => {
            headers.remove(name);
        }
        HeaderEdit::ReplaceCookie(..) | HeaderEdit::RemoveCookie(_) => return false,
    }
    true
}

/// As [`edit_fields`], with cookies as well.
fn edit_request(headers: &mut Fields, edit: HeaderEdit) -> bool {
    match edit {
        HeaderEdit::ReplaceCookie(name, value) => edit_cookies(headers, name.as_bytes(), Some(&value)),
        HeaderEdit::RemoveCookie(name) => edit_cookies(headers, name.as_bytes(), None),
        other => return edit_fields(headers, other),
    }
    true
}

/// Gives the first cookie of a name another value, or takes all of them away. The others stay as they are, byte by byte.
/// A field that is left empty goes.
fn edit_cookies(headers: &mut Fields, name: &[u8], value: Option<&[u8]>) {
    let is_named = |pair: &[u8]| {
        let pair = pair.trim_ascii_start();
        pair.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'='))
    };
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).cloned().collect();
    let mut replacement = value;
    let mut edited = Vec::with_capacity(fields.len());
    for field in &fields {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            match (is_named(pair), replacement) {
                (false, _) => kept.push(pair.to_vec()),
                (true, Some(value)) => {
                    let space = &pair[..pair.len() - pair.trim_ascii_start().len()];
                    kept.push([space, name, b"=", value].concat());
                    replacement = None;
                }
                (true, None) if value.is_some() => kept.push(pair.to_vec()),
                (true, None) => {}
            }
        }
        let joined = kept.join(&b';');
        let joined = joined.trim_ascii();
        if !joined.is_empty() {
            // Made of what was a value before, and of one that was checked.
            edited.extend(HeaderValue::from_bytes(joined));
        }
    }
    headers.remove(COOKIE);
    edited.into_iter().for_each(|field| {
        headers.append(COOKIE, field);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(fields: &[&str], edit: HeaderEdit) -> Vec<String> {
        let mut headers = Fields::new();
        for field in fields {
            headers.append(COOKIE, field.parse().expect("a value"));
        }
        assert!(edit_request(&mut headers, edit));
        headers.get_all(COOKIE).map(|field| field.to_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn a_cookie_goes_and_the_others_stay() {
        let remove = |fields: &[&str]| cookies(fields, HeaderEdit::RemoveCookie("a".into()));
        assert_eq!(remove(&["a=1; b=2; aa=3; a=4"]), ["b=2; aa=3"]);
        assert_eq!(remove(&["b=2;a=1;  c"]), ["b=2;  c"]);
        assert_eq!(remove(&["a=1", "b=2; a=3"]), ["b=2"]);
        assert_eq!(remove(&["a=1"]), [""; 0]);
        assert_eq!(remove(&["A=1; a; xa=1"]), ["A=1; a; xa=1"]);
    }

    #[test]
    fn the_first_cookie_of_a_name_gets_its_value() {
        let replace = |fields: &[&str]| cookies(fields, HeaderEdit::ReplaceCookie("a".into(), b"x=y".to_vec()));
        assert_eq!(replace(&["b=2; a=1; c=3; a=9"]), ["b=2; a=x=y; c=3; a=9"]);
        assert_eq!(replace(&["b=2", "a=; c"]), ["b=2", "a=x=y; c"]);
        assert_eq!(replace(&["b=2"]), ["b=2"]);
    }

    /// The values that policies see of the cookies `a` and `b`.
    fn seen(headers: &Fields) -> Vec<Option<Vec<u8>>> {
        let head = plimsoll_fields::RequestHead { headers: headers.clone(), ..Default::default() };
        let client = super::super::client::Client::new(([192, 0, 2, 7], 4711).into(), None);
        let mut values = crate::plugin::AttributeValues::default();
        let wanted = ["a", "b"].map(|name| crate::plugin::Attribute::Cookie(name.into()));
        Visible::of_request("web", &client, &client.source, &head, None).fill(&wanted, &mut values);
        values.to_owned_values()
    }

    proptest::proptest! {
        #[test]
        fn what_is_edited_is_what_policies_see(fields in proptest::collection::vec("[ab=;\\x20]{0,12}", 0..4)) {
            let mut headers = Fields::new();
            for field in &fields {
                headers.append(COOKIE, field.parse().expect("a value"));
            }
            let before = seen(&headers);
            let mut replaced = headers.clone();
            edit_cookies(&mut replaced, b"a", Some(b"x"));
            let expected = before[0].as_ref().map(|_| b"x".to_vec());
            proptest::prop_assert_eq!(seen(&replaced), [expected, before[1].clone()]);
            edit_cookies(&mut headers, b"a", None);
            proptest::prop_assert_eq!(seen(&headers), [None, before[1].clone()]);
        }
    }

    #[test]
    fn fields_that_are_ours_are_not_edited() {
        let value = || HeaderValue::from_static("x");
        let mut headers = Fields::from_iter([(http::header::CONTENT_LENGTH, HeaderValue::from_static("7"))]);
        for name in ["connection", "content-length", "transfer-encoding", "host", "upgrade", "te", "trailer"] {
            let name: http::HeaderName = name.parse().expect("a name");
            assert!(!edit_fields(&mut headers, HeaderEdit::Set(name.clone(), value())), "{name}");
            assert!(!edit_fields(&mut headers, HeaderEdit::Append(name.clone(), value())), "{name}");
            assert!(!edit_fields(&mut headers, HeaderEdit::Remove(name)));
        }
        assert!(edit_fields(&mut headers, HeaderEdit::Append("set-cookie".parse().expect("a name"), value())));
        assert!(!edit_fields(&mut headers, HeaderEdit::RemoveCookie("a".into())), "answers have none");
        assert_eq!((headers.len(), headers["content-length"].as_bytes()), (2, &b"7"[..]));
    }
}
