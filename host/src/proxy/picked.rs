use std::rc::Rc;
use std::sync::Arc;

use super::balancing::Balancing;
use super::shown::Shown;
use crate::plugin::Choice;
use crate::upstream::{InFlight, LocalEndpoint};

/// The endpoint of an attempt.
#[derive(Clone, Debug)]
pub(super) struct Picked {
    pub(super) endpoint: Rc<LocalEndpoint>,
    /// The balancer's choice; none when the host chose, or the client was bound.
    pub(super) choice: Option<Choice>,
    pub(super) by: PickedBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickedBy {
    Balancer,
    Affinity,
    /// The connection of QUIC that the client has with it.
    Connection,
    /// The host, because the balancer failed.
    Fallback,
    /// The host, because what the balancer chose was full.
    Room,
}

impl Picked {
    /// Why it was chosen, in a word: the balancer's, or the host's.
    pub(super) fn reason(&self, balancing: &Balancing) -> Option<Arc<str>> {
        match (self.choice, self.by) {
            (Some(choice), _) => balancing.reason(choice),
            (None, PickedBy::Affinity) => Some("affinity".into()),
            (None, PickedBy::Connection) => Some("connection".into()),
            (None, PickedBy::Fallback) => Some("fallback".into()),
            (None, PickedBy::Room) => Some("room".into()),
            (None, PickedBy::Balancer) => None,
        }
    }
}

/// Whom a request wants to go to.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The endpoint that the client is bound to.
    pub(super) bound: Option<Picked>,
    pub(super) key: Option<u64>,
    pub(super) shown: &'a Shown,
    /// Slots that failed the request.
    pub(super) tried: &'a [u32],
}

/// What came of looking for an endpoint: where the attempt has begun.
pub(super) type Claim = plimsoll_resilience::Claim<(Picked, InFlight)>;
