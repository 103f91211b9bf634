/// How an endpoint is to be treated, whatever its health. The later ones go further.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Ready,
    /// Keeps the clients bound to it, takes nothing new.
    Draining,
    /// Takes nothing.
    Disabled,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

/// How an endpoint wants to be treated, as its probes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Wishes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Share of its weight, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Attempts that may be under way at it; 0 leaves that to the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
}

impl Wishes {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Share of its weight that it is to have, in thousandths: 1000 at the most, whoever has written what it wants.
    pub fn share(&self) -> u32 {
        self.weight.unwrap_or(1000).min(1000)
    }

    /// What holds when it says this after what it said before.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        Self {
            mode: later.mode.or(self.mode),
            weight: later.weight.or(self.weight),
            max_connections: later.max_connections.or(self.max_connections),
        }
    }

    /// What two checks say at the same time: what goes further.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        let least = |one: Option<u32>, other: Option<u32>| [one, other].into_iter().flatten().min();
        let bound = |of: Option<u32>| of.filter(|most| *most > 0);
        let bounds = least(bound(self.max_connections), bound(other.max_connections));
        Self {
            mode: self.mode.max(other.mode),
            weight: least(self.weight, other.weight),
            max_connections: bounds.or(self.max_connections).or(other.max_connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(mode: Option<Mode>, weight: Option<u32>, max_connections: Option<u32>) -> Wishes {
        Wishes { mode, weight, max_connections }
    }

    #[test]
    fn what_is_not_said_again_stays() {
        let before = wishes(Some(Mode::Draining), Some(500), None);
        assert_eq!(before.then(wishes(None, Some(250), Some(7))), wishes(Some(Mode::Draining), Some(250), Some(7)));
        assert_eq!(before.then(wishes(Some(Mode::Ready), None, None)), wishes(Some(Mode::Ready), Some(500), None));
        assert!(Wishes::default().then(Wishes::default()).is_empty());
    }

    #[test]
    fn nobody_gets_more_than_all_of_the_weight() {
        let share = |weight| wishes(None, weight, None).share();
        assert_eq!([None, Some(0), Some(250), Some(u32::MAX)].map(share), [1000, 0, 250, 1000]);
    }

    #[test]
    fn of_two_checks_what_goes_further_holds() {
        let one = wishes(Some(Mode::Ready), Some(500), Some(0));
        let other = wishes(Some(Mode::Disabled), None, Some(30));
        assert_eq!(one.beside(other), wishes(Some(Mode::Disabled), Some(500), Some(30)));
        assert_eq!(other.beside(one), one.beside(other));
        assert_eq!(one.beside(Wishes::default()), one);
    }
}
