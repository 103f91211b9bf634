//! What clients may rely on that are bound to an endpoint. An affinity under test stands between clients that behave as
//! browsers do and an application behind it: [`site`] has all three.

mod ground;
mod hostile;
mod kept;
mod kinds;
mod known;
mod lasting;
mod policy;
mod site;
mod sound;

pub(crate) use kinds::shows;
pub use policy::{Affinity, AffinityPlan, Binding, Edit};

use crate::trial::Property;

pub(crate) fn properties() -> [&'static [Property]; 4] {
    [kept::PROPERTIES, lasting::PROPERTIES, hostile::PROPERTIES, sound::PROPERTIES]
}
