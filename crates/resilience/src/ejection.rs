/// How many endpoints of a cluster live traffic may put out of service, as Envoy's `max_ejection_percent` bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionBounds {
    /// Of all endpoints; where that is less than one, but more than none, one of several may go.
    pub max_percent: u32,
    /// Others that have to be ready.
    pub min_available: u32,
}

impl EjectionBounds {
    /// Whether another one of `endpoints` may go, where so many have gone by live traffic and so many others are ready.
    pub fn allow(&self, endpoints: usize, ejected: usize, others_ready: usize) -> bool {
        let share = endpoints * self.max_percent as usize / 100;
        let most = if self.max_percent > 0 && endpoints > 1 { share.max(1) } else { share };
        ejected < most && others_ready >= self.min_available as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_may_go_though_one_of_several_always_may() {
        let most = |endpoints: usize, max_percent| {
            let bounds = EjectionBounds { max_percent, min_available: 0 };
            (0..endpoints).take_while(|ejected| bounds.allow(endpoints, *ejected, endpoints)).count()
        };
        assert_eq!([10, 5, 2, 1].map(|endpoints| most(endpoints, 50)), [5, 2, 1, 0]);
        assert_eq!([100, 10, 5, 2, 1].map(|endpoints| most(endpoints, 10)), [10, 1, 1, 1, 0]);
        assert_eq!([10, 2, 1].map(|endpoints| most(endpoints, 0)), [0, 0, 0]);
        assert_eq!([10, 1].map(|endpoints| most(endpoints, 100)), [10, 1]);
    }

    #[test]
    fn enough_others_have_to_be_left() {
        let bounds = EjectionBounds { max_percent: 100, min_available: 2 };
        assert!(bounds.allow(10, 3, 2));
        assert!(!bounds.allow(10, 3, 1));
    }
}
