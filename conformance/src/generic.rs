use super::subject::CreateFailure;
use super::{Property, Trial};

/// What holds for plugins of every role.
pub(super) const PROPERTIES: &[Property] = &[
    Property {
        id: "G2",
        role: None,
        promise: "a policy can be created from the configuration under test, again and again",
        check: creates,
    },
    Property {
        id: "G3",
        role: None,
        promise: "configurations of garbage are accepted or refused, and never fatal",
        check: survives_garbage,
    },
];

fn creates(trial: &mut Trial<'_>) -> Result<(), String> {
    for role in trial.subject.roles() {
        for _ in 0..3 {
            trial.subject.create(&role, &trial.settings.config).map_err(|failure| format!("as {role}: {failure}"))?;
        }
    }
    Ok(())
}

/// Configurations that are hostile in known ways, before the random ones.
const HOSTILE: &[&str] = &[
    "",
    "null",
    "[]",
    "0",
    "\"\"",
    "{",
    "{\"\":null}",
    "{\"choices\":-1}",
    "{\"choices\":1e400}",
    "{\"choices\":18446744073709551616}",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":[[[[[[]]]]]]}}}}}",
    "\u{0}",
    "{\"name\":\"\\ud800\"}",
];

fn survives_garbage(trial: &mut Trial<'_>) -> Result<(), String> {
    let random = (0..trial.settings.steps / 100).map(|_| garbage(&mut trial.random)).collect::<Vec<_>>();
    for role in trial.subject.roles() {
        for config in HOSTILE.iter().map(|text| (*text).to_owned()).chain(random.iter().cloned()) {
            if let Err(CreateFailure::Failed(why)) = trial.subject.create(&role, &config) {
                return Err(format!("as {role}, {config:?}: {why}"));
            }
        }
    }
    Ok(())
}

/// Text that is often nearly JSON.
fn garbage(random: &mut fastrand::Rng) -> String {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "null",
        "true",
        "-",
        "1e9",
        "99999999999",
        "\"a\"",
        "\"ä\u{0}\"",
        " ",
    ];
    (0..random.usize(..40)).filter_map(|_| random.choice(PIECES)).copied().collect()
}
