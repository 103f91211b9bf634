//! One decision behind calls of different shapes, each measured in an instance of its own, in the engine of the host and
//! with the limits that the host sets.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, anyhow};
use bindings::exports::plimsoll::shapes::decide::Request;
use bindings::plimsoll::shapes::counters;
use bindings::{Shapes, ShapesPre};
use plimsoll::plugin::Engine;
use plimsoll_componentize::{Build, build_guest};
use wasmtime::component::{Component, HasSelf, Linker, ResourceAny};
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};

use crate::measure::{Case, measure};
use crate::{report, root};

#[allow(unsafe_code, reason = "wasmtime's generated code calls functions whose types it has checked before")]
#[allow(
    unreachable_pub,
    missing_debug_implementations,
    clippy::use_self,
    clippy::or_fun_call,
    reason = "generated code"
)]
#[allow(elided_lifetimes_in_paths, reason = "generated code")]
mod bindings {
    wasmtime::component::bindgen!({ path: "guests/shapes/wit", world: "shapes" });
}

/// What the contract has, and all others are compared with.
const OF_CONTRACT: &str = "pick: policy number and `option<u64>` in, `option<record>` out (the contract's)";
/// The number that the host passes for the policy.
const POLICY: u32 = 1;
const ENDPOINTS: usize = 10;
/// As the host allows on the path of a request: 2 ms, in ticks of 1 ms, and the one that has begun.
const DEADLINE: u64 = 3;
const NO_DEADLINE: u64 = 1 << 40;
/// As the host allows for one call.
const HOSTCALL_BYTES: usize = 8 << 20;

pub(crate) fn run(rounds: usize) -> Result<()> {
    let directory = root().join("benches/guests/shapes");
    let guest = build_guest(
        &directory,
        &root().join("target/guests"),
        Build { locked: true, quiet: true, ..Build::default() },
    )?;
    let engine = Engine::new()?;
    let cases = cases(&engine.wasmtime, &guest.bytes).map_err(|error| anyhow!("{error:#}"))?;
    let measured = measure(cases, rounds)?;

    println!("| call | ns | against the contract's pick |\n|---|---:|---:|");
    let of_contract = measured.iter().find(|one| one.name == OF_CONTRACT);
    for one in &measured {
        let difference = match of_contract {
            Some(other) if other.name != one.name => format!("{:+.0}", one.more_than(other)),
            _ => "–".to_owned(),
        };
        println!("| {} | {:.0} | {difference} |", one.name, one.median());
    }
    report::save("shapes", &measured, serde_json::Map::new())
}

fn cases(engine: &wasmtime::Engine, bytes: &[u8]) -> wasmtime::Result<Vec<Case>> {
    let mut linker = Linker::new(engine);
    Shapes::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    let pre = ShapesPre::new(linker.instantiate_pre(&Component::new(engine, bytes)?)?)?;
    SHAPES.iter().map(|(name, call)| Ok(case(name, Guest::start(&pre)?, *call))).collect()
}

/// An instance of the guest.
struct Guest {
    store: Store<Host>,
    shapes: Shapes,
    policy: ResourceAny,
    loads: Vec<u32>,
    values: Vec<Option<Vec<u8>>>,
}

/// What the store holds.
struct Host {
    limits: StoreLimits,
    loads: [AtomicU32; ENDPOINTS],
}

impl Guest {
    fn start(pre: &ShapesPre<Host>) -> wasmtime::Result<Self> {
        let limits = StoreLimitsBuilder::new().memory_size(64 << 20).instances(64).tables(16).memories(4).build();
        let mut store = Store::new(pre.engine(), Host { limits, loads: Default::default() });
        store.limiter(|host| &mut host.limits);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_epoch_deadline(NO_DEADLINE);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Continue(NO_DEADLINE)));
        let shapes = pre.instantiate(&mut store)?;
        let decide = shapes.plimsoll_shapes_decide();
        decide.call_create(&mut store, POLICY)?;
        let policy = decide.policy().call_constructor(&mut store)?;
        let values = [METHOD, AUTHORITY, PATH].map(|value| Some(value.as_bytes().to_vec())).to_vec();
        Ok(Self { store, shapes, policy, loads: vec![0; ENDPOINTS], values })
    }
}

