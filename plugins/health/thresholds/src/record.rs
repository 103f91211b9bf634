use crate::config::Passive;

/// What is known about one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id_hash: u64,
    /// Not known to be good yet: the host may hold it back until it is called healthy.
    fresh: bool,
    probed_out: bool,
    good_probes: u32,
    bad_probes: u32,
    failed_requests: u32,
    ejected: Option<Ejection>,
    /// Ejections that are not yet forgiven.
    ejections: u32,
    /// Since when it has been in use without another ejection.
    good_since_ms: u64,
}

/// An ejection under way.
#[derive(Clone, Copy, Debug)]
struct Ejection {
    began_ms: u64,
    lasts_ms: u64,
}

impl Record {
    pub(crate) fn new(id_hash: u64) -> Self {
        Self {
            id_hash,
            fresh: true,
            probed_out: false,
            good_probes: 0,
            bad_probes: 0,
            failed_requests: 0,
            ejected: None,
            ejections: 0,
            good_since_ms: 0,
        }
    }

    /// Whether that is the word to let it serve: at first after `initial` good probes, later after `rise` of them.
    pub(crate) fn probe_passed(&mut self, rise: u32, initial: u32) -> bool {
        self.bad_probes = 0;
        if !self.fresh && !self.probed_out {
            return false;
        }
        self.good_probes += 1;
        if self.good_probes < if self.probed_out { rise } else { initial } {
            return false;
        }
        self.fresh = false;
        self.probed_out = false;
        // What traffic said before it comes again is out of date.
        self.failed_requests = 0;
        self.ejected.is_none()
    }

    /// Whether that is the word to take it out.
    pub(crate) fn probe_failed(&mut self, fall: u32) -> bool {
        self.good_probes = 0;
        if self.probed_out {
            return false;
        }
        self.bad_probes += 1;
        if self.bad_probes < fall {
            return false;
        }
        self.bad_probes = 0;
        self.probed_out = true;
        true
    }

    /// A time as long as the last ejection without another one forgives it.
    pub(crate) fn request_succeeded(&mut self, now_ms: u64, passive: &Passive) {
        self.failed_requests = 0;
        let good_ms = now_ms.saturating_sub(self.good_since_ms);
        if self.ejections > 0 && self.ejected.is_none() && good_ms >= self.ejection_ms(passive) {
            self.ejections -= 1;
            self.good_since_ms = now_ms;
        }
    }

    /// For how long that ejects it, if it does.
    pub(crate) fn request_failed(&mut self, now_ms: u64, passive: &Passive) -> Option<u64> {
        if self.ejected.is_some() {
            // What was under way when it was ejected tells nothing new.
            return None;
        }
        self.failed_requests += 1;
        if self.failed_requests < passive.failures {
            return None;
        }
        self.failed_requests = 0;
        self.ejections += 1;
        let lasts_ms = self.ejection_ms(passive);
        self.ejected = Some(Ejection { began_ms: now_ms, lasts_ms });
        Some(lasts_ms)
    }

    /// Whether its ejection ends now, and nothing else keeps it out.
    pub(crate) fn ejection_over(&mut self, now_ms: u64) -> bool {
        let Some(ejection) = &mut self.ejected else { return false };
        // A clock that was set back begins it anew, and no more: nobody is out for as long as the jump was.
        ejection.began_ms = ejection.began_ms.min(now_ms);
        let over = now_ms - ejection.began_ms >= ejection.lasts_ms;
        if over {
            self.ejected = None;
            self.failed_requests = 0;
            self.good_since_ms = now_ms;
        }
        over && !self.probed_out
    }

    fn ejection_ms(&self, passive: &Passive) -> u64 {
        passive.eject_ms.saturating_mul(self.ejections.into()).min(passive.max_eject_ms)
    }
}
