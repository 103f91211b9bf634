use crate::CreateFailure;
use crate::Profile;
use crate::profile::fits;
use crate::trial::{Checked, Property, Stop, Trial};

const ALL: &[Profile] = &[Profile::Generic];

/// What holds for plugins of every role.
pub(crate) const PROPERTIES: &[Property] = &[
    Property::quick(
        "G1",
        ALL,
        "the description is the same at any time, at most 64 KiB, and its schemas are JSON Schemas",
        describes_itself,
    ),
    Property::quick("G2", ALL, "a policy can be created from the configuration under test, again and again", creates),
    Property::quick("G3", ALL, "configurations of garbage are accepted or refused, and never fatal", survives_garbage),
    Property::quick(
        "G4",
        ALL,
        "what it imports is what the contract offers, and WASI where a toolchain cannot do without",
        imports_what_is_offered,
    ),
    Property::quick("G14", ALL, "what it claims to be are profiles of the suite, for its roles", claims_what_there_is),
];

fn claims_what_there_is(trial: &mut Trial<'_>) -> Checked {
    let (claims, roles) = (trial.subject.describe()?.profiles, trial.subject.roles());
    let fits = |name: &&String| Profile::named(name).is_some_and(|profile| fits(profile, &roles));
    match claims.iter().find(|name| !fits(name)) {
        Some(name) => Err(format!("it claims `{name}`, and its roles are {}", roles.join(", ")).into()),
        None => Ok(()),
    }
}

const LARGEST_DESCRIPTION: usize = 64 << 10;

fn describes_itself(trial: &mut Trial<'_>) -> Checked {
    let first = trial.subject.describe()?;
    let size = first.name.len() + first.version.len() + first.summary.len();
    let size = first.config_schemas.iter().fold(size, |size, (role, schema)| size + role.len() + schema.len());
    trial.measure("bytes", size as f64);
    if size > LARGEST_DESCRIPTION {
        return Err(format!("it has {size} bytes").into());
    }
    for (role, text) in &first.config_schemas {
        let schema: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("the schema of {role} is not JSON: {error}"))?;
        compile(&schema).map_err(|error| format!("the schema of {role} is not a JSON Schema: {error}"))?;
    }
    for role in trial.subject.roles() {
        // What it does with a policy is not to show in what it says of itself.
        let _ = trial.subject.create(&role, trial.config);
        let again = trial.subject.describe()?;
        if again != first {
            return Err(format!("first {first:?}, then {again:?}").into());
        }
    }
    Ok(())
}

#[cfg(not(target_family = "wasm"))]
fn compile(schema: &serde_json::Value) -> Result<(), String> {
    jsonschema::validator_for(schema).map(drop).map_err(|error| error.to_string())
}

/// Components that are written against the traits of the suite do not run it.
#[cfg(target_family = "wasm")]
fn compile(_: &serde_json::Value) -> Result<(), String> {
    Ok(())
}

/// Interfaces of `wit/imports.wit`, and the types that they have in common.
const OFFERED: [&str; 10] =
    ["types", "log", "metrics", "clock", "random", "counters", "keys", "table", "shared-table", "node"];
/// Packages of WASI 0.2 that have nothing to do with files or networks that a plugin could use: they are there, and empty.
const WASI: [&str; 5] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/"];

fn imports_what_is_offered(trial: &mut Trial<'_>) -> Checked {
    let imports = trial.subject.imports();
    trial.measure("imports", imports.len() as f64);
    trial.try_list(imports, |_, imports| match imports.iter().find(|name| !is_offered(name)) {
        Some(name) => Err(format!("it imports `{name}`")),
        None => Ok(()),
    })
}

fn is_offered(import: &str) -> bool {
    let name = import.split('@').next().unwrap_or_default();
    let of_contract = name.strip_prefix("plimsoll:plugin/").is_some_and(|name| OFFERED.contains(&name));
    of_contract || WASI.iter().any(|package| name.starts_with(package))
}

fn creates(trial: &mut Trial<'_>) -> Checked {
    let mut refusal = None;
    for of in trial.uses {
        if of.refusal.is_some() {
            refusal = of.refusal.clone();
            continue;
        }
        for _ in 0..3 {
            trial.subject.create(&of.role, &of.config).map_err(|failure| format!("as {}: {failure}", of.role))?;
        }
    }
    refusal.map_or(Ok(()), |refusal| Err(Stop::Skipped(refusal)))
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

/// As deep as parsers that call themselves can be sent.
const DEEP: usize = 10_000;

fn survives_garbage(trial: &mut Trial<'_>) -> Checked {
    let random = (0..trial.steps / 100).map(|_| garbage(&mut trial.random)).collect::<Vec<_>>();
    let deep = ["[".repeat(DEEP), "{\"a\":".repeat(DEEP)];
    trial.measure("configurations", (HOSTILE.len() + random.len() + deep.len()) as f64);
    for role in trial.subject.roles() {
        for config in HOSTILE.iter().map(|text| (*text).to_owned()).chain(random.iter().cloned()).chain(deep.clone()) {
            let done = trial.try_list(config.chars().collect(), |trial, config| {
                let config: String = config.iter().collect();
                match trial.subject.create(&role, &config) {
                    Err(CreateFailure::Failed(why)) => Err(format!("as {role}, {}: {why}", shown(&config))),
                    _ => Ok(()),
                }
            });
            // A list of characters is hard to read.
            done.map_err(|stop| match stop {
                Stop::Broken { how, .. } => Stop::from(how),
                skipped => skipped,
            })?;
        }
    }
    Ok(())
}

fn shown(config: &str) -> String {
    let beginning: String = config.chars().take(100).collect();
    let rest = config.len() - beginning.len();
    if rest == 0 { format!("{config:?}") } else { format!("{beginning:?} and {rest} more bytes") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_contract_offers_may_be_imported() {
        let imports = include_str!("../../../wit/worlds.wit")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'));
        let missing: Vec<&str> = imports.filter(|name| !OFFERED.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
