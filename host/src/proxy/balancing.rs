use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::plugin::{Attribute, Balancer, Choice, Fault, Group, Partitioner, PickRequest, Plugin, Values};
use crate::snapshot::{EndpointSet, Outcome};

/// Who chooses the endpoints of a cluster: its balancer, or, where partitioners divide the cluster, a balancer of the same
/// configuration for each group.
#[derive(Debug)]
pub struct Balancing {
    /// Knows all endpoints. It stands in for a partitioner that fails.
    balancer: Balancer,
    /// The outermost first. Those further in have a policy of their own for each group around them.
    partitioners: Vec<Partitioner>,
    groups: RefCell<Option<Rc<Groups>>>,
}

/// How a partitioner has divided what it was given.
#[derive(Debug)]
struct Groups {
    /// None for the outermost, which is the one of the configuration.
    partitioner: Option<Partitioner>,
    /// The version that has divided.
    version: Arc<Plugin>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    set: Arc<EndpointSet>,
    inside: Inside,
}

#[derive(Debug)]
enum Inside {
    Balancer(Balancer),
    Groups(Groups),
}

/// Groups of one partitioner. Each costs a policy of the balancer on every worker.
const MOST_GROUPS: usize = 1024;

impl Balancing {
    pub fn new(balancer: Balancer, partitioners: Vec<Partitioner>) -> Self {
        Self { balancer, partitioners, groups: RefCell::default() }
    }

    /// The policies of the configuration were created with these endpoints; those of the groups are still to be.
    pub(super) fn begin(&self, endpoints: &Arc<EndpointSet>) {
        self.divide(endpoints);
    }

