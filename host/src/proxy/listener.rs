use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;

use super::attributes::Visible;
use super::cluster::Cluster;
use super::context::Context;
use super::first_bytes::Interest;
use crate::config;
use crate::plugin::{Action, Decision, Fault, RouteSettings, Router};
use crate::telemetry::ListenerShard;
use crate::tls::ServerTls;

/// A listener of one configuration as a worker sees it, with the clusters that it can lead to. A request holds it from
/// its first to its last byte.
#[derive(Debug)]
pub struct Listener {
    pub name: Arc<str>,
    pub config: Arc<config::Listener>,
    pub shard: Arc<ListenerShard>,
    pub destination: Destination,
    pub tls: Option<ServerTls>,
    /// The port in force: the one that the system chose, where the configuration says 0.
    pub port: u16,
    /// How it speaks QUIC, where it speaks HTTP/3.
    pub quic: Option<Arc<quinn::ServerConfig>>,
    /// What `Alt-Svc` says, where it speaks HTTP/3.
    pub alternative: Option<HeaderValue>,
    /// All clusters in the order of the configuration.
    pub clusters: Rc<[Rc<Cluster>]>,
}

/// Who decides where requests go.
#[derive(Debug)]
pub enum Destination {
    /// Everything goes to this cluster.
    Cluster(usize),
    Router(Router),
    /// Requests are only redirected.
    Nowhere,
}

/// Where connections find the listener that is current: it changes under them when the configuration does.
#[derive(Debug, Default)]
pub struct ListenerSlot(RefCell<Current>);

#[derive(Debug, Default)]
enum Current {
    #[default]
    Gone,
    Listener(Rc<Listener>),
    /// Whichever is that of another slot.
    SameAs(Rc<ListenerSlot>),
}

impl ListenerSlot {
    /// None once the listener is no longer configured.
    pub fn current(&self) -> Option<Rc<Listener>> {
        match &*self.0.borrow() {
            Current::Gone => None,
            Current::Listener(listener) => Some(listener.clone()),
            Current::SameAs(other) => other.current(),
        }
    }

    pub fn set(&self, listener: Rc<Listener>) {
        *self.0.borrow_mut() = Current::Listener(listener);
    }

    /// From now on the listener is that of another slot, which has one of its own.
    pub fn follow(&self, other: &Rc<Self>) {
        *self.0.borrow_mut() = Current::SameAs(other.clone());
    }

    /// The listener has gone from the configuration.
    pub fn clear(&self) {
        *self.0.borrow_mut() = Current::Gone;
    }
}

/// Where one request goes.
pub(super) struct Route {
    pub(super) target: Target,
    /// What holds for its requests; none when no route took part.
    pub(super) settings: Option<Arc<RouteSettings>>,
    /// The router gave no answer, and the host knew where else to go.
    pub(super) by_fallback: bool,
}

impl Route {
    /// Of no router.
    pub(super) fn to(cluster: Rc<Cluster>) -> Self {
        Self { target: Target::Cluster(cluster), settings: None, by_fallback: false }
    }
}

pub(super) enum Target {
    Cluster(Rc<Cluster>),
    Redirect(Arc<crate::plugin::Redirect>),
    Respond(Arc<crate::plugin::Response>),
    Nowhere,
}

impl Listener {
    /// What the route depends on of the beginning of a TCP connection.
    pub(super) fn interest(&self) -> Interest {
        match &self.destination {
            Destination::Cluster(_) | Destination::Nowhere => Interest::default(),
            Destination::Router(router) => {
                router.plan().map(|plan| Interest::of_attributes(&plan.attributes)).unwrap_or_default()
            }
        }
    }

    /// How much of a request's body the route depends on.
    pub(super) fn body_prefix(&self) -> usize {
        match &self.destination {
            Destination::Cluster(_) | Destination::Nowhere => 0,
            Destination::Router(router) => router.body_prefix(),
        }
    }

    pub(super) fn route(&self, context: &Context, visible: Visible<'_>) -> Result<Route, Fault> {
        let router = match &self.destination {
            Destination::Cluster(index) => {
                return Ok(Route { target: self.cluster(*index), settings: None, by_fallback: false });
            }
            Destination::Nowhere => return Ok(Route { target: Target::Nowhere, settings: None, by_fallback: false }),
            Destination::Router(router) => router,
        };
        let mut values = context.values.borrow_mut();
        let decision = router.route(&mut values, |attributes, values| visible.fill(attributes, values));
        let by_fallback = decision.is_err();
        let Decision { action, route } = decision.or_else(|fault| {
            router.count_fallback(fault);
            router.fallback().map(|action| Decision { action, route: None }).ok_or(fault)
        })?;
        let target = match action {
            Action::Forward(index) => self.cluster(index as usize),
            Action::Redirect(redirect) => Target::Redirect(redirect),
            Action::Respond(response) => Target::Respond(response),
            Action::NoRoute => Target::Nowhere,
        };
        Ok(Route { target, settings: route, by_fallback })
    }

    fn cluster(&self, index: usize) -> Target {
        self.clusters.get(index).map_or(Target::Nowhere, |cluster| Target::Cluster(cluster.clone()))
    }
}
