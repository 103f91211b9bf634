//! Everything that reads bytes from outside, as plain functions of bytes: they may answer anything, but not panic, hang or
//! break what they promise. The targets in `fuzz/` call them with what a fuzzer thinks of, and a test here with the corpus
//! that is kept in `fuzz/corpus`: a directory for each target, a file for each input. No part of the library's interface.

pub use crate::proxy::fuzzing::{read_forwarding, read_greeting, read_load_report, read_rdp};

/// What reads any bytes.
pub type Target = fn(&[u8]);

/// Every target, under the name of its file in `fuzz/fuzz_targets` and of its directory in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 5] = [
    ("configuration", read_configuration),
    ("forwarding", read_forwarding),
    ("greeting", read_greeting),
    ("load_report", read_load_report),
    ("rdp", read_rdp),
];

/// A configuration. What is wrong with it can be told.
pub fn read_configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // It would be the machine's files that are fuzzed.
    if text.contains("_file") {
        return;
    }
    if let Err(errors) = crate::config::parse(text, "fuzzed") {
        assert!(!errors.to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn fuzz() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
    }

    fn entries(directory: &Path) -> BTreeSet<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        entries.map(|entry| entry.expect("a readable entry").path()).collect()
    }

    #[test]
    fn every_input_of_the_corpus_is_survived() {
        for (name, target) in TARGETS {
            let inputs = entries(&fuzz().join("corpus").join(name));
            assert!(!inputs.is_empty(), "{name} has no corpus");
            for input in inputs {
                let bytes = std::fs::read(&input).expect("an input can be read");
                if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                    panic!("{name} does not survive {}", input.display());
                }
            }
        }
    }

    #[test]
    fn targets_and_corpora_are_the_same() {
        let known: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        for directory in ["corpus", "fuzz_targets"] {
            let found = entries(&fuzz().join(directory));
            let found: BTreeSet<&str> =
                found.iter().filter_map(|path| path.file_stem()).filter_map(|name| name.to_str()).collect();
            assert_eq!(found, known, "{directory}");
        }
    }
}
