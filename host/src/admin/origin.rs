//! Without a token, whoever reaches the admin API may use it: so it must not be reached by pages that the operator's browser
//! shows. A page's requests carry its name in `Host`, also after the name was rebound to this address, and, but for plain
//! reading, where it came from in `Origin` (RFC 6454) and `Sec-Fetch-Site` (W3C Fetch Metadata).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::telemetry::{AdminRefusal, Registry, printable_within};

/// The names by which the API may be asked.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// Lower-case, beyond those of loopback.
    names: Arc<[String]>,
    registry: Arc<Registry>,
}

impl Hosts {
    pub(super) fn of(names: &[String], registry: Arc<Registry>) -> Self {
        Self { names: names.iter().map(|name| name.to_ascii_lowercase()).collect(), registry }
    }

    /// Whether a host, without its port, is this machine's own or one that the configuration names.
    fn has(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        host == "localhost"
            || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
            || self.names.contains(&host)
    }

    fn check(&self, request: &Request) -> Result<(), (AdminRefusal, ApiError)> {
        let host = self.check_host(request).map_err(|error| (AdminRefusal::Host, error))?;
        check_origin(request.method(), request.headers(), &host).map_err(|error| (AdminRefusal::Origin, error))
    }

    /// The authority that is asked: of the target, where it has one (RFC 9112 section 3.2.2), and of `Host`.
    fn check_host(&self, request: &Request) -> Result<String, ApiError> {
        let mut sent = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (sent.next(), sent.next()) else {
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_host", "a request has one `Host`"));
        };
        let host = host.to_str().unwrap_or_default();
        let of_target = request.uri().authority().map(Authority::as_str);
        for authority in [Some(host), of_target].into_iter().flatten() {
            let known = authority.parse::<Authority>().is_ok_and(|authority| self.has(authority.host()));
            if !known {
                return Err(ApiError::new(
                    StatusCode::MISDIRECTED_REQUEST,
                    "host_not_allowed",
                    format!(
                        "without a token the admin API answers to loopback's names and addresses only, not to `{}`; \
                         `admin.hosts` allows others",
                        printable_within(authority, 256)
                    ),
                ));
            }
        }
        Ok(host.to_ascii_lowercase())
    }
}

fn check_origin(method: &Method, headers: &HeaderMap, host: &str) -> Result<(), ApiError> {
    let is_own = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let foreign = headers.get_all(ORIGIN).iter().find(|origin| !origin.to_str().is_ok_and(is_own));
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    let site = headers.get("sec-fetch-site").filter(|site| changes && *site != "same-origin" && *site != "none");
    let Some(from) = foreign.or(site) else { return Ok(()) };
    let from = printable_within(&String::from_utf8_lossy(from.as_bytes()), 256);
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        format!("the request comes from a page of another origin (`{from}`), and without a token none may send any"),
    ))
}

/// Lets a request through that no page of another origin can have sent.
pub(super) async fn require(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err((refusal, error)) => {
            hosts.registry.admin_refused(refusal);
            error.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn refused(method: &str, fields: &[(&str, &str)]) -> Option<&'static str> {
        let hosts = Hosts::of(&["Admin.Example".to_owned()], Arc::default());
        let mut request = Request::builder().method(method).uri("/v1/status");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        hosts.check(&request).err().map(|(refusal, _)| refusal.as_str())
    }

    #[test]
    fn loopback_and_configured_names_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:9900",
            "localhost.",
            "127.0.0.1:9900",
            "127.8.8.8",
            "[::1]:9900",
            "[::ffff:127.0.0.1]",
            "admin.example",
            "ADMIN.example:443",
        ] {
            assert_eq!(refused("PUT", &[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "evil.test",
            "127.0.0.1.evil.test:9900",
            "localhost.evil.test",
            "10.0.0.1",
            "[::2]",
            "",
            "a b",
            "localhost@evil.test",
            "0.0.0.0",
        ] {
            assert_eq!(refused("GET", &[("host", host)]), Some("host"), "{host}");
        }
        assert_eq!(refused("GET", &[]), Some("host"));
        assert_eq!(refused("GET", &[("host", "localhost"), ("host", "localhost")]), Some("host"));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = ("host", "localhost:9900");
        for origin in
            ["https://evil.test", "null", "http://localhost:3000", "http://127.0.0.1:9900", "", "localhost:9900"]
        {
            for method in ["GET", "POST", "PUT"] {
                assert_eq!(refused(method, &[host, ("origin", origin)]), Some("origin"), "{method} {origin}");
            }
        }
        assert_eq!(refused("POST", &[host, ("origin", "http://LOCALHOST:9900")]), None);
        assert_eq!(refused("POST", &[host, ("sec-fetch-site", "cross-site")]), Some("origin"));
        assert_eq!(refused("POST", &[host, ("sec-fetch-site", "same-site")]), Some("origin"));
        assert_eq!(refused("POST", &[host, ("sec-fetch-site", "same-origin")]), None);
        // A link that somebody follows.
        assert_eq!(refused("GET", &[host, ("sec-fetch-site", "cross-site")]), None);
    }
}
