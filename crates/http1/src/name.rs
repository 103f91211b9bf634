use http::HeaderName;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH,
    CONTENT_TYPE, COOKIE, DATE, ETAG, EXPIRES, HOST, LAST_MODIFIED, ORIGIN, REFERER, SERVER, SET_COOKIE,
    TRANSFER_ENCODING, USER_AGENT, VARY,
};

use crate::error::Error;

/// The name of a field. Those of nearly all messages are known at a glance, as they are usually written: any other is read letter by
/// letter, which takes longer.
pub(crate) fn field_name(text: &str) -> Result<HeaderName, Error> {
    let known = match text.len() {
        4 => match text {
            "Date" | "date" => DATE,
            "Host" | "host" => HOST,
            "ETag" | "Etag" | "etag" => ETAG,
            "Vary" | "vary" => VARY,
            _ => return any(text),
        },
        6 => match text {
            "Accept" | "accept" => ACCEPT,
            "Cookie" | "cookie" => COOKIE,
            "Origin" | "origin" => ORIGIN,
            "Server" | "server" => SERVER,
            _ => return any(text),
        },
        7 => match text {
            "Expires" | "expires" => EXPIRES,
            "Referer" | "referer" => REFERER,
            _ => return any(text),
        },
        10 => match text {
            "Connection" | "connection" => CONNECTION,
            "User-Agent" | "user-agent" => USER_AGENT,
            "Set-Cookie" | "set-cookie" => SET_COOKIE,
            _ => return any(text),
        },
        12 => match text {
            "Content-Type" | "content-type" => CONTENT_TYPE,
            _ => return any(text),
        },
        13 => match text {
            "Cache-Control" | "cache-control" => CACHE_CONTROL,
            "Last-Modified" | "last-modified" => LAST_MODIFIED,
            "Accept-Ranges" | "accept-ranges" => ACCEPT_RANGES,
            "Authorization" | "authorization" => AUTHORIZATION,
            _ => return any(text),
        },
        14 => match text {
            "Content-Length" | "content-length" => CONTENT_LENGTH,
            _ => return any(text),
        },
        15 => match text {
            "Accept-Encoding" | "accept-encoding" => ACCEPT_ENCODING,
            "Accept-Language" | "accept-language" => ACCEPT_LANGUAGE,
            _ => return any(text),
        },
        17 => match text {
            "Transfer-Encoding" | "transfer-encoding" => TRANSFER_ENCODING,
            _ => return any(text),
        },
        _ => return any(text),
    };
    Ok(known)
}

fn any(text: &str) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| Error::Malformed("field name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(name: &str) -> String {
        let parts = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]);
        parts.collect::<Vec<_>>().join("-")
    }

    #[test]
    fn a_name_is_the_same_however_it_is_written() {
        let known = [
            ACCEPT,
            ACCEPT_ENCODING,
            ACCEPT_LANGUAGE,
            ACCEPT_RANGES,
            AUTHORIZATION,
            CACHE_CONTROL,
            CONNECTION,
            CONTENT_LENGTH,
            CONTENT_TYPE,
            COOKIE,
            DATE,
            ETAG,
            EXPIRES,
            HOST,
            LAST_MODIFIED,
            ORIGIN,
            REFERER,
            SERVER,
            SET_COOKIE,
            TRANSFER_ENCODING,
            USER_AGENT,
            VARY,
            HeaderName::from_static("x-other"),
        ];
        for name in known {
            for text in [name.as_str(), &title(name.as_str()), &name.as_str().to_uppercase(), "ETag", "Etag"] {
                let expected = if text.eq_ignore_ascii_case("etag") { ETAG } else { name.clone() };
                assert_eq!(field_name(text), Ok(expected), "{text}");
            }
        }
        assert!(field_name("x y").is_err() && field_name("").is_err());
    }
}
