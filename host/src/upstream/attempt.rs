use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use super::endpoint::LocalEndpoint;
use super::pool::Sender;
use super::request_body::RequestBody;
use crate::error::{Error, ErrorKind};
use crate::timer::{Timer, Timers};

/// One try of a request at one endpoint, up to the head of its answer.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub endpoint: &'a LocalEndpoint,
    pub timers: &'a Timers,
    /// Armed while the endpoint is waited for.
    pub timer: &'a Timer,
    pub first_byte_timeout: Option<Duration>,
}

/// The head of an answer, and the connection it came on.
#[derive(Debug)]
pub struct Answer {
    pub response: Response<Incoming>,
    pub sender: Sender,
    pub reused: bool,
    pub first_byte: Duration,
}

/// A failed attempt.
#[derive(Debug)]
pub struct AttemptError {
    pub error: Error,
    /// The request, when no byte of it was sent: it may be tried elsewhere, whatever it asks for.
    pub unsent: Option<Box<Request<RequestBody>>>,
    /// It failed on a kept connection, which the endpoint may just have closed.
    pub reused: bool,
}

impl Attempt<'_> {
    /// Sends the request on a kept or a new connection. A kept connection that turns out closed before anything was
    /// sent is replaced by another. One that closes while the request is under way is the endpoint's right too: if the
    /// request is `repeatable`, it is sent once more, on a new connection.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        repeatable: Option<&Parts>,
    ) -> Result<Answer, AttemptError> {
        let mut kept_allowed = true;
        loop {
            let kept = kept_allowed.then(|| self.endpoint.pool.take()).flatten();
            let (sender, reused) = match kept {
                Some(sender) => (sender, true),
                None => match self.endpoint.pool.connect(self.timers).await {
                    Ok(sender) => (sender, false),
                    Err(error) => return Err(AttemptError { error, unsent: Some(Box::new(request)), reused: false }),
                },
            };
            match self.send_on(sender, reused, request).await {
                Err(AttemptError { unsent: Some(unsent), reused: true, .. }) => request = *unsent,
                Err(failed) if failed.reused && failed.error.kind == ErrorKind::UpstreamReset => {
                    let Some(head) = repeatable else { return Err(failed) };
                    kept_allowed = false;
                    request = Request::from_parts(head.clone(), RequestBody::empty());
                }
                result => return result,
            }
        }
    }

    async fn send_on(
        &self,
        mut sender: Sender,
        reused: bool,
        request: Request<RequestBody>,
    ) -> Result<Answer, AttemptError> {
        match self.first_byte_timeout {
            Some(timeout) => self.timer.arm(timeout),
            None => self.timer.disarm(),
        }
        let started = Instant::now();
        let answer = self.timer.bound(sender.try_send_request(request)).await;
        self.timer.disarm();
        match answer {
            Ok(Ok(response)) => Ok(Answer { response, sender, reused, first_byte: started.elapsed() }),
            Ok(Err(mut failure)) => {
                let unsent = failure.take_message().map(Box::new);
                Err(AttemptError { error: classify(failure.into_error()), unsent, reused })
            }
            Err(_elapsed) => {
                Err(AttemptError { error: ErrorKind::FirstByteTimeout.into(), unsent: None, reused })
            }
        }
    }
}

fn classify(error: hyper::Error) -> Error {
    let kind = if error.is_parse() { ErrorKind::UpstreamProtocol } else { ErrorKind::UpstreamReset };
    Error::new(kind, error)
}
