use std::time::Duration;

use crate::tls::{Certificate, unix_seconds};

/// When a certificate is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// In seconds since 1970.
    pub at: i64,
    /// When to see again whether that still holds.
    pub look_again: Duration,
    /// What the authority has said, if it has.
    pub window: Option<Window>,
}

/// When an authority wants a certificate to be renewed (RFC 9773 section 4.2), and the time in it that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    start: i64,
    end: i64,
    at: i64,
}

/// Between looks at what an authority says (RFC 9773 section 4.3).
const SOONEST_LOOK: Duration = Duration::from_secs(60);
const LATEST_LOOK: Duration = Duration::from_secs(24 * 3600);
const USUAL_LOOK: Duration = Duration::from_secs(6 * 3600);

impl Renewal {
    /// After two thirds of its time, or somewhat sooner, so that those that were issued together are not renewed together.
    pub(super) fn by_lifetime(certificate: &Certificate) -> Self {
        let lifetime = certificate.not_after.saturating_sub(certificate.not_before).max(0);
        // The same at each look.
        let sooner =
            lifetime / 50 * i64::from(certificate.fingerprint.bytes().next_back().unwrap_or_default() % 16) / 16;
        let at = certificate.not_before.saturating_add(lifetime / 3 * 2).saturating_sub(sooner);
        Self { at, look_again: USUAL_LOOK, window: None }
    }

    /// At a time of a window, which is another than `chosen` only if the window is (RFC 9773 section 4.2).
    pub(super) fn by_window(start: i64, end: i64, look_again: Duration, chosen: Option<Window>) -> Self {
        let window = match chosen {
            Some(chosen) if (chosen.start, chosen.end) == (start, end) => chosen,
            _ => Window { start, end, at: if start < end { fastrand::i64(start..=end) } else { start } },
        };
        Self { at: window.at, look_again: look_again.clamp(SOONEST_LOOK, LATEST_LOOK), window: Some(window) }
    }

    /// How long it is until then, if it is not now.
    pub fn due_in(&self) -> Option<Duration> {
        u64::try_from(self.at.saturating_sub(unix_seconds())).ok().filter(|left| *left > 0).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9773_4_2_a_time_in_the_window_is_chosen_once() {
        let first = Renewal::by_window(100, 1_000_100, Duration::ZERO, None);
        assert!((100..=1_000_100).contains(&first.at));
        assert_eq!(first.look_again, SOONEST_LOOK);
        let again = Renewal::by_window(100, 1_000_100, Duration::MAX, first.window);
        assert_eq!((again.at, again.look_again), (first.at, LATEST_LOOK));
        let moved = Renewal::by_window(10, 20, Duration::from_secs(3600), first.window);
        assert!((10..=20).contains(&moved.at) && moved.due_in().is_none());
        assert_eq!(Renewal::by_window(30, 20, Duration::ZERO, None).at, 30, "a window that ends before it begins");
    }
}
