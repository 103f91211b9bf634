use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll_fields::{RequestHead, ResponseHead};
use plimsoll_resilience::{Failure, Policy};

use super::cluster::Cluster;
use super::context::Context;
use super::flow::note;
use super::grpc;
use super::picked::Picked;
use crate::error::ErrorKind;
use crate::snapshot::{Outcome, OutcomeClass};
use crate::telemetry::ConnectResult;
use crate::timer::{Timer, Timers};
use crate::upstream::{Answer, Attempt, AttemptError, InFlight, Introduction, UploadState};

/// How the attempts of a request are made, wherever they go.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) timers: &'a Timers,
    pub(super) upload: Option<&'a Rc<UploadState>>,
    pub(super) repeatable: bool,
    pub(super) may_leave: bool,
    pub(super) upgrades: bool,
    pub(super) introduction: &'a Introduction,
    pub(super) first_byte_timeout: Option<Duration>,
    pub(super) interim: &'a dyn Fn(ResponseHead),
}

impl<'a> Sending<'a> {
    /// By value: what is borrowed would be kept in the future of every request.
    pub(super) fn attempt<'b>(
        self,
        picked: &'b Picked,
        head: &'b RequestHead,
        timer: &'b Timer,
        started: Instant,
    ) -> Attempt<'b>
    where
        'a: 'b,
    {
        let Self { timers, upload, repeatable, may_leave, upgrades, introduction, first_byte_timeout, .. } = self;
        let endpoint = &picked.endpoint;
        Attempt {
            endpoint,
            timers,
            timer,
            head,
            upload,
            repeatable,
            may_leave,
            upgrades,
            introduction,
            first_byte_timeout,
            started,
        }
    }
}

/// An attempt that has been made, with its answer or why there is none.
pub(super) struct Sent {
    pub(super) picked: Picked,
    pub(super) flight: InFlight,
    pub(super) started: Instant,
    pub(super) result: Result<Answer, AttemptError>,
}

/// The attempt that was answered.
pub(super) struct Tried {
    pub(super) picked: Picked,
    pub(super) flight: InFlight,
    pub(super) answer: Answer,
    pub(super) upload: Option<Rc<UploadState>>,
    pub(super) started: Instant,
}

impl Tried {
    /// Its client does not get the answer.
    pub(super) fn discard(self, context: &Context, cluster: &Rc<Cluster>) {
        let Self { picked, flight, mut answer, started, .. } = self;
        let status = answer.head.status;
        let class = if status.is_server_error() { OutcomeClass::ServerError } else { OutcomeClass::Success };
        let now = Instant::now();
        let outcome = Outcome {
            slot: picked.endpoint.endpoint.slot,
            class,
            status: status.as_u16(),
            first_byte_us: micros(answer.first_byte).max(1),
            total_us: micros(now.duration_since(started)),
        };
        cluster.note(context, &picked.endpoint, outcome);
        // Its connection can be used again if nothing more comes on it.
        if let Ok(Some(_)) = answer.body.take_whole() {
            answer.body.finish(now);
        }
        drop(flight);
    }
}

/// Takes note of an attempt that has failed.
pub(super) fn note_failure(
    context: &Context,
    cluster: &Rc<Cluster>,
    picked: &Picked,
    kind: ErrorKind,
    started: Instant,
) {
    let class = kind.outcome();
    if class == OutcomeClass::ConnectFailure {
        cluster.shard.connect(ConnectResult::Failed);
    }
    note(context, cluster, picked, class, None, started);
}

/// What an answer is that another endpoint may better.
pub(super) fn failure_of(policy: &Policy, is_call: bool, answer: &Answer) -> Option<Failure> {
    let status = answer.head.status;
    let failure = if status.is_client_error() || status.is_server_error() {
        Failure::Status(status.as_u16())
    } else if is_call && !policy.on.grpc.is_empty() && answer.body.is_ended() {
        Failure::Grpc(grpc::status(&answer.head.headers)? as u16)
    } else {
        return None;
    };
    policy.on.include(failure).then_some(failure)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
