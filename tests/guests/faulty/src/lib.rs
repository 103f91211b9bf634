//! Fails where and how its configuration says, in every role. What it does besides is simple enough to be told from what
//! the host does in its stead: it takes the first endpoint.

mod affinity;
mod balancer;
mod fault;
mod health;
mod partitioner;
mod prober;
mod router;

plimsoll_sdk::plugin! {
    affinity: affinity::Faulty,
    balancer: balancer::Faulty,
    health: health::Faulty,
    partitioner: partitioner::Faulty,
    prober: prober::Faulty,
    router: router::Faulty,
}
