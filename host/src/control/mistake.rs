/// A mistake that was found after the configuration was read, mostly by a plugin.
#[derive(Debug)]
pub(super) struct Mistake {
    /// JSON Pointer in the operator's file.
    pub(super) pointer: String,
    pub(super) message: String,
}
