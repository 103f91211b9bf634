use std::time::Duration;

use super::policy::Router;
use crate::request::Values;
use crate::trial::{Checked, Stop};

/// What a call may take while a request waits for it.
const DEADLINE: Duration = Duration::from_millis(2);
/// The least of so many answers counts: what disturbs the machine makes them slower only. What disturbs it goes on for
/// a while, so there is ever more time between them.
const TRIES: u32 = 12;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Whether a request is answered within the deadline.
pub(super) fn is_in_time(router: &mut dyn Router, request: &Values) -> Checked {
    let mut least = Duration::MAX;
    for earlier in 0..TRIES {
        std::thread::sleep(BETWEEN_TRIES * earlier);
        router.route(request).map_err(|fault| format!("{request:?}: {fault}"))?;
        let Some(took) = router.took() else { return Ok(()) };
        least = least.min(took);
        if least <= DEADLINE {
            return Ok(());
        }
    }
    Err(Stop::Broken {
        how: format!("{least:?} of processor time, {DEADLINE:?} are allowed"),
        smallest: Some(format!("{request:?}")),
    })
}
