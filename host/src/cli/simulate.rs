//! `plimsoll simulate`: balancers beside each other, in simulated time.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use plimsoll_lab as lab;

use super::failure::Failure;
use crate::config;
use crate::simulate::{
    self, BALANCERS, BUILT_IN, BuiltIn, Choice, Comparison, Overrides, Prepared, SimulateError, USUAL,
};

/// Shows which balancer suits: plays a scenario with each of several, in simulated time, and compares what comes of it.
///
/// The balancers are the real plugins, run as the proxy runs them, on several workers. Endpoints, traffic and what happens
/// to them are simulated, so a minute takes a second or so, and the same seed gives the same numbers. Prints a table, and
/// writes a page with pictures.
///
/// Begin with a scenario that is built in, then print one and make it yours.
#[derive(Debug, Args)]
#[command(after_long_help = examples())]
pub(super) struct Simulate {
    /// A scenario that is built in.
    #[arg(long, value_name = "NAME", value_parser = built_in_name, default_value = "steady", conflicts_with = "cluster")]
    scenario: String,
    /// A scenario of yours, as YAML; or with --name the configuration of your proxy.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The cluster of a proxy's configuration (--cluster): its endpoints with their weights, zones and metadata, its
    /// partitioners, and its balancer beside the others; its affinity where the traffic has keys. The traffic is that of --like.
    #[arg(long, value_name = "CLUSTER", requires = "cluster")]
    name: Option<String>,
    /// The built-in scenario that such a cluster is put into.
    #[arg(long, value_name = "NAME", value_parser = built_in_name, default_value = "steady", requires = "name")]
    like: String,
    /// What to compare, separated by commas: names of built-in balancers, files of components, each with a configuration
    /// if it needs one: `least-request,least-request={"choices":4},./my-lb.wasm`. May be repeated. Default: what the
    /// scenario suggests, or the usual ones.
    #[arg(long, value_name = "LIST")]
    balancers: Vec<String>,
    /// Which of them the others are compared with, by the name that the table gives it.
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Measure what a choice costs on this machine. It is the one number that is not the same every time.
    #[arg(long)]
    time_choices: bool,
    /// What all random numbers follow from; that of the scenario unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Share of what the endpoints could do, such as 0.9, in the place of the scenario's.
    #[arg(long, value_name = "SHARE", value_parser = load)]
    load: Option<f64>,
    /// How many seconds to simulate, in the place of the scenario's duration; events come sooner or later by as much.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// Where to write the page with the pictures; `off` writes none.
    #[arg(long, value_name = "FILE", default_value = "plimsoll-simulation.html")]
    html: PathBuf,
    /// Write one picture of it all, for a document.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON instead of the table.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table for a document.
    #[arg(long)]
    markdown: bool,
    /// Print the scenario that is built in, to begin one of your own, and simulate nothing.
    #[arg(long, conflicts_with_all = ["cluster", "json", "markdown", "svg", "balancers"])]
    print: bool,
}

fn examples() -> String {
    let mut text = String::from("Scenarios that are built in:\n");
    for built_in in BUILT_IN {
        let title = built_in.text.lines().find_map(|line| line.strip_prefix("title: ")).unwrap_or_default();
        text += &format!("  {:<14} {title}\n", built_in.name);
    }
    text += &format!("\nBalancers that are built in:\n  {}\n", BALANCERS.join(", "));
    text += "
Examples:
  plimsoll simulate
  plimsoll simulate --scenario slow-endpoint --balancers round-robin,least-request,peak-ewma
  plimsoll simulate --scenario bursts --load 0.7 --seed 7 --html bursts.html
  plimsoll simulate --scenario hot-keys --baseline round-robin --time-choices
  plimsoll simulate --scenario failing --print > mine.yaml
  plimsoll simulate --cluster mine.yaml --balancers least-request,./my-lb.wasm
  plimsoll simulate --cluster plimsoll.yaml --name api --like slow-endpoint";
    text
}

fn built_in_name(name: &str) -> Result<String, String> {
    match BuiltIn::find(name) {
        Some(built_in) => Ok(built_in.name.to_owned()),
        None => Err(format!("expected one of {}", BUILT_IN.iter().map(|of| of.name).collect::<Vec<_>>().join(", "))),
    }
}

fn load(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(load) if (0.001..=10.0).contains(&load) => Ok(load),
        _ => Err("expected a share from 0.001 to 10, such as 0.9".to_owned()),
    }
}

