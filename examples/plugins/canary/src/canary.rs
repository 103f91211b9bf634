use serde_json::{Map, Value, json};

/// Who is led elsewhere.
pub(crate) struct Canary {
    /// The cluster that clients are taken from, and the one that they are led to.
    pub(crate) of: String,
    pub(crate) cluster: String,
    /// In hundredths of a percent.
    share: u64,
    /// With `always` or `never` in this header, clients choose themselves.
    pub(crate) header: String,
}

/// Where a mistake is, and what it is.
type Mistake = (String, String);

/// What is configured here, and what is left for the plugin inside.
pub(crate) fn split(config: &str) -> Result<(Option<Canary>, String), Mistake> {
    let Ok(Value::Object(mut all)) = serde_json::from_str(config) else { return Ok((None, config.to_owned())) };
    let Some(own) = all.remove("canary") else { return Ok((None, config.to_owned())) };
    let Value::Object(own) = own else { return Err(("/canary".to_owned(), "expected an object".to_owned())) };
    Ok((Some(Canary::read(&own)?), Value::Object(all).to_string()))
}

impl Canary {
    fn read(own: &Map<String, Value>) -> Result<Self, Mistake> {
        let mistake = |key: &str, expected: &str| (format!("/canary/{key}"), format!("expected {expected}"));
        let text = |key: &str| match own.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(mistake(key, "a text")),
        };
        if let Some(unknown) = own.keys().find(|key| !["of", "cluster", "percent", "header"].contains(&key.as_str())) {
            return Err(mistake(unknown, "of, cluster, percent or header"));
        }
        let percent = own.get("percent").and_then(Value::as_f64).filter(|percent| (0.0..=100.0).contains(percent));
        let percent = percent.ok_or_else(|| mistake("percent", "a number from 0 to 100"))?;
        let header = if own.contains_key("header") { text("header")? } else { "x-canary".to_owned() };
        let header = header.to_ascii_lowercase();
        Ok(Self { of: text("of")?, cluster: text("cluster")?, share: (percent * 100.0) as u64, header })
    }

    /// Whether a client goes to the other cluster: always the same for one address, so that nobody is led to and fro.
    pub(crate) fn takes(&self, source: Option<&[u8]>, header: Option<&[u8]>) -> bool {
        match header {
            Some(b"always") => true,
            Some(b"never") => false,
            _ => hash(source.unwrap_or_default()) % 10_000 < self.share,
        }
    }
}

/// FNV-1a, and the last step of MurmurHash3, without which addresses that end alike stay together.
fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The schema of the plugin inside, with `canary` beside its own.
pub(crate) fn with_own((role, schema): (String, String)) -> (String, String) {
    let Ok(mut read) = serde_json::from_str::<Value>(&schema) else { return (role, schema) };
    if let Some(properties) = read.get_mut("properties").and_then(Value::as_object_mut) {
        let own = json!({
            "type": "object",
            "description": "Leads a share of the clients of a cluster to another.",
            "properties": {
                "of": { "type": "string", "description": "The cluster, as `routes` name it." },
                "cluster": { "type": "string", "description": "The other one." },
                "percent": { "type": "number", "minimum": 0, "maximum": 100, "description": "The share of clients." },
                "header": { "type": "string", "default": "x-canary", "description": "`always` or `never` in it decides." }
            },
            "required": ["of", "cluster", "percent"],
            "additionalProperties": false
        });
        properties.insert("canary".to_owned(), own);
    }
    (role, read.to_string())
}
