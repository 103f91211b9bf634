use std::fmt;

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigError {
    /// JSON Pointer (RFC 6901) of what is wrong.
    pub path: String,
    /// Counted from 1; 0 when there is no text to point into.
    pub line: usize,
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// All mistakes of a configuration, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigErrors {
    /// Name of the file, or what stands for it.
    pub file: String,
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn new(file: &str, mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by(|a, b| (a.line, a.column, &a.path, &a.message).cmp(&(b.line, b.column, &b.path, &b.message)));
        errors.dedup();
        Self { file: file.to_owned(), errors }
    }

    /// A mistake of the file as a whole.
    pub(super) fn whole(file: &str, message: String) -> Self {
        Self::new(file, vec![ConfigError { path: String::new(), line: 0, column: 0, message }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if error.line > 0 {
                write!(f, ":{}:{}", error.line, error.column)?;
            }
            f.write_str(": ")?;
            if !error.path.is_empty() {
                write!(f, "{}: ", readable(&error.path))?;
            }
            f.write_str(&error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// A JSON Pointer as people write paths: `clusters[0].endpoints[1].weight`.
fn readable(pointer: &str) -> String {
    let mut path = String::new();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{token}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&token);
        }
    }
    path
}
