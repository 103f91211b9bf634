use plimsoll_sdk::host;

/// How long ejections last.
#[derive(Clone, Copy, Debug)]
pub struct EjectionRules {
    /// The first one; the next ones last two, three, … times as long.
    pub base_ms: u64,
    /// The most that one lasts.
    pub max_ms: u64,
    /// Up to so much longer, at random, so that not all come back at once.
    pub jitter_ms: u64,
}

/// The ejections of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Ejections {
    under_way: Option<Ejection>,
    /// Those that are not yet forgiven.
    count: u32,
    /// Since when it has been in use without another one.
    good_since_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    began_ms: u64,
    lasts_ms: u64,
}

impl Ejections {
    /// Whether one is under way.
    pub fn is_out(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins one; answers for how long.
    pub fn begin(&mut self, now_ms: u64, rules: &EjectionRules) -> u64 {
        self.count = self.count.saturating_add(1);
        let jitter_ms = if rules.jitter_ms == 0 { 0 } else { host::random() % (rules.jitter_ms + 1) };
        let lasts_ms = self.length_ms(rules).saturating_add(jitter_ms);
        self.under_way = Some(Ejection { began_ms: now_ms, lasts_ms });
        lasts_ms
    }

    /// Whether the one under way ends now.
    pub fn is_over(&mut self, now_ms: u64) -> bool {
        let Some(ejection) = &mut self.under_way else { return false };
        // A clock that was set back begins it anew, and no more: nobody is out for as long as the jump was.
        ejection.began_ms = ejection.began_ms.min(now_ms);
        let over = now_ms - ejection.began_ms >= ejection.lasts_ms;
        if over {
            self.end(now_ms);
        }
        over
    }

    /// Ends the one under way, if there is one.
    pub fn end(&mut self, now_ms: u64) {
        if self.under_way.take().is_some() {
            self.good_since_ms = now_ms;
        }
    }

    /// Forgives one after so long a time in use without another.
    pub fn forgive(&mut self, now_ms: u64, after_ms: u64) {
        let good_ms = now_ms.saturating_sub(self.good_since_ms);
        if self.count > 0 && self.under_way.is_none() && good_ms >= after_ms {
            self.count -= 1;
            self.good_since_ms = now_ms;
        }
    }

    /// How long the last one was to last, and the next one lasts after it is forgiven.
    pub fn length_ms(&self, rules: &EjectionRules) -> u64 {
        rules.base_ms.saturating_mul(self.count.into()).min(rules.max_ms.max(rules.base_ms))
    }
}
