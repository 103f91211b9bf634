use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What plugins are compiled for: no system interface at all, so that a plugin has just what the host hands it.
pub const TARGET: &str = "wasm32-unknown-unknown";

const REMEDY: &str = "install it with `rustup target add wasm32-unknown-unknown`, or with the package of your \
                      distribution that holds the Rust standard library for WebAssembly";

/// Makes sure that the compiler which builds in `dir` has the standard library for [`TARGET`]; asks rustup for it when
/// it is missing. `dir` matters because of `rust-toolchain.toml` files.
pub fn ensure_target(dir: &Path) -> Result<()> {
    if is_installed(dir)? {
        return Ok(());
    }
    let added = without_outer_cargo(Command::new("rustup")).args(["target", "add", TARGET]).current_dir(dir).status();
    match added {
        Ok(status) if status.success() && is_installed(dir)? => Ok(()),
        Ok(_) => bail!("the Rust target {TARGET} is missing and rustup could not add it; {REMEDY}"),
        Err(_) => bail!("the Rust target {TARGET} is missing and there is no rustup to add it; {REMEDY}"),
    }
}

fn is_installed(dir: &Path) -> Result<bool> {
    // cargo names the compiler it was told to use; a build script is to be served by the same one.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = without_outer_cargo(Command::new(rustc))
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(dir)
        .output()
        .context("run rustc to look for the WebAssembly target")?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success() && libdir.is_dir())
}

/// Takes away what a cargo around this process says about its own build: it would be applied to the plugin too, and
/// flags for the machine's own processor mean nothing to wasm32.
pub(crate) fn without_outer_cargo(mut command: Command) -> Command {
    let leaking = |name: &str| {
        matches!(
            name,
            "CARGO_ENCODED_RUSTFLAGS"
                | "RUSTFLAGS"
                | "CARGO_TARGET_DIR"
                | "CARGO_MAKEFLAGS"
                | "MAKEFLAGS"
                | "RUSTC_WRAPPER"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "CLIPPY_ARGS"
                | "CLIPPY_CONF_DIR"
                | "CARGO_MANIFEST_DIR"
                | "CARGO_MANIFEST_PATH"
                | "CARGO_PRIMARY_PACKAGE"
                | "CARGO_BUILD_TARGET"
                | "CARGO_BUILD_RUSTFLAGS"
                | "CARGO_INCREMENTAL"
                | "RUSTC_LINKER"
                | "TARGET"
                | "HOST"
                | "PROFILE"
                | "OPT_LEVEL"
                | "DEBUG"
                | "OUT_DIR"
        ) || ["CARGO_PKG_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_PROFILE_", "CARGO_BIN_", "DEP_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(leaking) {
            command.env_remove(name);
        }
    }
    command
}
