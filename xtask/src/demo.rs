use anyhow::Result;

/// Builds the proxy in release and runs its demo.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    plimsoll_componentize::ensure_target(&crate::root())?;
    eprintln!("building the proxy with its plugins; the first time takes some minutes");
    crate::run(crate::cargo(&["run", "--release", "--package", "plimsoll", "--", "demo"]).args(arguments))
}
