/// Whether a failed attempt may be followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing of it was acted on, so nothing can happen twice.
    Allowed,
    /// Something was sent: only if sending it twice does no harm (RFC 9110 section 9.2.2).
    IfRepeatable,
    Never,
}

/// The attempts of one request, or of one connection.
#[derive(Debug)]
pub struct Attempts {
    most: usize,
    repeatable: bool,
    tried: Vec<u32>,
}

impl Attempts {
    /// `most` attempts; `repeatable` when sending all of it twice does no harm.
    pub fn new(most: usize, repeatable: bool) -> Self {
        Self { most, repeatable, tried: Vec::new() }
    }

    /// Slots of the endpoints that have failed.
    pub fn tried(&self) -> &[u32] {
        &self.tried
    }

    /// An attempt has failed at an endpoint. True when another may follow.
    pub fn failed(&mut self, slot: u32, retry: Retry) -> bool {
        self.tried.push(slot);
        let harmless = match retry {
            Retry::Allowed => true,
            Retry::IfRepeatable => self.repeatable,
            Retry::Never => false,
        };
        harmless && self.tried.len() < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_goes_elsewhere_until_the_limit() {
        let mut attempts = Attempts::new(3, false);
        assert!(attempts.failed(4, Retry::Allowed) && attempts.failed(5, Retry::Allowed));
        assert!(!attempts.failed(6, Retry::Allowed));
        assert_eq!(attempts.tried(), [4, 5, 6]);
        assert!(!Attempts::new(1, true).failed(0, Retry::Allowed));
    }

    #[test]
    fn what_was_sent_is_sent_again_only_where_that_does_no_harm() {
        assert!(Attempts::new(3, true).failed(0, Retry::IfRepeatable));
        assert!(!Attempts::new(3, false).failed(0, Retry::IfRepeatable));
        assert!(!Attempts::new(3, true).failed(0, Retry::Never));
    }
}
