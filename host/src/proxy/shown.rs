use crate::plugin::{Details, Values};

/// What those who choose endpoints have asked to see of a request, for all of its attempts.
#[derive(Debug, Default)]
pub struct Shown {
    /// To the partitioners, the outermost first.
    pub groups: Box<[Values]>,
    /// To the balancer, where it wants more than a key. In a box: most do not.
    pub details: Option<Box<Details>>,
}
