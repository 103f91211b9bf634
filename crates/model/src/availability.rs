/// Whether an endpoint may get traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Takes new requests.
    Ready,
    /// Keeps the clients bound to it, takes nothing new.
    Draining,
    /// Takes nothing: unhealthy, or disabled by the operator or by itself.
    Unavailable,
}

impl Availability {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
        }
    }
}
