//! The tables and pictures of docs/ALGORITHMS.md and docs/RELIABILITY.md, made by the program itself. A place for them begins with a line that has
//! the arguments of `plimsoll simulate`, and ends with another one:
//!
//! ```text
//! <!-- gallery: --scenario steady -->
//! <!-- end of gallery -->
//! ```

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::{cargo, root};

const BEGIN: &str = "<!-- gallery: ";
const END: &str = "<!-- end of gallery -->";

const PAGES: [&str; 2] = ["docs/ALGORITHMS.md", "docs/RELIABILITY.md"];

/// Makes all of it anew.
pub(crate) fn run() -> Result<()> {
    PAGES.iter().try_for_each(|page| renew(&root().join(page)))
}

fn renew(path: &Path) -> Result<()> {
    let document = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut made = String::new();
    let mut rest = &*document;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let Some((arguments, after)) = after.split_once(" -->") else { bail!("a gallery's line has no end") };
        let Some((_, after)) = after.split_once(END) else { bail!("the gallery of {arguments} has no end") };
        made += &format!("{before}{BEGIN}{arguments} -->\n{}{END}", entry(arguments)?);
        rest = after;
    }
    made += rest;
    std::fs::write(path, made).with_context(|| format!("write {}", path.display()))
}

fn entry(arguments: &str) -> Result<String> {
    eprintln!("--- {arguments}");
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let scenario = words.iter().skip_while(|word| **word != "--scenario").nth(1).copied().unwrap_or("steady");
    let picture = Path::new("gallery").join(format!("{scenario}.svg"));
    let path = root().join("docs").join(&picture);
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let mut command = cargo(&["run", "--quiet", "-p", "plimsoll", "--", "--log", "off", "simulate"]);
    let output = command.args(&words).args(["--markdown", "--html", "off", "--svg"]).arg(&path).output()?;
    if !output.status.success() {
        bail!("{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let table = String::from_utf8(output.stdout)?;
    let picture = picture.display();
    Ok(format!("\n![{scenario}]({picture})\n\n`plimsoll simulate {arguments}`\n\n{table}\n"))
}
