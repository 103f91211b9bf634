use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::shown::Shown;
use crate::plugin::{Attribute, Balancer, Choice, Fault, Group, Needs, Partitioner, PickRequest, Values};
use crate::snapshot::{EndpointSet, Outcome};
use crate::timer::now_ms;

/// Where an attempt may go.
#[derive(Clone, Debug)]
pub enum Within {
    Cluster,
    /// What a partitioner chose.
    Group(Arc<EndpointSet>),
    /// Nowhere, because a partitioner said so, or failed and is strict.
    Nothing,
}

/// A choice among the endpoints where an attempt may go.
pub type Pick = plimsoll_resilience::Pick<Within, Choice, Fault>;

impl Within {
    pub(super) fn has(&self, slot: u32) -> bool {
        match self {
            Self::Cluster => true,
            Self::Group(set) => set.get(slot).is_some(),
            Self::Nothing => false,
        }
    }
}

const NOWHERE: Pick = Pick { group: Within::Nothing, choice: Ok(None) };

/// Who chooses the endpoints of a cluster: its balancer, or, where partitioners divide the cluster, a balancer of the same
/// configuration for each group.
#[derive(Debug)]
pub struct Balancing {
    /// Knows all endpoints. It stands in for a partitioner that fails.
    balancer: Balancer,
    /// The outermost first. Those further in have a policy of their own for each group around them.
    partitioners: Vec<Partitioner>,
    groups: RefCell<Option<Rc<Groups>>>,
    /// What there is to divide.
    endpoints: RefCell<Arc<EndpointSet>>,
    /// When to try again what a plugin failed at.
    divide_again_at_ms: Cell<Option<u64>>,
    /// By the division that is under way, of all partitioners.
    groups_made: Cell<usize>,
    /// What the balancer wants to see of a request beyond a key.
    needs: RefCell<Option<Needs>>,
    /// Whether there is nobody to ask but the balancer, for a key alone.
    is_plain: Cell<bool>,
}

/// How a partitioner has divided what it was given.
#[derive(Debug)]
struct Groups {
    /// None for the outermost, which is the one of the configuration.
    partitioner: Option<Partitioner>,
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
    /// The policy that was to choose could not be had, or has not divided the group.
    Nobody {
        fault: Fault,
        is_strict: bool,
    },
}

/// Groups of one partitioner, and of all that divide a cluster. Each costs a policy on every worker.
const MOST_GROUPS: usize = 1024;

/// Between two tries to divide endpoints, which requests wait for.
const DIVIDE_AGAIN_MS: u64 = 100;

impl Balancing {
    pub fn new(balancer: Balancer, partitioners: Vec<Partitioner>) -> Self {
        Self {
            is_plain: Cell::new(partitioners.is_empty()),
            needs: RefCell::default(),
            balancer,
            partitioners,
            groups: RefCell::default(),
            endpoints: RefCell::default(),
            divide_again_at_ms: Cell::new(None),
            groups_made: Cell::new(0),
        }
    }

