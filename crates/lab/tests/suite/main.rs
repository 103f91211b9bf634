//! The simulation with balancers that need no host.

mod behaviour;
mod simple;
mod theory;
