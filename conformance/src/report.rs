use std::fmt;

use serde::Serialize;

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the suite.
    pub suite: &'static str,
    pub seed: u64,
    /// Roles of the plugin.
    pub roles: Vec<String>,
    pub findings: Vec<Finding>,
}

/// One property and whether it held.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub promise: &'static str,
    /// What broke the promise; none when it held.
    pub broken: Option<String>,
}

impl Report {
    /// True when every property held.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.broken.is_none())
    }

    /// Names of the properties that did not hold.
    pub fn broken(&self) -> Vec<&'static str> {
        self.findings.iter().filter(|finding| finding.broken.is_some()).map(|finding| finding.id).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { id, promise, broken } in &self.findings {
            let mark = if broken.is_none() { "ok    " } else { "BROKEN" };
            writeln!(f, "{mark}  {id:<4} {promise}")?;
            if let Some(how) = broken {
                writeln!(f, "              {how}")?;
            }
        }
        let held = self.findings.iter().filter(|finding| finding.broken.is_none()).count();
        write!(f, "{held} of {} properties hold (suite {}, seed {})", self.findings.len(), self.suite, self.seed)
    }
}
