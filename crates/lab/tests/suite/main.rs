//! The simulation with balancers that need no host.

mod behaviour;
mod places;
mod resilience;
mod simple;
mod theory;
