use std::fmt;

use serde::{Serialize, Serializer};

use crate::trial::{Property, Stop};
use crate::{Choice, NO_TIME, NOT_QUICK, Profile, Selection, Settings};

/// Version of the report's shape as JSON. Fields may be added to it; it changes when one goes or means something else.
pub(crate) const SHAPE: u32 = 1;

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub shape: u32,
    /// Version of the suite.
    pub suite: &'static str,
    pub plugin: Plugin,
    /// Roles of the plugin.
    pub roles: Vec<String>,
    /// What was asked for, such as `auto`.
    pub selection: String,
    pub seed: u64,
    pub steps: u32,
    /// Configuration of the policies under test.
    pub config: String,
    /// True when no property is broken.
    pub passed: bool,
    /// Roles that nothing can be said of, and properties that there was no time for, each with the reason.
    pub untested: Vec<String>,
    /// Which profiles it was held against, and why.
    pub profiles: Vec<Choice>,
    pub properties: Vec<Finding>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Plugin {
    pub name: String,
    pub version: String,
    pub digest: String,
}

/// One property and whether it held.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub profile: Profile,
    pub promise: &'static str,
    pub verdict: Verdict,
    /// What broke the promise, or why nothing can be said.
    pub reason: Option<String>,
    /// The least that was found to break it.
    pub smallest: Option<String>,
    #[serde(serialize_with = "as_map")]
    pub measured: Vec<(&'static str, f64)>,
    /// Command line that finds the same again; only for what is broken.
    pub replay: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Passed,
    Broken,
    Skipped,
}

fn as_map<S: Serializer>(measured: &[(&'static str, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(measured.iter().copied())
}

impl Finding {
    pub(crate) fn new(
        property: &Property,
        profile: Profile,
        done: Result<(), Stop>,
        measured: Vec<(&'static str, f64)>,
        settings: &Settings,
    ) -> Self {
        let (verdict, reason, smallest) = match done {
            Ok(()) => (Verdict::Passed, None, None),
            Err(Stop::Broken { how, smallest }) => (Verdict::Broken, Some(how), smallest),
            Err(Stop::Skipped(why)) => (Verdict::Skipped, Some(why), None),
        };
        let replay = (verdict == Verdict::Broken).then(|| replay(property.id, settings));
        Self { id: property.id, profile, promise: property.promise, verdict, reason, smallest, measured, replay }
    }
}

fn replay(id: &str, settings: &Settings) -> String {
    let mut line = format!(
        "plimsoll plugin test {} --profile {} --seed {} --only {id}",
        quoted(&settings.file),
        settings.selection,
        settings.seed
    );
    if let Some(steps) = settings.steps {
        line += &format!(" --steps {steps}");
    }
    if let Some(config) = &settings.config {
        line += &format!(" --config {}", quoted(config));
    }
    line
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl Report {
    /// True when no property is broken.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// Of what nothing can be said, with the reasons: who has only this to show has not passed.
    pub fn untested(&self) -> Vec<String> {
        self.untested.clone()
    }

    /// Names of the properties that did not hold.
    pub fn broken(&self) -> Vec<&'static str> {
        self.with(Verdict::Broken).map(|finding| finding.id).collect()
    }

    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Finding> {
        self.properties.iter().filter(move |finding| finding.verdict == verdict)
    }
}

/// Roles for which everything was skipped, and properties that there was no time for.
pub(crate) fn untested(roles: &[String], findings: &[Finding], settings: &Settings) -> Vec<String> {
    let is_wanted = match &settings.selection {
        Selection::Claimed(profiles) => profiles.iter().any(|profile| *profile != Profile::Generic),
        _ => true,
    };
    let mut untested = Vec::new();
    for role in roles.iter().filter(|_| is_wanted) {
        let of_role: Vec<&Finding> = findings.iter().filter(|of| of.profile.role() == Some(role)).collect();
        if of_role.is_empty() && settings.only.is_empty() {
            untested.push(format!("{role}: the suite has no property for it"));
        }
        let is_skipped = |finding: &&Finding| finding.verdict == Verdict::Skipped;
        if !of_role.is_empty() && of_role.iter().all(is_skipped) {
            let reasons = of_role.iter().filter_map(|finding| finding.reason.as_deref());
            // That a run is quick, or a profile is not taken, is not why nothing was tried.
            let mut reasons = reasons.filter(|why| *why != NOT_QUICK && !why.ends_with("is not taken"));
            let why = reasons.next().unwrap_or(NOT_QUICK);
            untested.push(format!("{role}: {why}"));
        }
    }
    let late = findings.iter().filter(|finding| finding.reason.as_deref() == Some(NO_TIME));
    let late: Vec<&str> = late.map(|finding| finding.id).collect();
    if !late.is_empty() {
        untested.push(format!("{}: {NO_TIME}", late.join(", ")));
    }
    untested
}

/// A table for people: the profiles, then the properties; what was skipped comes last, in a line for each reason.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plugin { name, version, digest } = &self.plugin;
        writeln!(f, "{name} {version}, sha256 {digest}")?;
        writeln!(f, "suite {}, profile {}, seed {}, config {}\n", self.suite, self.selection, self.seed, self.config)?;
        for Choice { profile, taken, why } in &self.profiles {
            writeln!(f, "{}  {:<21} {why}", if *taken { "taken" } else { "-    " }, profile.name())?;
        }
        writeln!(f)?;
        for finding in self.properties.iter().filter(|finding| finding.verdict != Verdict::Skipped) {
            let mark = if finding.verdict == Verdict::Passed { "ok    " } else { "BROKEN" };
            writeln!(f, "{mark}  {:<4} {}{}", finding.id, finding.promise, numbers(&finding.measured))?;
            let more = [("", &finding.reason), ("smallest: ", &finding.smallest), ("again: ", &finding.replay)];
            for (what, text) in more {
                if let Some(text) = text {
                    writeln!(f, "              {what}{text}")?;
                }
            }
        }
        let mut reasons: Vec<&str> = Vec::new();
        for reason in self.with(Verdict::Skipped).filter_map(|finding| finding.reason.as_deref()) {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        for reason in reasons {
            let of_it = self.with(Verdict::Skipped).filter(|finding| finding.reason.as_deref() == Some(reason));
            let ids: Vec<&str> = of_it.map(|finding| finding.id).collect();
            writeln!(f, "skip    {}: {reason}", ids.join(", "))?;
        }
        let count = |verdict| self.with(verdict).count();
        write!(
            f,
            "\n{} passed, {} broken, {} skipped",
            count(Verdict::Passed),
            count(Verdict::Broken),
            count(Verdict::Skipped)
        )?;
        for untested in &self.untested {
            write!(f, "\nNOT TESTED  {untested}")?;
        }
        Ok(())
    }
}

fn numbers(measured: &[(&'static str, f64)]) -> String {
    if measured.is_empty() {
        return String::new();
    }
    let texts: Vec<String> = measured
        .iter()
        .map(
            |(what, value)| {
                if value.fract() == 0.0 { format!("{what} {value}") } else { format!("{what} {value:.3}") }
            },
        )
        .collect();
    format!(" ({})", texts.join(", "))
}
