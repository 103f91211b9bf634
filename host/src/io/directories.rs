//! Where a process may keep files that no configuration names a place for: what systemd gives a service, or what the user
//! has (XDG Base Directory Specification 0.8).

use std::env;
use std::path::PathBuf;

/// What is to be there for ever.
pub fn data_directory() -> Option<PathBuf> {
    directory("STATE_DIRECTORY", "XDG_DATA_HOME", ".local/share")
}

/// What can be made again.
pub fn cache_directory() -> Option<PathBuf> {
    directory("CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache")
}

fn directory(of_service: &str, of_user: &str, in_home: &str) -> Option<PathBuf> {
    let of = |name: &str| {
        let value = env::var_os(name).filter(|value| !value.is_empty())?;
        // Of several directories that a service has, the first.
        env::split_paths(&value).next()
    };
    let own = || of(of_user).or_else(|| Some(of("HOME")?.join(in_home))).map(|base| base.join("plimsoll"));
    of(of_service).or_else(own).filter(|path| path.is_absolute())
}
