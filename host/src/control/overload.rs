use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::state::Control;
use crate::config;
use crate::telemetry::resident_bytes;

/// How often it is measured.
const INTERVAL: Duration = Duration::from_millis(100);
/// What was too much is too much until it is less by this part.
const UNTIL_LESS_BY: u64 = 20;

impl Control {
    /// Bounds what the process may have in use, from now on.
    pub(super) fn bound_use(&self, limits: &config::Overload) {
        self.overload.bound_connections(limits.max_connections);
        self.overload.bound_files(most_open_files(limits).unwrap_or(u64::MAX));
    }
}

/// Measures what the process has in use, and has workers refuse what would be too much.
pub(super) async fn watch_overload(control: Weak<Control>) {
    let (mut of_memory, mut of_files) = (Level::default(), Level::default());
    let most_of_machine = memory_of_machine();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let Some(control) = control.upgrade() else { return };
        let Some(config) = control.config() else { continue };
        let limits = &config.overload;
        // What the process may have is changed from outside, too.
        control.bound_use(limits);
        let most_memory = match limits.max_memory {
            config::MaxMemory::At(bytes) => Some(bytes),
            config::MaxMemory::OfMachine => most_of_machine.map(|bytes| bytes / 10 * 9),
            config::MaxMemory::Off => None,
        };
        of_memory.is_at("resident memory", resident_bytes(), most_memory);
        of_files.is_at("open file descriptors", open_files(), most_open_files(limits));
        control.overload.shed(of_memory.is_too_much, of_memory.is_too_much || of_files.is_too_much);
    }
}

/// Something that is in use, against what may be.
#[derive(Debug, Default)]
struct Level {
    is_too_much: bool,
}

impl Level {
    /// Without a measure or a bound it is never too much.
    fn is_at(&mut self, what: &str, used: Option<u64>, most: Option<u64>) {
        let (Some(used), Some(most)) = (used, most) else {
            self.is_too_much = false;
            return;
        };
        let bound = if self.is_too_much { most - most / UNTIL_LESS_BY } else { most };
        let is_too_much = used >= bound;
        if is_too_much != self.is_too_much {
            match is_too_much {
                true => tracing::warn!(used, most, "too much is in use, and new work is refused: {what}"),
                false => tracing::info!(used, most, "no longer too much is in use: {what}"),
            }
        }
        self.is_too_much = is_too_much;
    }
}

/// Lets the process have as many file descriptors as the system allows.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!("the limit of open files stays as it is: {error}");
        }
    }
}

/// With these, connections are refused.
fn most_open_files(limits: &config::Overload) -> Option<u64> {
    let most = getrlimit(Resource::Nofile).current?;
    Some(most.saturating_mul(u64::from(limits.max_open_files_percent)) / 100)
}

/// The size of the directory, which Linux tells since 6.2; before that the entries are counted.
fn open_files() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match std::fs::metadata(DIRECTORY).ok()?.len() {
        0 => Some(std::fs::read_dir(DIRECTORY).ok()?.count() as u64),
        count => Some(count),
    }
}

/// What this process may have at the most: the least of what the machine has and what the control groups around it allow.
fn memory_of_machine() -> Option<u64> {
    let of_machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kilobytes: u64 =
            text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
        kilobytes.checked_mul(1024)
    });
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let of_groups = root
        .join(group)
        .ancestors()
        .take_while(|path| path.starts_with(root))
        .filter_map(|path| std::fs::read_to_string(path.join("memory.max")).ok()?.trim().parse().ok())
        .min();
    of_machine.into_iter().chain(of_groups).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_so_until_it_is_clearly_less() {
        let mut level = Level::default();
        let mut at = |used, most| {
            level.is_at("it", used, most);
            level.is_too_much
        };
        assert!(!at(Some(999), Some(1000)));
        assert!(at(Some(1000), Some(1000)) && at(Some(951), Some(1000)) && at(Some(950), Some(1000)));
        assert!(!at(Some(949), Some(1000)) && !at(Some(999), Some(1000)));
        assert!(at(Some(50), Some(50)) && !at(Some(47), Some(50)), "however few they are");
        assert!(at(Some(1), Some(0)) && !at(None, Some(0)) && !at(Some(1), None));
    }

    #[test]
    fn what_is_in_use_can_be_measured() {
        let before = open_files().expect("Linux tells");
        let held: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").expect("a file")).collect();
        assert!(open_files().expect("Linux tells") >= before.min(3) + held.len() as u64);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(memory_of_machine().is_some_and(|bytes| bytes > 64 << 20));
    }
}
