use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::net::TcpStream;

use crate::config::UpstreamProtocol;
use crate::tls::{Carries, UpstreamTls};

/// Whole answers that are read; a chain of certificates is a fraction of it.
const ANSWER_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// Speaks HTTP to an authority, over a connection for each of the few requests that an order takes.
#[derive(Clone, Debug)]
pub(super) struct Client {
    tls: UpstreamTls,
    /// When the last answer that was none allows another try.
    retry_at: Arc<Mutex<Option<SystemTime>>>,
}

impl Client {
    pub(super) fn new(tls: UpstreamTls) -> Self {
        Self { tls, retry_at: Arc::default() }
    }

    /// How long the authority wants to be left alone, if it has said so when it refused.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let at = *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner);
        at.and_then(|at| at.duration_since(SystemTime::now()).ok())
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let uri = request.uri().clone();
        let answered = tokio::time::timeout(PATIENCE, self.send(request)).await;
        let told = |message: String| Error::Other(format!("asking {uri} failed: {message}").into());
        let response = answered.map_err(|_| told(format!("no answer within {PATIENCE:?}")))?.map_err(told)?;
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(read_retry_after);
            *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner) = retry_after;
            // RFC 8555 section 6.7: what ACME knows comes as a problem document.
            let is = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("json"));
            if !response.headers().get(CONTENT_TYPE).is_some_and(is) {
                return Err(told(format!("it answers {status}, without a word of ACME")));
            }
        }
        Ok(response.into())
    }

    async fn send(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, String> {
        let uri = request.uri().clone();
        let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("an authority is asked by `https` only".to_owned());
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(443)))
            .await
            .map_err(|error| format!("no connection: {error}"))?;
        let endpoint = self.tls.towards(host, UpstreamProtocol::Http1);
        let stream = endpoint
            .shake_hands(stream, Carries::Http1)
            .await
            .map_err(|cause| format!("no TLS: {cause} (`acme.ca_file` has the roots of an authority of your own)"))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let host = HeaderValue::try_from(authority.as_str()).map_err(|error| error.to_string())?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = origin_form(&uri)?;
        // It ends with the sender.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(head, Full::new(body.to_bytes())))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().exchange(request))
    }
}

fn origin_form(uri: &Uri) -> Result<Uri, String> {
    uri.path_and_query().map_or("/", |target| target.as_str()).parse().map_err(|_| format!("{uri} has no path"))
}

/// RFC 9110 section 10.2.3.
fn read_retry_after(value: &HeaderValue) -> Option<SystemTime> {
    let text = value.to_str().ok()?.trim();
    match text.parse::<u64>() {
        Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_10_2_3_a_time_to_wait_is_a_number_or_a_date() {
        let of = |text: &'static str| read_retry_after(&HeaderValue::from_static(text));
        let until = |at: Option<SystemTime>| at.and_then(|at| at.duration_since(SystemTime::now()).ok());
        assert!(until(of("120")).is_some_and(|wait| (118..=120).contains(&wait.as_secs())));
        assert!(until(of("Fri, 31 Dec 2399 23:59:59 GMT")).is_some());
        assert_eq!(until(of("Fri, 31 Dec 1999 23:59:59 GMT")), None);
        for nothing in ["", "soon", "-1", "99999999999999999999"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        assert_eq!(of("18446744073709551615"), None);
    }
}
