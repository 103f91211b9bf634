//! How long answers take, by a moving average that is sensitive to peaks: a slower answer counts at once and whole, a faster
//! one only as the slower ones are forgotten (Finagle's `PeakEwma`).
//!
//! An endpoint that nobody asks is forgotten too, so that one that was slow is tried again. But nobody is taken to be faster
//! than it has been, nor than half the mean just for not being asked: all would go there at once.

use plimsoll_sdk::prelude::*;

#[derive(Debug)]
pub(crate) struct Estimates {
    decay_ms: f64,
    default_us: f64,
    /// Of the ready endpoints, in ascending order of slots.
    of: Vec<Estimate>,
    /// Of those that are known; 0 while there are none.
    mean_us: f64,
    mean_of_ms: u64,
    /// Which have news.
    news: Vec<usize>,
    /// What each of `of` is expected to need, in microseconds, as of the last time of learning: picks only look it up.
    expected_us: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    slot: u32,
    id_hash: u64,
    /// As of `at_ms`; 0 while nothing is known.
    us: f64,
    at_ms: u64,
    news: News,
}

/// What was heard since the last time of learning.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    answers: f64,
    sum_us: f64,
    slowest_us: f64,
    failed: bool,
}

/// With so many endpoints the mean, and what each is expected to need, is found whenever there are news; with more every
/// [`MEAN_LASTS_MS`].
const FEW: usize = 128;
const MEAN_LASTS_MS: u64 = 100;

impl Estimates {
    pub(crate) fn new(decay: Duration, default_time: Duration) -> Self {
        Self {
            decay_ms: decay.as_millis() as f64,
            default_us: default_time.as_millis() as f64 * 1000.0,
            of: Vec::new(),
            mean_us: 0.0,
            mean_of_ms: 0,
            news: Vec::new(),
            expected_us: Vec::new(),
        }
    }

    /// The ready endpoints are now these. Who comes, or comes back, is unknown.
    pub(crate) fn update(&mut self, ready: &[Ready], now_ms: u64) {
        let before = std::mem::take(&mut self.of);
        let known = |e: &Ready| {
            let at = before.binary_search_by_key(&e.slot, |estimate| estimate.slot).ok()?;
            Some(before[at]).filter(|estimate| estimate.id_hash == e.id_hash)
        };
        let new = |e: &Ready| Estimate { slot: e.slot, id_hash: e.id_hash, ..Estimate::default() };
        self.of = ready.iter().map(|e| known(e).unwrap_or_else(|| new(e))).collect();
        self.pass(now_ms);
    }

    /// Finds out what is expected as of now.
    pub(crate) fn pass(&mut self, now_ms: u64) {
        self.expected_us = self.of.iter().map(|estimate| self.expected(estimate, now_ms)).collect();
    }

    /// Microseconds that the endpoint at this index of the ready ones is expected to need.
    #[inline]
    pub(crate) fn us(&self, index: usize) -> f64 {
        self.expected_us.get(index).copied().unwrap_or(self.default_us)
    }

    /// Who is unknown is expected to need as long as the others.
    fn expected(&self, estimate: &Estimate, now_ms: u64) -> f64 {
        if estimate.us > 0.0 {
            return estimate.faded(self.decay_ms, self.mean_us, now_ms);
        }
        if self.mean_us > 0.0 { self.mean_us } else { self.default_us }
    }

    pub(crate) fn answered(&mut self, slot: u32, us: u32) {
        // An answer within the same microsecond is known all the same.
        let us = f64::from(us.max(1));
        if let Some(news) = self.news_of(slot) {
            news.answers += 1.0;
            news.sum_us += us;
            news.slowest_us = news.slowest_us.max(us);
        }
    }

    /// A failure is no quick answer, however soon it came: it counts as one that took as long as the mean at the least, and
    /// never in favour of the endpoint.
    pub(crate) fn failed(&mut self, slot: u32, us: u32) {
        if let Some(news) = self.news_of(slot) {
            news.failed = true;
            news.slowest_us = news.slowest_us.max(f64::from(us));
        }
    }

    fn news_of(&mut self, slot: u32) -> Option<&mut News> {
        let index = self.of.binary_search_by_key(&slot, |estimate| estimate.slot).ok()?;
        let news = &mut self.of[index].news;
        if news.answers == 0.0 && !news.failed {
            self.news.push(index);
        }
        Some(news)
    }

    /// Takes in what was heard.
    pub(crate) fn learn(&mut self, now_ms: u64) {
        let with_news = std::mem::take(&mut self.news);
        for index in &with_news {
            let Some(estimate) = self.of.get_mut(*index) else { continue };
            let news = std::mem::take(&mut estimate.news);
            let peak = if news.failed { news.slowest_us.max(self.mean_us) } else { news.slowest_us };
            let faded = estimate.faded(self.decay_ms, self.mean_us, now_ms);
            if peak > faded {
                (estimate.us, estimate.at_ms) = (peak, now_ms);
            } else if !news.failed && news.answers > 0.0 {
                let kept = estimate.kept(self.decay_ms, now_ms);
                (estimate.us, estimate.at_ms) =
                    (estimate.us * kept + news.sum_us / news.answers * (1.0 - kept), now_ms);
            }
        }
        if self.of.len() <= FEW || now_ms.saturating_sub(self.mean_of_ms) >= MEAN_LASTS_MS {
            self.find_mean(now_ms);
            self.pass(now_ms);
            return;
        }
        for index in with_news {
            let Some(estimate) = self.of.get(index) else { continue };
            let expected_us = self.expected(estimate, now_ms);
            if let Some(place) = self.expected_us.get_mut(index) {
                *place = expected_us;
            }
        }
    }

    fn find_mean(&mut self, now_ms: u64) {
        let (mut sum, mut known) = (0.0, 0.0);
        for estimate in self.of.iter().filter(|estimate| estimate.us > 0.0) {
            sum += estimate.faded(self.decay_ms, self.mean_us, now_ms);
            known += 1.0;
        }
        self.mean_of_ms = now_ms;
        if known > 0.0 {
            self.mean_us = sum / known;
        }
    }
}

impl Estimate {
    /// The part that is not forgotten yet. A clock that goes back forgets nothing.
    fn kept(&self, decay_ms: f64, now_ms: u64) -> f64 {
        // e^-x as (1 - x/1024)^1024, which takes a tenth of the time: exact to a hundredth for what is worth keeping.
        let x = now_ms.saturating_sub(self.at_ms) as f64 / decay_ms;
        (0..10).fold((1.0 - x / 1024.0).max(0.0), |power, _| power * power)
    }

    fn faded(&self, decay_ms: f64, mean_us: f64, now_ms: u64) -> f64 {
        (self.us * self.kept(decay_ms, now_ms)).max(self.us.min(mean_us / 2.0))
    }
}