    pub(super) fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.balancer.set_endpoints(endpoints);
        self.divide(endpoints);
    }

    /// What each partitioner wants to see of a request, the outermost first.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Arc<[Attribute]>> {
        self.partitioners.iter().map(Partitioner::attributes)
    }

    #[inline]
    pub(super) fn pick(&self, request: PickRequest<'_>, visible: &[Values]) -> Result<Option<Choice>, Fault> {
        if self.partitioners.is_empty() { self.balancer.pick(request) } else { self.pick_in_group(request, visible) }
    }

    fn pick_in_group(&self, request: PickRequest<'_>, visible: &[Values]) -> Result<Option<Choice>, Fault> {
        let Some(outermost) = self.groups.borrow().clone() else { return self.balancer.pick(request) };
        let attempt = u32::try_from(request.tried.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut groups = &*outermost;
        for (configured, values) in self.partitioners.iter().zip(visible) {
            let partitioner = groups.partitioner.as_ref().unwrap_or(configured);
            let member = match partitioner.choose(values, request.key, attempt) {
                Ok(None) => return Ok(None),
                Ok(Some(place)) => groups.members.get(place as usize).ok_or_else(|| partitioner.invalid_answer()),
                Err(fault) => Err(fault),
            };
            match member {
                Ok(Member { inside: Inside::Balancer(balancer), .. }) => return balancer.pick(request),
                Ok(Member { inside: Inside::Groups(further), .. }) => groups = further,
                Err(fault) => {
                    partitioner.count_fallback(fault);
                    return self.balancer.pick(request);
                }
            }
        }
        self.balancer.pick(request)
    }

    pub(super) fn outcomes(&self, batch: &[Outcome]) {
        self.balancer.outcomes(batch);
        if let Some(groups) = &*self.groups.borrow() {
            groups.tell_outcomes(batch);
        }
    }

    pub(super) fn wants_outcomes(&self) -> bool {
        self.balancer.wants_outcomes()
    }

    /// The balancer's word for a choice.
    pub(super) fn reason(&self, choice: Choice) -> Option<Arc<str>> {
        self.balancer.reason(choice)
    }

    /// Counts a choice that could not be used.
    pub(super) fn invalid_answer(&self) -> Fault {
        self.balancer.invalid_answer()
    }

    /// Counts that the host chose in the balancer's stead.
    pub(super) fn count_fallback(&self, fault: Fault) {
        self.balancer.count_fallback(fault);
    }

    /// Divides the endpoints anew. Without groups, because a partitioner failed, the balancer chooses among all.
    fn divide(&self, endpoints: &Arc<EndpointSet>) {
        let Some((outermost, inner)) = self.partitioners.split_first() else { return };
        let version = outermost.current_version();
        let before = self.groups.take().and_then(Rc::into_inner);
        // Another version may divide otherwise at the same generation, of which balancers would not hear.
        let before = before.filter(|before| Arc::ptr_eq(&before.version, &version));
        let divided = outermost
            .divide(endpoints)
            .and_then(|groups| if groups.len() > MOST_GROUPS { Err(outermost.invalid_answer()) } else { Ok(groups) });
        let members = match divided {
            Ok(groups) => self.members(inner, groups, endpoints, before.map(|before| before.members)),
            Err(fault) => {
                outermost.count_fallback(fault);
                None
            }
        };
        *self.groups.borrow_mut() = members.map(|members| Rc::new(Groups { partitioner: None, version, members }));
    }

    /// Who chooses in each of these groups. Policies of groups that were there before, by their names, live on.
    fn members(
        &self,
        inner: &[Partitioner],
        groups: Vec<Group>,
        endpoints: &EndpointSet,
        before: Option<Vec<Member>>,
    ) -> Option<Vec<Member>> {
        let mut before = before.unwrap_or_default();
        groups
            .into_iter()
            .map(|group| {
                let known = before.iter().position(|member| member.name == group.name);
                let known = known.map(|at| before.swap_remove(at).inside);
                let set = Arc::new(endpoints.part(&group.slots));
                let inside = self.inside(inner, &group.name, &set, known)?;
                Some(Member { name: group.name, set, inside })
            })
            .collect()
    }

    fn inside(
        &self,
        inner: &[Partitioner],
        name: &str,
        set: &Arc<EndpointSet>,
        known: Option<Inside>,
    ) -> Option<Inside> {
        let Some((configured, further)) = inner.split_first() else {
            let balancer = match known {
                Some(Inside::Balancer(balancer)) if balancer.is_current() => {
                    balancer.set_endpoints(set);
                    balancer
                }
                _ => self.balancer.another(name, set).map_err(|error| complain(name, &error)).ok()?,
            };
            return Some(Inside::Balancer(balancer));
        };
        let (partitioner, before) = match known {
            Some(Inside::Groups(Groups { partitioner: Some(partitioner), members, .. }))
                if partitioner.is_current() =>
            {
                (partitioner, Some(members))
            }
            _ => (configured.another(name, set).map_err(|error| complain(name, &error)).ok()?, None),
        };
        let groups = match partitioner.divide(set) {
            Ok(groups) if groups.len() <= MOST_GROUPS => groups,
            Ok(_) => {
                partitioner.count_fallback(partitioner.invalid_answer());
                return None;
            }
            Err(fault) => {
                partitioner.count_fallback(fault);
                return None;
            }
        };
        let members = self.members(further, groups, set, before)?;
        let version = partitioner.current_version();
        Some(Inside::Groups(Groups { partitioner: Some(partitioner), version, members }))
    }
}

fn complain(group: &str, error: &crate::plugin::CreateError) {
    tracing::error!(group, "no policy for a group of endpoints, the balancer chooses among all: {error}");
}

impl Groups {
    /// Each balancer hears of its own endpoints only.
    fn tell_outcomes(&self, batch: &[Outcome]) {
        for member in &self.members {
            match &member.inside {
                Inside::Groups(groups) => groups.tell_outcomes(batch),
                Inside::Balancer(balancer) => {
                    let own: Vec<Outcome> =
                        batch.iter().filter(|outcome| member.set.get(outcome.slot).is_some()).copied().collect();
                    if !own.is_empty() {
                        balancer.outcomes(&own);
                    }
                }
            }
        }
    }
}
