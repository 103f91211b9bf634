//! All integration tests, one binary.

mod http1;

/// The binary under test.
const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");
