//! What plugins in other languages than Rust begin with.

use clap::ValueEnum;

use crate::builtin::C_BINDINGS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    Rust,
    #[value(name = "javascript")]
    JavaScript,
    Python,
    C,
}

/// One for which there is no SDK: a plugin is made of the contract alone.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) name: &'static str,
    /// The file with the plugin, and what it begins with, by role.
    pub(super) file: &'static str,
    pub(super) sources: &'static [(&'static str, &'static str)],
    /// Everything else but the contract and `plugin.toml`.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Made of the contract, for `bindings`; what is of a role begins with its name.
    pub(super) bindings: &'static [(&'static str, &'static [u8])],
    /// What is done before `plimsoll plugin build`.
    pub(super) next: &'static str,
}

impl Language {
    pub(super) fn other(self) -> Option<&'static Other> {
        match self {
            Self::Rust => None,
            Self::JavaScript => Some(&JAVASCRIPT),
            Self::Python => Some(&PYTHON),
            Self::C => Some(&C),
        }
    }
}

const JAVASCRIPT: Other = Other {
    name: "JavaScript",
    file: "plugin.js",
    sources: &[
        ("balancer", include_str!("../templates/javascript/balancer.js")),
        ("router", include_str!("../templates/javascript/router.js")),
    ],
    files: &[
        ("package.json", include_str!("../templates/javascript/package.json")),
        ("build.js", include_str!("../templates/javascript/build.js")),
        ("build.sh", include_str!("../templates/javascript/build.sh")),
        ("README.md", include_str!("../templates/javascript/README.md")),
        (".gitignore", "node_modules/\ntarget/\n"),
    ],
    bindings: &[],
    next: "npm install, ",
};

const PYTHON: Other = Other {
    name: "Python",
    file: "plugin.py",
    sources: &[
        ("balancer", include_str!("../templates/python/balancer.py")),
        ("router", include_str!("../templates/python/router.py")),
    ],
    files: &[
        ("requirements.txt", include_str!("../templates/python/requirements.txt")),
        ("build.sh", include_str!("../templates/python/build.sh")),
        ("README.md", include_str!("../templates/python/README.md")),
        (".gitignore", ".venv/\n__pycache__/\ntarget/\n"),
    ],
    bindings: &[],
    next: "pip install -r requirements.txt, ",
};

const C: Other = Other {
    name: "C",
    file: "plugin.c",
    sources: &[
        ("balancer", include_str!("../templates/c/balancer.c")),
        ("router", include_str!("../templates/c/router.c")),
    ],
    files: &[
        ("build.sh", include_str!("../templates/c/build.sh")),
        ("libc/libc.c", include_str!("../templates/c/libc/libc.c")),
        ("libc/stdlib.h", include_str!("../templates/c/libc/stdlib.h")),
        ("libc/string.h", include_str!("../templates/c/libc/string.h")),
        ("README.md", include_str!("../templates/c/README.md")),
        (".gitignore", "target/\n"),
    ],
    bindings: C_BINDINGS,
    next: "",
};
