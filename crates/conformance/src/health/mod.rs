//! What a cluster may rely on whose endpoints are judged. [`ward`] plays the host: it lets time pass, probes, and tells
//! what became of attempts. That a share of a cluster stays in service, and when probes are due, is the host's affair and
//! no plugin's: properties H7, H13 and H14 are held by its own tests.

mod ground;
mod independent;
mod kinds;
mod policy;
mod probes;
mod sound;
mod traffic;
mod ward;

pub(crate) use kinds::shows;
pub use policy::Health;

use crate::trial::Property;

pub(crate) fn properties() -> [&'static [Property]; 4] {
    [probes::PROPERTIES, traffic::PROPERTIES, independent::PROPERTIES, sound::PROPERTIES]
}
