use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plimsoll_componentize::{Build, build_guest, build_workspace};

static GUESTS: OnceLock<HashMap<String, Vec<u8>>> = OnceLock::new();

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The component of a guest under tests/guests. All are built at the first call.
///
/// # Panics
/// When there is no such guest, or it does not build.
pub fn guest(name: &str) -> &'static [u8] {
    let guests = GUESTS.get_or_init(|| {
        let build = Build { locked: true, quiet: true };
        build_workspace(&root().join("tests/guests"), &root().join("target/guests"), build)
            .expect("the guests build")
            .into_iter()
            .map(|component| (component.name, component.bytes))
            .collect()
    });
    guests.get(name).unwrap_or_else(|| panic!("no guest {name}; there are {:?}", guests.keys()))
}

/// The component of a plugin under examples/plugins.
///
/// # Panics
/// When it does not build.
pub fn example_plugin(name: &str) -> Vec<u8> {
    let build = Build { locked: true, quiet: true };
    let directory = root().join("examples/plugins").join(name);
    build_guest(&directory, &root().join("target/guests"), build).expect("the example builds").bytes
}
