/// Why a subcommand ended without having done its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration or the command line is wrong; the text says it all.
    Usage(String),
    /// What was to be looked at could not be; the text says why.
    Untested(String),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}
