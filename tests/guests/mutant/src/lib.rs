//! A specimen of the conformance suite as a component: it is written against the traits of the suite, and here it gets
//! its endpoints, its clock and its loads from a proxy. Which one it is stands in the component as text, for a test to
//! write over: so one build serves for all specimens of a role, and they take any configuration.

mod endpoints;
mod spent;

use std::hint::black_box;

pub use endpoints::Fleet;
pub use spent::Spent;

/// Where the name stands, after the marker, filled up with spaces.
#[used]
static NAME: [u8; 96] =
    *b"the name of the specimen stands here ->                                                         ";

/// Name of the specimen that this component is.
pub fn name() -> &'static str {
    // Read from memory, where it may have been changed since this was compiled.
    let text = str::from_utf8(black_box(&NAME[..])).expect("a name is ASCII");
    text.rsplit("-> ").next().unwrap_or_default().trim_end()
}
