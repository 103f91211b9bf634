//! Who forwarded for whom: the fields by which proxies tell each other and the endpoint where a request came from.

use http::header::{HOST, VIA};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Version};

use super::client::Client;
use crate::config::Forwarded;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Tells the endpoint who forwarded. `received` is the version of the request as the client sent it.
pub(super) fn forward(head: &mut Parts, client: &Client, forwarded: Forwarded, received: Version) {
    let headers = &mut head.headers;
    headers.reserve(4);
    let for_whom = match headers.get(&X_FORWARDED_FOR) {
        Some(_) if forwarded == Forwarded::Append => {
            let mut fields: Vec<&[u8]> = headers.get_all(&X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
            fields.push(client.ip.as_bytes());
            HeaderValue::from_bytes(&fields.join(&b", "[..])).unwrap_or_else(|_| client.ip.clone())
        }
        _ => client.ip.clone(),
    };
    headers.insert(X_FORWARDED_FOR, for_whom);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme()));
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(X_FORWARDED_HOST, host);
    }
    let via = match received {
        Version::HTTP_2 => "2.0 plimsoll",
        Version::HTTP_10 => "1.0 plimsoll",
        _ => "1.1 plimsoll",
    };
    headers.append(VIA, HeaderValue::from_static(via));
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn told(request: http::request::Builder, forwarded: Forwarded) -> Parts {
        let (mut head, ()) = request.body(()).expect("the request is valid").into_parts();
        let received = head.version;
        forward(&mut head, &Client::new(([192, 0, 2, 7], 4711).into(), false), forwarded, received);
        head
    }

    #[test]
    fn forwarding_appends_to_what_came_unless_told_to_replace() {
        let request = || Request::get("/").header("host", "a").header("x-forwarded-for", "10.0.0.1");
        assert_eq!(told(request(), Forwarded::Append).headers["x-forwarded-for"], "10.0.0.1, 192.0.2.7");
        let replaced = told(request(), Forwarded::Replace);
        assert_eq!(replaced.headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(replaced.headers["x-forwarded-proto"], "http");
        assert_eq!(replaced.headers["x-forwarded-host"], "a");
        assert_eq!(replaced.headers["via"], "1.1 plimsoll");
    }
}
