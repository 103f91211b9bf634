//! The built-in plugins, called through the interface that the rest of the host uses: what is measured has the host's
//! bookkeeping in it (deadline, counters of calls, remembered routes).

mod affinities;
mod balancers;
mod endpoints;
mod partitioners;
mod policies;
mod policy;
mod shelf;

use std::fmt::Write as _;

use anyhow::Result;
use plimsoll_componentize::{Build, build_workspace};

use self::shelf::Shelf;
use crate::measure::{Measured, measure};
use crate::report::{human, mark};
use crate::{report, root};

pub(crate) fn run(rounds: usize) -> Result<()> {
    let builtin = build_workspace(
        &root().join("plugins"),
        &root().join("target/plugins"),
        Build { locked: true, quiet: true, ..Build::default() },
    )?;
    let shelf = Shelf::load(&builtin)?;
    let mut cases = shelf.loaded.iter().map(|loaded| shelf.start_case(loaded)).collect::<Result<Vec<_>>>()?;
    for more in [policies::cases, balancers::cases, partitioners::cases, affinities::cases] {
        cases.extend(more(&shelf)?);
    }
    let measured = measure(cases, rounds)?;
    let (started, called) = measured.split_at(shelf.loaded.len());

    println!("{}", shelf.table(started));
    print!("{}", calls_table(called));
    print!("\n{}", missed(&shelf, called));
    report::save("plugins", &measured, shelf.raw())
}

fn calls_table(measured: &[Measured]) -> String {
    let mut text = String::from("| call | time | goal |\n|---|---:|---:|\n");
    for one in measured {
        let goal = one.goal.map(|goal| format!("{} {}", human(goal), mark(one.meets_goal()))).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} | {goal} |", one.name, human(one.median()));
    }
    text
}

/// The goals that are not met, by name.
fn missed(shelf: &Shelf, measured: &[Measured]) -> String {
    let calls = measured.iter().filter(|one| one.meets_goal() == Some(false)).map(|one| one.name.clone());
    let sizes = shelf.loaded.iter().filter(|loaded| !loaded.is_small());
    let sizes = sizes.map(|loaded| format!("{}: size", loaded.plugin.name));
    let missed: Vec<String> = sizes.chain(calls).collect();
    match missed.as_slice() {
        [] => "All goals are met.\n".to_owned(),
        missed => format!("Goals that are missed:\n- {}\n", missed.join("\n- ")),
    }
}
