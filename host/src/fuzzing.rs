//! Everything that reads bytes from outside, as plain functions of bytes: they may answer anything, but not panic, hang or
//! break what they promise. The targets in `fuzz/` call them with what a fuzzer thinks of, and a test here with the corpus
//! that is kept in `fuzz/corpus`: a directory for each target, a file for each input. No part of the library's interface.

pub use plimsoll_http1::fuzzing::{read_chunks, read_request, read_response};
pub use plimsoll_http2::fuzzing::read_frames;
pub use plimsoll_http3::fuzzing::read_http3;
pub use plimsoll_proxy_protocol::fuzzing::read_proxy_protocol;

pub use crate::discovery::fuzzing::read_dns_answer;
pub use crate::proxy::fuzzing::{read_forwarding, read_greeting, read_load_report, read_quic, read_rdp};

/// What reads any bytes.
pub type Target = fn(&[u8]);

/// Every target, under the name of its file in `fuzz/fuzz_targets` and of its directory in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 13] = [
    ("chunks", read_chunks),
    ("configuration", read_configuration),
    ("dns_answer", read_dns_answer),
    ("forwarding", read_forwarding),
    ("frames", read_frames),
    ("greeting", read_greeting),
    ("http3", read_http3),
    ("load_report", read_load_report),
    ("proxy_protocol", read_proxy_protocol),
    ("quic", read_quic),
    ("rdp", read_rdp),
    ("request", read_request),
    ("response", read_response),
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

    /// What a fuzzer does without looking at what its inputs reach, which costs nothing to build: some rounds with every
    /// test run, `FUZZ_ROUNDS=100000` for a while of it.
    #[test]
    fn bent_inputs_of_the_corpus_are_survived() {
        let rounds = std::env::var("FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
        for (name, target) in TARGETS {
            let inputs: Vec<Vec<u8>> = entries(&fuzz().join("corpus").join(name))
                .iter()
                .map(|path| std::fs::read(path).expect("an input can be read"))
                .collect();
            let mut random = Random(0x9e37_79b9_7f4a_7c15);
            for round in 0..rounds {
                let mut input = inputs[random.below(inputs.len())].clone();
                for _ in 0..=random.below(6) {
                    random.bend(&mut input, &inputs);
                }
                if std::panic::catch_unwind(|| target(&input)).is_err() {
                    panic!("{name} does not survive round {round}: {}", input.escape_ascii());
                }
            }
        }
    }

    /// The same numbers at every run (xorshift64*).
    struct Random(u64);

    /// What separates, escapes or ends things.
    const ODD: &[u8] = b" \t\r\n\0,;:\"\\=[]{}#-0%\x7f\xff";

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
        }

        /// One change of the kinds that find most: a byte, a piece of another input, a piece left out or said twice.
        fn bend(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
            let at = self.below(input.len() + 1);
            let end = (at + 1 + self.below(16)).min(input.len());
            match self.below(6) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.below(256) as u8,
                2 => input.insert(at, ODD[self.below(ODD.len())]),
                3 if at < end => drop(input.drain(at..end)),
                4 if at < end => drop(input.splice(at..at, input[at..end].to_vec())),
                _ => {
                    let other = &others[self.below(others.len())];
                    let from = self.below(other.len());
                    let to = (from + 1 + self.below(64)).min(other.len());
                    drop(input.splice(at..at, other[from.min(to)..to].iter().copied()));
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