impl counters::Host for Host {
    fn in_flight(&mut self, slot: u32) -> u32 {
        self.loads.get(slot as usize).map_or(0, |load| load.load(Ordering::Relaxed))
    }

    fn in_flight_pair(&mut self, first: u32, second: u32) -> u64 {
        u64::from(self.in_flight(first)) | u64::from(self.in_flight(second)) << 32
    }
}

const METHOD: &str = "GET";
const AUTHORITY: &str = "shop.example.com";
const PATH: &str = "/api/items/4711";

/// Calls a shape with a number that counts up.
type Call = fn(&mut Guest, u64) -> wasmtime::Result<()>;

const SHAPES: &[(&str, Call)] = &[
    ("an empty call", |Guest { store, shapes, .. }, _| shapes.plimsoll_shapes_decide().call_empty(store)),
    ("pick: policy number and key in, number out", |Guest { store, shapes, .. }, key| {
        shapes.plimsoll_shapes_decide().call_pick_scalars(store, POLICY, key).map(used)
    }),
    ("pick: policy number and record in, `option<record>` out", |Guest { store, shapes, .. }, key| {
        shapes.plimsoll_shapes_decide().call_pick_record(store, POLICY, Request { key, attempt: 1 }).map(used)
    }),
    (OF_CONTRACT, |Guest { store, shapes, .. }, key| {
        shapes.plimsoll_shapes_decide().call_pick_option(store, POLICY, Some(key)).map(used)
    }),
    ("… with a deadline set before each call", |Guest { store, shapes, .. }, key| {
        store.set_epoch_deadline(DEADLINE);
        shapes.plimsoll_shapes_decide().call_pick_option(store, POLICY, Some(key)).map(used)
    }),
    ("… as a method of a resource", |Guest { store, shapes, policy, .. }, key| {
        shapes.plimsoll_shapes_decide().policy().call_pick_option(store, *policy, Some(key)).map(used)
    }),
    ("… with the loads of 10 endpoints passed in", |Guest { store, shapes, loads, .. }, key| {
        shapes.plimsoll_shapes_decide().call_pick_with_list(store, POLICY, Some(key), loads).map(used)
    }),
    ("… that reads two loads by two import calls", |Guest { store, shapes, .. }, key| {
        shapes.plimsoll_shapes_decide().call_pick_with_two_imports(store, POLICY, Some(key)).map(used)
    }),
    ("… that reads two loads by one import call", |Guest { store, shapes, .. }, key| {
        shapes.plimsoll_shapes_decide().call_pick_with_one_import(store, POLICY, Some(key)).map(used)
    }),
    ("pick: method of a resource, record in, `option<record>` out", |Guest { store, shapes, policy, .. }, key| {
        let request = Request { key, attempt: 1 };
        shapes.plimsoll_shapes_decide().policy().call_pick_record(store, *policy, request).map(used)
    }),
    ("route: three strings in, `option<u32>` out", |Guest { store, shapes, .. }, _| {
        shapes.plimsoll_shapes_decide().call_route_strings(store, POLICY, METHOD, AUTHORITY, PATH).map(used)
    }),
    (
        "route: `list<option<list<u8>>>` of the same three in, `option<u32>` out",
        |Guest { store, shapes, values, .. }, _| {
            shapes.plimsoll_shapes_decide().call_route_values(store, POLICY, values).map(used)
        },
    ),
];

/// The compiler is not to see that nobody wants the answer.
fn used<T>(answer: T) {
    black_box(answer);
}

fn case(name: &str, mut guest: Guest, call: Call) -> Case {
    Case::new(name, move |number| call(&mut guest, number).map_err(|error| anyhow!("{error:#}")))
}
