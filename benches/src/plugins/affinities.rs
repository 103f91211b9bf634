//! Whether a client is bound, and to what.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail, ensure};
use plimsoll::plugin::{Affinity, Binding, HeaderEdit, Role};
use serde_json::{Value, json};

use super::endpoints::endpoints;
use super::policy::{config, policy};
use super::shelf::Shelf;
use crate::measure::Case;

/// Those that keep what binds a client at the proxy or at the endpoint, each with what a client sends.
const FOUND: [(&str, &str, &str); 7] = [
    ("cookie-prefix", "{}", "8f3a52c0d1"),
    ("cookie-rewrite", "{}", "8f3a52c0d1"),
    ("header", "{}", "8f3a52c0d1"),
    ("jwt-claim", "{}", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"),
    ("learn", r#"{"from":[{"cookie":"session"}]}"#, "8f3a52c0d1"),
    ("route", r#"{"cookie":"JSESSIONID"}"#, "8f3a52c0d1.here-3.example.com:8080"),
    ("source-ip", "{}", "192.0.2.7"),
];

pub(super) fn cases(shelf: &Shelf) -> Result<Vec<Case>> {
    let mut cases = cookie(shelf)?;
    for (name, options, value) in FOUND {
        let affinity = affinity(shelf, name, &serde_json::from_str(options)?)?;
        let values = vec![Some(value.as_bytes().to_vec())];
        affinity.bind(&values, 3, &[])?;
        cases.push(Case::new(format!("{name}: find"), move |_| Ok(affinity.find(&values)?)));
    }
    Ok(cases)
}

fn affinity(shelf: &Shelf, name: &str, options: &Value) -> Result<Affinity> {
    let (instance, policy) = policy(shelf, name, config(Role::Affinity, options), &endpoints(1, "here", 10))?;
    Ok(Affinity::new(Rc::new(RefCell::new(instance)), policy))
}

fn cookie(shelf: &Shelf) -> Result<Vec<Case>> {
    let affinity = || affinity(shelf, "cookie", &json!({}));
    let (known, new, forged, bound) = (affinity()?, affinity()?, affinity()?, affinity()?);
    let token = token(&known)?;
    let mut forgery = token.clone();
    // Within the signature, so that it takes the whole of a verification to refuse it.
    forgery[LETTER_OF_SIGNATURE] = if forgery[LETTER_OF_SIGNATURE] == b'A' { b'B' } else { b'A' };
    let (token, forgery) = ([Some(token)].to_vec(), [Some(forgery)].to_vec());
    ensure!(known.find(&token)? == Binding::Bound(3), "a client is bound to where its cookie says");
    ensure!(forged.find(&forgery)? == Binding::Lost, "a forged cookie binds to nothing");
    Ok(vec![
        Case::new("cookie: find for a known client", move |_| Ok(known.find(&token)?)),
        Case::new("cookie: find without a cookie", move |_| Ok(new.find(&vec![None])?)),
        Case::new("cookie: find with a forged cookie", move |_| Ok(forged.find(&forgery)?)),
        Case::new("cookie: bind", move |number| Ok(bound.bind(&vec![None], (number % 10) as u32, &[])?)),
    ])
}

const LETTER_OF_SIGNATURE: usize = 20;

/// What a client of slot 3 sends back.
fn token(affinity: &Affinity) -> Result<Vec<u8>> {
    let edits = affinity.bind(&vec![None], 3, &[])?;
    let Some(HeaderEdit::Append(_, cookie)) = edits.first() else { bail!("a new client is given a cookie") };
    let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let (_, token) = pair.split_at(pair.iter().position(|byte| *byte == b'=').context("a cookie has a value")? + 1);
    Ok(token.to_vec())
}
