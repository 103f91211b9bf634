/// The position in the upper half, the owner in the lower: large rings are sorted and searched twice as fast as with a
/// struct, and what is at the same position is in the order of its owners.
pub(crate) type Point = u64;

#[inline]
pub(crate) fn point(position: u32, owner: u32) -> Point {
    u64::from(position) << 32 | u64::from(owner)
}

/// An endpoint with its share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) slot: u32,
    pub(crate) address: String,
    pub(crate) weight: f64,
    /// The part of its points that are in force: below 1 while it warms up, which leaves the others' as they are.
    pub(crate) part: f64,
}
