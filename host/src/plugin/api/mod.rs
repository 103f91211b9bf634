//! Generated code of the contract, one file per version, and the host's side of its imports.

pub(super) mod v0_2;
