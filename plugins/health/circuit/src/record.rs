use judgement::{Ejections, Probing};

use crate::config::Rules;
use crate::window::Window;

/// What is known about one endpoint. While its circuit is open, an ejection is under way.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id_hash: u64,
    pub(crate) probing: Probing,
    pub(crate) open: Ejections,
    window: Window,
    /// Half open: the good requests that are needed yet to close it.
    needs: Option<u32>,
}

impl Record {
    pub(crate) fn new(id_hash: u64) -> Self {
        let (probing, open) = (Probing::default(), Ejections::default());
        Self { id_hash, probing, open, window: Window::default(), needs: None }
    }

    /// A request ended. Answers why that opens the circuit, and for how long, if it does.
    pub(crate) fn hear(&mut self, now_ms: u64, failed: bool, rules: &Rules) -> Option<(String, u64)> {
        if self.open.is_out() {
            // What was under way when it opened tells nothing new.
            return None;
        }
        let why = match self.needs {
            Some(_) if failed => "a request failed on trial".to_owned(),
            Some(needs) => {
                self.needs = needs.checked_sub(1).filter(|needs| *needs > 0);
                return None;
            }
            None => {
                let count = self.window.count(now_ms, rules.window_ms, failed);
                if !failed {
                    let after_ms = self.open.length_ms(&rules.open);
                    self.open.forgive(now_ms, after_ms);
                }
                let is_enough = count.requests >= rules.minimum_requests;
                if !is_enough || count.failed * 100 < count.requests * rules.error_percent {
                    return None;
                }
                format!("{} of {} requests failed", count.failed, count.requests)
            }
        };
        self.needs = None;
        self.window = Window::default();
        Some((why, self.open.begin(now_ms, &rules.open)))
    }

    /// Whether it is half open from now on, and nothing else keeps the endpoint out.
    pub(crate) fn half_opens(&mut self, now_ms: u64, rules: &Rules) -> bool {
        if !self.open.is_over(now_ms) {
            return false;
        }
        self.needs = Some(rules.trials);
        !self.probing.is_out()
    }
}
