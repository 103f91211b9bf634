//! Bindings of `plimsoll:plugin@0.2.0`. Nothing else is in this file.
#![allow(unsafe_code, reason = "wasmtime's generated code calls functions whose types it has checked before")]
#![allow(
    unreachable_pub,
    missing_debug_implementations,
    clippy::use_self,
    clippy::or_fun_call,
    reason = "generated code"
)]
#![allow(elided_lifetimes_in_paths, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "host",
});