    /// The endpoints are now these. Whoever knows this generation already is not told.
    pub fn set_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        self.balancer.set_endpoints(endpoints);
        if self.endpoints.borrow().generation() != endpoints.generation() {
            self.divide(endpoints);
        }
    }

    /// What each partitioner wants to see of a request, the outermost first.
    pub fn attributes(&self) -> impl Iterator<Item = Arc<[Attribute]>> {
        self.partitioners.iter().map(Partitioner::attributes)
    }

    pub(super) fn is_divided(&self) -> bool {
        !self.partitioners.is_empty()
    }

    /// Whether it sees nothing of a request but a key.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain.get()
    }

    /// What the balancer wants to see of a request beyond a key.
    pub(super) fn needs(&self) -> Option<Needs> {
        self.needs.borrow().clone()
    }

    /// Hears anew what the balancer, or a candidate beside it, wants to see.
    pub fn hear_needs(&self) {
        let needs = self.balancer.needs();
        self.is_plain.set(needs.is_none() && !self.is_divided());
        *self.needs.borrow_mut() = needs;
    }

    #[inline]
    pub fn pick(&self, request: PickRequest<'_>, shown: &Shown) -> Pick {
        if self.is_plain() {
            return Pick { group: Within::Cluster, choice: self.balancer.pick(request) };
        }
        let request = PickRequest { details: shown.details.as_deref(), ..request };
        if self.is_divided() { self.pick_in_group(request, &shown.groups) } else { self.pick_among_all(request) }
    }

    fn pick_among_all(&self, request: PickRequest<'_>) -> Pick {
        Pick { group: Within::Cluster, choice: self.balancer.pick_for(request) }
    }

    fn pick_in_group(&self, request: PickRequest<'_>, visible: &[Values]) -> Pick {
        if self.divide_again_at_ms.get().is_some_and(|at_ms| now_ms() >= at_ms) {
            let endpoints = self.endpoints.borrow().clone();
            self.divide(&endpoints);
        }
        let Some(outermost) = self.groups.borrow().clone() else { return self.pick_undivided(request) };
        let attempt = u32::try_from(request.tried.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut groups = &*outermost;
        let mut around = None;
        for (configured, values) in self.partitioners.iter().zip(visible) {
            let partitioner = groups.partitioner.as_ref().unwrap_or(configured);
            let member = match partitioner.choose(values, request.key, attempt) {
                Ok(None) => return NOWHERE,
                Ok(Some(place)) => {
                    let count = groups.members.len();
                    let known = groups.members.get(place as usize);
                    known.ok_or_else(|| {
                        partitioner.invalid_answer(format_args!("chose group {place} of the {count} that there are"))
                    })
                }
                Err(fault) => Err(fault),
            };
            let member = match member {
                Ok(member) => member,
                Err(fault) => {
                    partitioner.count_fallback(fault);
                    return match around {
                        _ if partitioner.is_strict() => NOWHERE,
                        None => self.pick_among_all(request),
                        Some(set) => Pick { group: Within::Group(set), choice: Err(fault) },
                    };
                }
            };
            let within = Within::Group(member.set.clone());
            match &member.inside {
                Inside::Balancer(balancer) => return Pick { group: within, choice: balancer.pick_for(request) },
                Inside::Groups(further) => {
                    groups = further;
                    around = Some(member.set.clone());
                }
                Inside::Nobody { is_strict: true, .. } => return NOWHERE,
                Inside::Nobody { fault, .. } => return Pick { group: within, choice: Err(*fault) },
            }
        }
        self.pick_undivided(request)
    }

    /// The outermost partitioner has not divided the cluster.
    fn pick_undivided(&self, request: PickRequest<'_>) -> Pick {
        let is_strict = self.partitioners.first().is_some_and(Partitioner::is_strict);
        if is_strict { NOWHERE } else { self.pick_among_all(request) }
    }

    pub fn outcomes(&self, batch: &[Outcome]) {
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

    /// Counts a choice that could not be used, and says why.
    pub(super) fn invalid_answer(&self, reason: impl std::fmt::Display) -> Fault {
        self.balancer.invalid_answer(reason)
    }

    /// Counts that the host chose in the balancer's stead.
    pub(super) fn count_fallback(&self, fault: Fault) {
        self.balancer.count_fallback(fault);
    }

    /// Divides the endpoints anew. There are no groups when the outermost partitioner fails.
    fn divide(&self, endpoints: &Arc<EndpointSet>) {
        let Some((outermost, inner)) = self.partitioners.split_first() else { return };
        let before = self.groups.take().and_then(Rc::into_inner);
        self.groups_made.set(0);
        let divided = divided(outermost, endpoints);
        let groups = divided.inspect_err(|fault| outermost.count_fallback(*fault)).ok().map(|groups| {
            let members = self.members(inner, groups, endpoints, before.map(|before| before.members));
            Rc::new(Groups { partitioner: None, members })
        });
        let is_whole = groups.as_ref().is_some_and(|groups| groups.are_whole());
        self.divide_again_at_ms.set((!is_whole).then(|| now_ms() + DIVIDE_AGAIN_MS));
        *self.endpoints.borrow_mut() = endpoints.clone();
        *self.groups.borrow_mut() = groups;
    }

    /// Who chooses in each of these groups. Policies of groups that were there before, by their names, live on.
    fn members(
        &self,
        inner: &[Partitioner],
        groups: Vec<Group>,
        endpoints: &EndpointSet,
        before: Option<Vec<Member>>,
    ) -> Vec<Member> {
        let mut before = before.unwrap_or_default();
        let member = |group: Group| {
            let known = before.iter().position(|member| member.name == group.name);
            let known = known.map(|at| before.swap_remove(at).inside);
            let set = Arc::new(endpoints.part(&group.slots));
            self.groups_made.set(self.groups_made.get() + 1);
            let inside = match inner.split_first() {
                _ if self.groups_made.get() > 2 * MOST_GROUPS => {
                    tracing::error!("the partitioners of a cluster have made more than {} groups", 2 * MOST_GROUPS);
                    Inside::Nobody { fault: Fault::InvalidAnswer, is_strict: false }
                }
                None => self.balancer_of(&group.name, &set, known),
                Some((configured, further)) => self.groups_of(configured, further, &group.name, &set, known),
            };
            Member { name: group.name, set, inside }
        };
        groups.into_iter().map(member).collect()
    }

    fn balancer_of(&self, name: &str, set: &Arc<EndpointSet>, known: Option<Inside>) -> Inside {
        match known {
            Some(Inside::Balancer(balancer)) => {
                balancer.set_endpoints(set);
                Inside::Balancer(balancer)
            }
            _ => match self.balancer.another(name, set) {
                Ok(balancer) => Inside::Balancer(balancer),
                Err(error) => not_created(name, &error, false),
            },
        }
    }

    fn groups_of(
        &self,
        configured: &Partitioner,
        further: &[Partitioner],
        name: &str,
        set: &Arc<EndpointSet>,
        known: Option<Inside>,
    ) -> Inside {
        let (partitioner, before) = match known {
            Some(Inside::Groups(Groups { partitioner: Some(partitioner), members })) => (partitioner, Some(members)),
            _ => match configured.another(name, set) {
                Ok(partitioner) => (partitioner, None),
                Err(error) => return not_created(name, &error, configured.is_strict()),
            },
        };
        match divided(&partitioner, set) {
            Ok(groups) => {
                let members = self.members(further, groups, set, before);
                Inside::Groups(Groups { partitioner: Some(partitioner), members })
            }
            Err(fault) => {
                partitioner.count_fallback(fault);
                Inside::Nobody { fault, is_strict: configured.is_strict() }
            }
        }
    }
}

/// The groups that a partitioner makes of endpoints, if they are not too many.
fn divided(partitioner: &Partitioner, endpoints: &Arc<EndpointSet>) -> Result<Vec<Group>, Fault> {
    let groups = partitioner.divide(endpoints)?;
    if groups.len() > MOST_GROUPS {
        let reason = format_args!("made {} groups, which are more than {MOST_GROUPS}", groups.len());
        return Err(partitioner.invalid_answer(reason));
    }
    Ok(groups)
}

fn not_created(group: &str, error: &crate::plugin::CreateError, is_strict: bool) -> Inside {
    tracing::error!(group, "no policy for a group of endpoints: {error}");
    Inside::Nobody { fault: Fault::Rebuilding, is_strict }
}

impl Groups {
    /// Whether there is somebody to choose in each.
    fn are_whole(&self) -> bool {
        self.members.iter().all(|member| match &member.inside {
            Inside::Balancer(_) => true,
            Inside::Groups(groups) => groups.are_whole(),
            Inside::Nobody { .. } => false,
        })
    }

    /// Each balancer hears of its own endpoints only.
    fn tell_outcomes(&self, batch: &[Outcome]) {
        for member in &self.members {
            match &member.inside {
                Inside::Nobody { .. } => {}
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
