use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::kept::{Kept, Trouble};
use crate::acme::{Authority, Renewal};
use crate::config::AcmeNames;
use crate::control::task::Task;
use crate::tls::Certificate;

/// The certificates that are ordered, and from whom.
#[derive(Debug, Default)]
pub(in crate::control) struct Ordered {
    pub(super) authority: Option<Arc<Authority>>,
    pub(super) by_names: BTreeMap<AcmeNames, Order>,
}

/// A certificate that is ordered.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) renewal: Option<Renewal>,
    pub(super) trouble: Option<Trouble>,
    pub(super) is_under_way: bool,
    /// Somebody wants it now.
    pub(super) wanted_now: Arc<Notify>,
    _task: Task,
}

/// What a configuration orders, with what is kept of it.
#[derive(Debug, Default)]
pub(in crate::control) struct PreparedOrders {
    pub(super) authority: Option<Arc<Authority>>,
    pub(super) kept: BTreeMap<AcmeNames, Kept>,
}

impl Ordered {
    pub(super) fn certificate(&self, names: &AcmeNames) -> Option<Arc<Certificate>> {
        self.by_names.get(names).and_then(|order| order.certificate.clone())
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.by_names.values().filter_map(|order| order.certificate.as_ref())
    }

    /// Orders what a configuration wants from now on. What was ordered before of the same authority goes on as it is.
    /// `begin` starts what keeps a certificate ordered.
    pub(super) fn go_over_to(
        &mut self,
        prepared: PreparedOrders,
        begin: impl Fn(Arc<Authority>, AcmeNames, Arc<Notify>) -> Task,
    ) {
        let PreparedOrders { authority, kept } = prepared;
        let mut before = std::mem::take(&mut self.by_names);
        if !is_same(self.authority.as_ref(), authority.as_ref()) {
            before.clear();
        }
        if let Some(authority) = &authority {
            for (names, kept) in kept {
                let order = before.remove(&names);
                let order = order.unwrap_or_else(|| {
                    let wanted_now = Arc::new(Notify::new());
                    let task = begin(authority.clone(), names.clone(), wanted_now.clone());
                    Order::new(kept, wanted_now, task)
                });
                self.by_names.insert(names, order);
            }
        }
        self.authority = authority;
    }
}

fn is_same(one: Option<&Arc<Authority>>, other: Option<&Arc<Authority>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
}

impl Order {
    fn new(kept: Kept, wanted_now: Arc<Notify>, task: Task) -> Self {
        let Kept { certificate, trouble } = kept;
        Self { certificate, renewal: None, trouble, is_under_way: false, wanted_now, _task: task }
    }
}
