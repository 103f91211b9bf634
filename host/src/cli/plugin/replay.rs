//! `plimsoll plugin replay`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use super::print::print;
use crate::cli::failure::Failure;
use crate::plugin::{
    Engine, Grants, Limits, Player, Plugin, RECORDING_FORMAT, RecordingEvent as Event, Services, Source,
};

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// What `GET /v1/plugins/NAME/recording` has answered.
    recording: PathBuf,
    /// The version that it is played to.
    component: PathBuf,
    /// Differences that are shown.
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    differences: usize,
    /// Print the account as JSON.
    #[arg(long)]
    json: bool,
}

/// How a version has decided what was recorded.
#[derive(Debug, Default, serde::Serialize)]
struct Account {
    /// SHA-256 of the component that was recorded.
    recorded: String,
    /// Of the one that it was played to.
    played: String,
    decisions: u64,
    same: u64,
    different: u64,
    /// The first ones.
    differences: Vec<Difference>,
}

#[derive(Debug, serde::Serialize)]
struct Difference {
    /// Number of the line.
    line: usize,
    at_ms: u64,
    policy: u32,
    recorded: String,
    played: String,
}

impl Replay {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let account = self.play()?;
        print(&if self.json {
            serde_json::to_string_pretty(&account).context("write JSON")? + "\n"
        } else {
            account.to_string()
        })?;
        if account.different > 0 {
            return Err(anyhow!("{} of {} decisions differ", account.different, account.decisions).into());
        }
        Ok(())
    }

    fn play(&self) -> Result<Account> {
        let file = File::open(&self.recording).with_context(|| format!("open {}", self.recording.display()))?;
        let mut lines = (1..).zip(BufReader::new(file).lines());
        let mut next = || -> Result<Option<(usize, Event)>> {
            let Some((number, line)) = lines.next() else { return Ok(None) };
            let at = || format!("{}, line {number}", self.recording.display());
            let event = serde_json::from_str(&line.with_context(at)?).with_context(at)?;
            Ok(Some((number, event)))
        };
        let Some((_, Event::Recording { format, plugin: name, digest, .. })) = next()? else {
            bail!("{} does not begin as a recording does", self.recording.display());
        };
        if format != RECORDING_FORMAT {
            bail!("the recording is of format {format}, and {RECORDING_FORMAT} is the one that is known");
        }
        let bytes = std::fs::read(&self.component).with_context(|| format!("read {}", self.component.display()))?;
        let (engine, services) = (Engine::new()?, Arc::new(Services::for_trial(0)));
        let (grants, limits) = (Grants::everything(), Limits::default());
        let plugin = Plugin::load(&engine, &services, Some(&name), &bytes, Source::Upload, grants, limits)
            .with_context(|| format!("load {}", self.component.display()))?;
        let mut account = Account { recorded: digest, played: plugin.digest.clone(), ..Account::default() };
        let mut player = Player::new(Arc::new(plugin));
        while let Some((line, event)) = next()? {
            let answer = player.play(&event).with_context(|| format!("line {line}"))?;
            let (Some(played), Event::Decision { policy, at_ms, answer: recorded, .. }) = (answer, event) else {
                continue;
            };
            account.decisions += 1;
            if played == recorded {
                account.same += 1;
                continue;
            }
            account.different += 1;
            if account.differences.len() < self.differences {
                account.differences.push(Difference { line, at_ms, policy, recorded, played });
            }
        }
        Ok(account)
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "recorded   {}", self.recorded)?;
        writeln!(f, "played to  {}", self.played)?;
        writeln!(f, "decisions  {}: {} the same, {} different", self.decisions, self.same, self.different)?;
        for difference in &self.differences {
            let Difference { line, at_ms, policy, recorded, played } = difference;
            writeln!(f, "  line {line}, at {at_ms} ms, policy {policy}: recorded {recorded}; played {played}")?;
        }
        Ok(())
    }
}
