/// Which failures are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Answers; with them, unless the two are told apart, what fails on this side.
    Any,
    /// What fails on this side: connections that fail or break, answers that do not come in time.
    Local,
}