impl Simulate {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if self.print {
            return Ok(print(BuiltIn::find(&self.scenario).map_or("", |built_in| built_in.text))?);
        }
        let (prepared, own) = self.prepare()?;
        let choices = self.choices(&prepared, own).map_err(|text| Failure::Usage(format!("error: {text}")))?;
        let comparison =
            Comparison { command: self.command(), baseline: self.baseline.clone(), times_choices: self.time_choices };
        let report = simulate::compare(&prepared, choices, comparison, &mut show_progress);
        clear_progress();
        let report = report.map_err(|error| match error {
            SimulateError::Usage(text) => Failure::Usage(text),
            SimulateError::Other(error) => Failure::Other(error),
        })?;
        print(&self.told(&report)?)?;
        if self.html != Path::new("off") {
            write(&self.html, &lab::page::html(&report))?;
            eprintln!("wrote {}", self.html.display());
        }
        if let Some(path) = &self.svg {
            write(path, &lab::page::picture(&report))?;
        }
        Ok(())
    }

    fn told(&self, report: &lab::Report) -> anyhow::Result<String> {
        if self.json {
            return Ok(serde_json::to_string_pretty(report).context("write JSON")? + "\n");
        }
        Ok(if self.markdown { lab::text::markdown(report) } else { lab::text::table(report) })
    }

    /// The scenario, and the balancer that a proxy's configuration has for it.
    fn prepare(&self) -> Result<(Prepared, Option<Choice>), Failure> {
        let mut overrides = Overrides {
            seed: self.seed,
            duration: self.seconds.map(|seconds| Duration::from_secs(seconds.into())),
            load: self.load,
            endpoints: Vec::new(),
        };
        let built_in = |name: &str, overrides: &Overrides| {
            let built_in = BuiltIn::find(name).ok_or_else(|| Failure::Usage(format!("error: no scenario `{name}`")))?;
            built_in.prepare(overrides).map_err(usage)
        };
        match (&self.cluster, &self.name) {
            (None, _) => Ok((built_in(&self.scenario, &overrides)?, None)),
            (Some(file), None) => Ok((simulate::load(file, &overrides).map_err(usage)?, None)),
            (Some(file), Some(name)) => {
                let config = config::load(file).map_err(usage)?;
                let cluster = config.clusters.iter().find(|cluster| cluster.name == *name);
                let cluster = cluster.ok_or_else(|| {
                    let names: Vec<&str> = config.clusters.iter().map(|cluster| &*cluster.name).collect();
                    let file = file.display();
                    Failure::Usage(format!("error: {file} has no cluster `{name}`; it has {}", names.join(", ")))
                })?;
                overrides.endpoints = simulate::endpoints(cluster);
                let mut prepared = built_in(&self.like, &overrides)?;
                prepared.scenario.title = format!("the endpoints of `{name}`, like this: {}", prepared.scenario.title);
                prepared.scenario.name = name.clone();
                prepared.scenario.max_attempts = cluster.max_attempts as u32;
                prepared.scenario.zones = config.node.zone.clone().into_iter().collect();
                let configured = |used: &config::PluginUse| simulate::configured(&config, used);
                prepared.partitioners = cluster.partitioners.iter().map(configured).collect();
                if prepared.scenario.keys != lab::Keys::None {
                    prepared.affinity = cluster.affinity.as_ref().map(configured);
                }
                Ok((prepared, Some(configured(&cluster.balancer))))
            }
        }
    }

    fn choices(&self, prepared: &Prepared, own: Option<Choice>) -> Result<Vec<Choice>, String> {
        let asked = self.balancers.join(",");
        let suggested = match prepared.balancers.as_slice() {
            [] => USUAL.join(","),
            suggested => suggested.join(","),
        };
        let mut choices = Choice::list(if asked.trim().is_empty() { &suggested } else { &asked })?;
        if let Some(own) = own
            && !choices.contains(&own)
        {
            choices.insert(0, own);
        }
        let mut seen = Vec::new();
        choices.retain(|choice| {
            !seen.contains(choice) && {
                seen.push(choice.clone());
                true
            }
        });
        Ok(choices)
    }

    /// The command line that does it again.
    fn command(&self) -> String {
        let mut command = "plimsoll simulate".to_owned();
        let mut add = |name: &str, value: &str| {
            let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./,".contains(&byte));
            let value = if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) };
            command += &format!(" --{name} {value}");
        };
        match (&self.cluster, &self.name) {
            (None, _) => add("scenario", &self.scenario),
            (Some(file), None) => add("cluster", &file.to_string_lossy()),
            (Some(file), Some(name)) => {
                add("cluster", &file.to_string_lossy());
                add("name", name);
                add("like", &self.like);
            }
        }
        if !self.balancers.is_empty() {
            add("balancers", &self.balancers.join(","));
        }
        let numbers = [
            ("seed", self.seed.map(|seed| seed.to_string())),
            ("load", self.load.map(|load| load.to_string())),
            ("seconds", self.seconds.map(|seconds| seconds.to_string())),
            ("baseline", self.baseline.clone()),
        ];
        numbers.iter().for_each(|(name, value)| value.iter().for_each(|value| add(name, value)));
        if self.time_choices {
            command += " --time-choices";
        }
        command
    }
}

fn usage(errors: config::ConfigErrors) -> Failure {
    Failure::Usage(errors.to_string())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Not `println!`: whoever reads may stop early, as `head` does.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}

/// For a person who waits, not for a file.
fn show_progress(done: f64) {
    if std::io::stderr().is_terminal() {
        eprint!("\r{:3.0} % ", done * 100.0);
    }
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        eprint!("\r      \r");
    }
}
