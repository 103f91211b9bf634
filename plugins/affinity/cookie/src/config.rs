use plimsoll_sdk::prelude::*;

/// The cookie, and the keys that sign it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the cookie. Clusters of one site that a client visits in turn need different names.
    pub(crate) name: String,
    /// How long the client is to keep it; until it is closed unless given.
    pub(crate) ttl: Option<Duration>,
    /// Paths that the client is to send it for.
    path: String,
    /// Only over TLS.
    secure: bool,
    /// Not for scripts.
    http_only: bool,
    /// Whether it goes along with requests that other sites cause.
    same_site: Option<SameSite>,
    /// Secrets of at least 16 bytes. The first signs, all verify: put a new one in front to replace an old one. Derived
    /// from the secret of the proxy unless given.
    #[schemars(inner(length(min = 16)))]
    pub(crate) keys: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum SameSite {
    Strict,
    Lax,
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "PLIMSOLL".to_owned(),
            ttl: None,
            path: "/".to_owned(),
            secure: false,
            http_only: true,
            same_site: None,
            keys: Vec::new(),
        }
    }
}

const SHORTEST_KEY: usize = 16;

impl Config {
    /// What the signature is bound to besides the endpoint: a token of one cookie is worth nothing as another.
    pub(crate) fn label(&self) -> String {
        format!("cookie {} {}", self.name, self.path)
    }

    /// The attributes that follow the cookie's value.
    pub(crate) fn check(&self) -> Result<String, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            errors.push("/name", format_args!("expected letters, digits and `-_.`, not `{}`", self.name));
        }
        if self.name.starts_with("__Secure-") && !self.secure {
            errors.push("/secure", "browsers refuse a name that begins with `__Secure-` unless `secure` is true");
        }
        if self.name.starts_with("__Host-") && !(self.secure && self.path == "/") {
            let message = "browsers refuse a name that begins with `__Host-` unless `secure` is true and the path `/`";
            errors.push("/name", message);
        }
        if !self.path.starts_with('/') || self.path.bytes().any(|byte| !(b' '..0x7f).contains(&byte) || byte == b';') {
            errors.push("/path", "expected a path that begins with `/`, without `;`");
        }
        if self.ttl.is_some_and(|ttl| ttl.as_secs() == 0) {
            errors.push("/ttl", "expected at least 1s: clients count in seconds");
        }
        if self.same_site == Some(SameSite::None) && !self.secure {
            errors.push("/same_site", "browsers refuse `none` unless `secure` is true");
        }
        for (index, key) in self.keys.iter().enumerate() {
            if key.len() < SHORTEST_KEY {
                errors.push(format!("/keys/{index}"), format_args!("expected at least {SHORTEST_KEY} bytes"));
            }
        }
        errors.or(self.attributes())
    }

    fn attributes(&self) -> String {
        let mut attributes = format!("; Path={}", self.path);
        if let Some(ttl) = self.ttl {
            attributes += &format!("; Max-Age={}", ttl.as_secs());
        }
        if self.secure {
            attributes += "; Secure";
        }
        if self.http_only {
            attributes += "; HttpOnly";
        }
        attributes += match self.same_site {
            None => "",
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
        };
        attributes
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
