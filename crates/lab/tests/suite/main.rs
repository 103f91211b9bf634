//! The simulation with balancers that need no host.

mod behaviour;
mod resilience;
mod simple;
mod theory;
