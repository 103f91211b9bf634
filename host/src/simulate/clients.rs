use std::collections::HashMap;
use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue};
use plimsoll_lab as lab;

use crate::plugin::{Attribute, Edits, HeaderEdit, Values};

/// A kind of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// The clients of all proxies: what they ask with, and the cookies that they were given. A key is a client.
#[derive(Debug, Default)]
pub(super) struct Clients {
    kinds: Arc<[Kind]>,
    cookies: HashMap<u64, HashMap<String, Vec<u8>>>,
}

impl Clients {
    pub(super) fn new(kinds: Arc<[Kind]>) -> Self {
        Self { kinds, cookies: HashMap::new() }
    }

    /// What policies see of a request, in the order in which they ask for it.
    pub(super) fn values(&self, attributes: &[Attribute], asked: lab::Asked) -> Values {
        attributes.iter().map(|attribute| self.value(attribute, asked)).collect()
    }

    fn value(&self, attribute: &Attribute, asked: lab::Asked) -> Option<Vec<u8>> {
        match attribute {
            Attribute::Method => Some(b"GET".to_vec()),
            Attribute::Scheme => Some(b"http".to_vec()),
            Attribute::Authority | Attribute::Listener => Some(b"simulation".to_vec()),
            Attribute::Path => Some(b"/".to_vec()),
            Attribute::SourceAddress => Some(address(asked.key?).into_bytes()),
            Attribute::Header(name) => {
                let kind = self.kinds.get(asked.kind as usize)?;
                kind.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_bytes().to_vec())
            }
            Attribute::Cookie(name) => self.cookies.get(&asked.key?)?.get(name).cloned(),
            _ => None,
        }
    }

    /// A client takes the cookies that it is given.
    pub(super) fn take(&mut self, client: u64, edits: Edits) {
        for edit in edits.into_iter().flatten() {
            let (HeaderEdit::Set(name, value) | HeaderEdit::Append(name, value)) = edit else { continue };
            let pair = value.to_str().ok().filter(|_| name == SET_COOKIE);
            let pair = pair.and_then(|text| text.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.entry(client).or_default().insert(name.trim().to_owned(), value.trim().into());
            }
        }
    }
}

/// Where a client is: an address of its own in 10.0.0.0/8 as far as there are enough.
fn address(client: u64) -> String {
    let [a, b, c, ..] = client.to_le_bytes();
    format!("10.{a}.{b}.{c}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_what_their_kind_has_and_the_cookies_that_they_were_given() {
        let headers = vec![(HeaderName::from_static("x-version"), HeaderValue::from_static("v2"))];
        let kinds = [Kind { headers: Vec::new() }, Kind { headers }];
        let mut clients = Clients::new(Arc::from(kinds));
        let edit = |value| Some(HeaderEdit::Append(SET_COOKIE, HeaderValue::from_static(value)));
        clients.take(7, vec![edit("SRV=abc; Path=/; HttpOnly"), None]);
        clients.take(7, vec![edit("SRV=def"), edit("other=1")]);
        let wanted = [
            Attribute::Header(HeaderName::from_static("x-version")),
            Attribute::Cookie("SRV".to_owned()),
            Attribute::SourceAddress,
            Attribute::Query,
        ];
        let seen = |key, kind| -> Vec<Option<String>> {
            let values = clients.values(&wanted, lab::Asked { key, kind });
            values.into_iter().map(|value| value.map(|value| String::from_utf8(value).expect("text"))).collect()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(seen(Some(7), 1), [text("v2"), text("def"), text("10.7.0.0"), None]);
        assert_eq!(seen(Some(8), 0), [None, None, text("10.8.0.0"), None]);
        assert_eq!(seen(None, 1), [text("v2"), None, None, None]);
    }
}
