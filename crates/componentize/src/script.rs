use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::component::{Component, component_from_module};

/// How a plugin of another language than Rust says how it is built.
pub(crate) const SCRIPT: &str = "build.sh";

/// How a core module begins; a component has another version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Runs the script in `dir`, which is told the file to write: a component, or a core module that carries component types.
pub(crate) fn build_by_script(dir: &Path, target_dir: &Path) -> Result<Component> {
    let name = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    let name = name.file_name().and_then(|name| name.to_str()).context("the directory has no name in UTF-8")?;
    let target_dir = std::path::absolute(target_dir).context("find the directory to build in")?;
    let destination = target_dir.join("components");
    fs::create_dir_all(&destination).with_context(|| format!("create {}", destination.display()))?;
    let written = destination.join(format!("{name}.{}.built", std::process::id()));
    let status = Command::new("sh")
        .arg(SCRIPT)
        .arg(&written)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("run sh")?;
    ensure!(status.success(), "{} in {} failed ({status})", SCRIPT, dir.display());
    let built = fs::read(&written).with_context(|| format!("{SCRIPT} has not written {}", written.display()))?;
    fs::remove_file(&written).with_context(|| format!("remove {}", written.display()))?;
    let bytes = if built.starts_with(MODULE) { component_from_module(&built)? } else { built };
    Component::write(name, bytes, &destination)
}
