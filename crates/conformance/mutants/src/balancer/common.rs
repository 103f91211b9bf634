use std::cell::Cell;
use std::rc::Rc;

/// What the policies of one instance have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// Differs with each pick of any run.
    pub(super) chaos: Rc<Cell<u64>>,
    pub(super) policies: Rc<Cell<u32>>,
    /// Turns of all policies together.
    pub(super) turns: Rc<Cell<u64>>,
}

impl Common {
    pub(super) fn new(chaos: Rc<Cell<u64>>) -> Self {
        Self { chaos, policies: Rc::default(), turns: Rc::default() }
    }
}
