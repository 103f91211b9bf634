use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use plimsoll_componentize::{Build, Component, build_guest, build_workspace};

static GUESTS: OnceLock<HashMap<String, Component>> = OnceLock::new();
static WASI_CLOCK: OnceLock<PathBuf> = OnceLock::new();

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The component of a guest under tests/guests. All are built at the first call.
///
/// # Panics
/// When there is no such guest, or it does not build.
pub fn guest(name: &str) -> &'static [u8] {
    &built(name).bytes
}

/// The component that is this specimen of the conformance suite, as in `balancer/Turns/RepeatsTried`.
///
/// # Panics
/// When there is no guest for its role, or it has no place for the name.
pub fn specimen(name: &str) -> Vec<u8> {
    const MARKER: &[u8] = b"the name of the specimen stands here -> ";
    const LONGEST: usize = 56;
    let role = name.split('/').next().unwrap_or_default();
    let mut component = guest(&format!("mutant-{role}")).to_vec();
    let marker = component.windows(MARKER.len()).position(|window| window == MARKER).expect("a place for the name");
    let place = &mut component[marker + MARKER.len()..][..LONGEST];
    assert!(name.len() <= LONGEST, "{name} is too long");
    place.fill(b' ');
    place[..name.len()].copy_from_slice(name.as_bytes());
    component
}

/// The file of [`guest`], for configurations.
///
/// # Panics
/// When there is no such guest, or it does not build.
pub fn guest_path(name: &str) -> &'static Path {
    &built(name).path
}

fn built(name: &str) -> &'static Component {
    let guests = GUESTS.get_or_init(|| {
        let build = Build { locked: true, quiet: true, ..Build::default() };
        build_workspace(&root().join("tests/guests"), &root().join("target/guests"), build)
            .expect("the guests build")
            .into_iter()
            .map(|component| (component.name.clone(), component))
            .collect()
    });
    guests.get(name).unwrap_or_else(|| panic!("no guest {name}; there are {:?}", guests.keys()))
}

/// The file of tests/guests/wasi-clock. It is built for wasm32-wasip2, whose linker makes a component by itself.
///
/// # Panics
/// When it does not build.
pub fn wasi_guest_path() -> &'static Path {
    WASI_CLOCK.get_or_init(|| {
        let target_dir = root().join("target/guests");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--locked", "--lib", "--release", "--target", "wasm32-wasip2", "--target-dir"])
            .arg(&target_dir)
            .current_dir(root().join("tests/guests/wasi-clock"))
            // Flags for the machine that runs the tests mean nothing to WebAssembly.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo runs");
        assert!(status.success(), "wasi-clock does not build; is it for want of `rustup target add wasm32-wasip2`?");
        target_dir.join("wasm32-wasip2/release/wasi_clock.wasm")
    })
}

/// The component of a plugin under examples/plugins.
///
/// # Panics
/// When it does not build.
pub fn example_plugin(name: &str) -> Vec<u8> {
    let build = Build { locked: true, quiet: true, ..Build::default() };
    let directory = root().join("examples/plugins").join(name);
    build_guest(&directory, &root().join("target/guests"), build).expect("the example builds").bytes
}
