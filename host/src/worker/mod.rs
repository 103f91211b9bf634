//! One thread: its runtime, sockets, pools and plugin instances. It shares nothing that could make it wait; what the
//! control plane wants of it comes as commands.

mod command;
mod sockets;
mod state;
mod thread;

pub use command::{
    BeginShadow, ClusterInstall, Command, Destined, GroupSocket, Install, InstanceNumber, ListenerInstall, PolicyRef,
};
pub use thread::{Spawn, Worker};
