use super::guest::{BalancerGuest, Choice, Request};
use crate::plugin::deadline::Call;
use crate::plugin::details::{Details, Needs};
use crate::plugin::fault::Fault;
use crate::plugin::instance::Instance;
use crate::plugin::recording::fault_in_words;

/// Asks a balancer in the way that it wants.
pub(super) fn pick(instance: &mut Instance, policy: u32, request: Request<'_>) -> Result<Option<Choice>, Fault> {
    match needs(instance, policy) {
        None => instance.ask(policy, Call::on_request_path("pick"), |balancer: &BalancerGuest, store, policy| {
            balancer.pick(store, policy, request)
        }),
        Some(needs) => {
            let call = Call::on_request_path("pick-for");
            instance.ask(policy, call, |balancer: &BalancerGuest, store, policy| {
                balancer.pick_for(store, policy, request, &needs)
            })
        }
    }
}

/// What a balancer wants to see beyond a key.
pub(in crate::plugin) fn needs(instance: &Instance, policy: u32) -> Option<Needs> {
    instance.plan::<BalancerGuest>(policy)?.needs.clone()
}

/// A pick that is held to what the host holds the live version to.
pub(super) fn pick_usable(instance: &mut Instance, policy: u32, request: Request<'_>) -> Result<Option<u32>, Fault> {
    let choice = pick(instance, policy, request)?;
    choice.map(|choice| usable(instance, policy, choice.slot, request.tried)).transpose()
}

/// The same, as recordings have it, of attributes that are known by their names.
pub(in crate::plugin) fn pick_in_words(
    instance: &mut Instance,
    policy: u32,
    (request, keys): (Request<'_>, Option<&[Option<u64>]>),
    value: impl Fn(&str) -> Option<Vec<u8>>,
) -> String {
    let details = needs(instance, policy).map(|Needs { attributes, .. }| {
        let values = attributes.iter().map(|attribute| value(&attribute.to_string())).collect();
        Details::new(attributes, values, keys.map(<[_]>::to_vec))
    });
    let picked = pick_usable(instance, policy, Request { details: details.as_ref(), ..request });
    in_words(instance, policy, picked.as_ref().map_err(|fault| *fault))
}

pub(super) fn in_words(instance: &Instance, policy: u32, picked: Result<&Option<u32>, Fault>) -> String {
    match picked {
        Ok(Some(slot)) => match instance.endpoint(policy, *slot) {
            Some(endpoint) => format!("`{}` in slot {slot}", endpoint.id),
            None => format!("slot {slot}"),
        },
        Ok(None) => "none".to_owned(),
        Err(fault) => fault_in_words(fault),
    }
}

/// What a candidate picked, held to what the host holds the live version to.
fn usable(candidate: &mut Instance, policy: u32, slot: u32, tried: &[u32]) -> Result<u32, Fault> {
    let is_open = candidate.endpoint(policy, slot).is_some_and(|endpoint| endpoint.takes_new());
    if !is_open {
        return Err(candidate.invalid_answer(policy, format_args!("picked slot {slot}, which may not be chosen")));
    }
    let is_tried = |slot: u32| tried.contains(&slot);
    // One that was tried is taken again where there is no other (`unusable` of `plimsoll_resilience`).
    if is_tried(slot) && !candidate.open_slots(policy).all(is_tried) {
        return Err(candidate.invalid_answer(policy, format_args!("picked slot {slot}, which this request has tried")));
    }
    Ok(slot)
}
