//! What the system knows about this process. Absent where the system does not tell: the series is then left out.

/// Resident memory, in bytes.
pub fn resident_bytes() -> Option<u64> {
    resident_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// User and system time, in seconds. The clock counts nanoseconds where `/proc/self/stat` has hundredths of a second.
pub(super) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_status() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    2048 kB\nRssAnon: 1 kB\n"), Some(2_097_152));
        assert_eq!(resident_of("Name:\tx\n"), None);
        assert!(resident_bytes().is_none_or(|bytes| bytes > 100_000));
    }

    #[test]
    fn cpu_time_advances() {
        let before = cpu_seconds();
        while cpu_seconds() <= before {}
    }
}
