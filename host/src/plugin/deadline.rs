use std::time::Duration;

use wasmtime::UpdateDeadline;

use super::engine::TICK;

/// Deadline of a call while a request waits for it.
const ON_REQUEST_PATH: Duration = Duration::from_millis(2);
/// Deadline of a call in the control plane, or of one that no request waits for.
const OFF_REQUEST_PATH: Duration = Duration::from_millis(10);
/// Deadline of a call that brings endpoints. Tables of hundreds of thousands of places take that long, and they do come.
const AT_CHANGE: Duration = Duration::from_millis(100);
/// Deadline of starting, describing, configuring and preparing, which may build tables: that of the largest table of
/// consistent hashing, with five million places, was seen to pass half a second of processor time.
const AT_START: Duration = Duration::from_secs(1);

/// A function of a guest, as it is called, with the time that it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) function: &'static str,
    pub(super) deadline: Duration,
}

impl Call {
    pub(super) const fn on_request_path(function: &'static str) -> Self {
        Self { function, deadline: ON_REQUEST_PATH }
    }

    pub(super) const fn off_request_path(function: &'static str) -> Self {
        Self { function, deadline: OFF_REQUEST_PATH }
    }

    pub(super) const fn at_change(function: &'static str) -> Self {
        Self { function, deadline: AT_CHANGE }
    }

    pub(super) const fn at_start(function: &'static str) -> Self {
        Self { function, deadline: AT_START }
    }
}

/// A call past its deadline is measured by the time that the thread really ran, so that a machine short of processors
/// does not look like a looping plugin.
#[derive(Default)]
pub(super) struct Overdue {
    allowed: Duration,
    /// Processor time of the thread when the deadline passed on the clock.
    since: Option<Duration>,
    is_passed: bool,
}

impl Overdue {
    pub(super) fn new(allowed: Duration) -> Self {
        Self { allowed, since: None, is_passed: false }
    }

    /// Whether the call was ended for it.
    pub(super) fn is_passed(&self) -> bool {
        self.is_passed
    }

    /// The deadline has passed on the clock. Whether the guest ran all that time, or the machine was busy with something
    /// else, shows in the processor time of this thread from now on.
    pub(super) fn decide(&mut self) -> UpdateDeadline {
        let now = thread_cpu_time();
        match self.since {
            Some(since) if now.saturating_sub(since) >= self.allowed => {
                self.is_passed = true;
                UpdateDeadline::Interrupt
            }
            Some(_) => UpdateDeadline::Continue(1),
            None => {
                self.since = Some(now);
                UpdateDeadline::Continue(ticks(self.allowed))
            }
        }
    }
}

/// Ticks of the engine's clock in so much time.
pub(super) fn ticks(time: Duration) -> u64 {
    (time.as_millis() / TICK.as_millis()) as u64
}

/// Time that the processor has spent on this thread.
pub fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
