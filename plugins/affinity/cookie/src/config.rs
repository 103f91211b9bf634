use binding::names;
use plimsoll_sdk::prelude::*;

/// The cookie, and the keys that sign it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the cookie. Clusters of one site that a client visits in turn need different names.
    pub(crate) name: String,
    /// How long the client is to keep it; until it is closed unless given.
    ttl: Option<Duration>,
    /// How long a client may pause. The cookie carries a date then, which is renewed as the client goes on.
    pub(crate) max_idle: Option<Duration>,
    /// How long a client stays bound, however busy it is. The cookie carries a date then.
    pub(crate) max_life: Option<Duration>,
    /// Paths that the client is to send it for.
    path: String,
    /// Hosts that the client is to send it to, with all below it; only the one that it asked unless given.
    domain: Option<String>,
    /// Only over TLS.
    secure: bool,
    /// Not for scripts.
    http_only: bool,
    /// Whether it goes along with requests that other sites cause.
    same_site: Option<SameSite>,
    /// Whether endpoints do not get to see it.
    pub(crate) indirect: bool,
    /// Whether an endpoint that sets a cookie of this name itself has its way.
    pub(crate) preserve: bool,
    /// Whether answers that set it are marked `Cache-Control: private`: a shared cache may hand out a cookie it has kept.
    pub(crate) nocache: bool,
    /// Secrets of at least 16 bytes. The first signs, all verify: put a new one in front to replace an old one. Derived
    /// from the secret of the proxy unless given.
    #[schemars(inner(length(min = 16)))]
    pub(crate) keys: Vec<String>,
    /// Numbers of keys that are derived from the secret of the proxy. The first signs, all verify: after `keys`, if those
    /// are given too. 0 unless anything is given.
    pub(crate) epochs: Vec<u32>,
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
            max_idle: None,
            max_life: None,
            path: "/".to_owned(),
            domain: None,
            secure: false,
            http_only: true,
            same_site: None,
            indirect: false,
            preserve: false,
            nocache: false,
            keys: Vec::new(),
            epochs: Vec::new(),
        }
    }
}

impl Config {
    /// What the signature is bound to besides the endpoint: a token of one cookie is worth nothing as another.
    pub(crate) fn label(&self) -> String {
        format!("cookie {} {}", self.name, self.path)
    }

    /// The attributes that follow the cookie's value.
    pub(crate) fn check(&self, errors: &mut ConfigErrors) -> String {
        names::check_cookie("/name", &self.name, errors);
        if self.name.starts_with("__Secure-") && !self.secure {
            errors.push("/secure", "browsers refuse a name that begins with `__Secure-` unless `secure` is true");
        }
        if self.name.starts_with("__Host-") && !(self.secure && self.path == "/" && self.domain.is_none()) {
            let message = "browsers refuse a name that begins with `__Host-` unless `secure` is true, the path `/`, and no domain given";
            errors.push("/name", message);
        }
        if !self.path.starts_with('/') || self.path.bytes().any(|byte| !(b' '..0x7f).contains(&byte) || byte == b';') {
            errors.push("/path", "expected a path that begins with `/`, without `;`");
        }
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if self.domain.as_deref().is_some_and(|domain| domain.is_empty() || !domain.bytes().all(is_host)) {
            errors.push("/domain", "expected a host such as `example.com`");
        }
        for (path, time) in [("/ttl", self.ttl), ("/max_idle", self.max_idle), ("/max_life", self.max_life)] {
            if time.is_some_and(|time| time.as_secs() == 0) {
                errors.push(path, "expected at least 1s: cookies count in seconds");
            }
        }
        if self.same_site == Some(SameSite::None) && !self.secure {
            errors.push("/same_site", "browsers refuse `none` unless `secure` is true");
        }
        self.attributes()
    }

    fn attributes(&self) -> String {
        let mut attributes = format!("; Path={}", self.path);
        if let Some(domain) = &self.domain {
            attributes += &format!("; Domain={domain}");
        }
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
