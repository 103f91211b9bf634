/// Growth of memory that counts as none.
pub(crate) const PAGE: u64 = 64 << 10;
