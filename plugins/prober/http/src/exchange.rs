use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{ProbeRequest, Sorted};

use crate::expect::Expect;
use crate::token::{is_authority, is_token};

/// A request, and what is expected of the answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exchange {
    /// Path and query.
    pub(crate) path: String,
    pub(crate) method: String,
    /// `Host` of the request; the address of the endpoint unless given.
    pub(crate) host: Option<String>,
    /// Further header fields.
    pub(crate) headers: Sorted<String, String>,
    /// The body of the request.
    pub(crate) body: String,
    pub(crate) expect: Expect,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            method: "GET".to_owned(),
            host: None,
            headers: Sorted::new(),
            body: String::new(),
            expect: Expect::default(),
        }
    }
}

/// More does not belong into a probe.
const MOST_BODY_BYTES: usize = 4096;

impl Exchange {
    pub(crate) fn request(&self, address: &str) -> ProbeRequest {
        let fields = self.headers.iter().map(|(name, value)| field(name, value));
        let mut headers: Vec<Header> = fields.collect();
        if !headers.iter().any(|field| field.name == "host") {
            headers.insert(0, field("host", self.host.as_deref().unwrap_or(address)));
        }
        let (method, path) = (self.method.clone(), self.path.clone());
        ProbeRequest { method, path, headers, body: self.body.clone().into_bytes() }
    }

    /// What no verdict may tell, although the peer may say it back.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        self.headers.iter().map(|(_, value)| value.as_str()).chain([self.body.as_str()]).collect()
    }

    pub(crate) fn check(&self, at: &str, errors: &mut ConfigErrors) {
        let part = |part: &str| plimsoll_sdk::pointer(at, part);
        if !self.path.starts_with('/') || self.path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            let message = "expected a path that begins with `/`, without spaces, other letters percent-encoded";
            errors.push(part("path"), message);
        }
        if !is_token(&self.method) || self.method == "CONNECT" {
            errors.push(part("method"), format_args!("expected a method such as `GET`, not `{}`", self.method));
        }
        if self.host.as_ref().is_some_and(|host| !is_authority(host)) {
            errors.push(part("host"), "expected a host name, with a port if need be");
        }
        if self.body.len() > MOST_BODY_BYTES {
            errors.push(part("body"), format_args!("expected up to {MOST_BODY_BYTES} bytes"));
        }
        for (name, value) in self.headers.iter() {
            let path = plimsoll_sdk::pointer(&part("headers"), name);
            if !is_token(name) {
                errors.push(path, "expected the name of a header field");
            } else if self.host.is_some() && name.eq_ignore_ascii_case("host") {
                errors.push(path, "the host is given twice: here and as `host`");
            } else if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
                errors.push(path, "a header value has no control characters");
            }
        }
        self.expect.check(&part("expect"), errors);
    }
}

fn field(name: &str, value: &str) -> Header {
    Header { name: name.to_ascii_lowercase(), value: value.as_bytes().to_vec() }
}
