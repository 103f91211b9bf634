//! Requests as routers and partitioners see them: values of the attributes that they asked for.

use std::fmt;

/// Something of a request that a policy wants to see, as in the contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    Method,
    Scheme,
    Authority,
    Path,
    Query,
    SourceAddress,
    SourcePort,
    ServerName,
    ApplicationProtocol,
    Listener,
    /// Label of the route that was taken.
    Route,
    Header(String),
    Cookie(String),
    QueryParameter(String),
}

/// Values of a policy's attributes, in their order; none where the request has no such thing.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Values(pub Vec<Option<Vec<u8>>>);

/// Bytes of a value that are worth reading.
const SHOWN: usize = 60;

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Vec<u8>>| match value {
            None => "absent".to_owned(),
            Some(bytes) => shown(bytes),
        };
        write!(f, "[{}]", self.0.iter().map(text).collect::<Vec<_>>().join(", "))
    }
}

/// Bytes as text in quotes; of many, the first.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = format!("\"{}\"", bytes[..bytes.len().min(SHOWN)].escape_ascii());
    if bytes.len() > SHOWN { format!("{text} and {} more bytes", bytes.len() - SHOWN) } else { text }
}

/// What requests are made up of: words that mean something to the policy, since they are in its configuration, and some
/// that mean something to most.
pub(crate) struct Vocabulary {
    words: Vec<String>,
}

const WORDS: [&str; 8] = ["a", "b", "1", "2", "gold", "", "a, b", "A"];

impl Vocabulary {
    /// Of the texts in a configuration.
    pub(crate) fn of(config: &str) -> Self {
        let mut words: Vec<String> = WORDS.map(str::to_owned).to_vec();
        words.extend(texts(config).into_iter().filter(|text| text.len() <= 256));
        Self { words }
    }

    fn word(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        self.words[random.usize(..self.words.len())].clone().into_bytes()
    }

    /// Values that a client could send. They come from few, so that the same come again.
    pub(crate) fn plausible(&self, random: &mut fastrand::Rng, attributes: &[Attribute]) -> Values {
        let values = attributes.iter().map(|attribute| {
            let value = self.value(random, attribute);
            // Every request has these.
            let always = matches!(
                attribute,
                Attribute::Method | Attribute::Path | Attribute::SourceAddress | Attribute::Listener
            );
            (always || random.u8(..6) > 0).then_some(value)
        });
        Values(values.collect())
    }

    fn value(&self, random: &mut fastrand::Rng, attribute: &Attribute) -> Vec<u8> {
        const METHODS: &[&str] = &["GET", "GET", "HEAD", "POST", "PUT", "M-SEARCH"];
        const HOSTS: &[&str] =
            &["a.test", "A.test:8080", "b.a.test.", "[2001:db8::1]:80", "192.0.2.1", "xn--bcher-kva.test"];
        const PATHS: &[&str] = &["/", "/a", "/a/b", "/a/../b", "/a%2fb", "/%2e%2e/a", "//a", "/a/", "*", "/a;v=1"];
        const ADDRESSES: &[&str] = &["192.0.2.7", "10.1.2.3", "2001:db8::7", "::ffff:10.0.0.1"];
        let own = random.u8(..3) == 0;
        let mut of = |values: &[&str]| values[random.usize(..values.len())].as_bytes().to_vec();
        match attribute {
            Attribute::Method => of(METHODS),
            Attribute::Scheme => of(&["http", "https"]),
            Attribute::SourceAddress => of(ADDRESSES),
            Attribute::SourcePort => of(&["1", "40000", "65535"]),
            Attribute::ApplicationProtocol => of(&["h2", "http/1.1"]),
            Attribute::Route => of(&["web", "/api", ""]),
            Attribute::Query => of(&["", "a=1", "a=1&b=2&a=3", "%", "a"]),
            Attribute::Authority | Attribute::ServerName if !own => of(HOSTS),
            Attribute::Path if !own => of(PATHS),
            Attribute::Path => {
                let mut path = self.word(random);
                if !path.starts_with(b"/") {
                    path.insert(0, b'/');
                }
                if random.bool() {
                    path.extend_from_slice(b"/x");
                }
                path
            }
            _ => self.word(random),
        }
    }

    /// Values of any bytes, some of them as long as a head may be.
    pub(crate) fn hostile(&self, random: &mut fastrand::Rng, attributes: &[Attribute]) -> Values {
        let values = attributes.iter().map(|attribute| match random.u8(..8) {
            0 => None,
            1 => Some(self.value(random, attribute)),
            2 => Some(vec![random.u8(..); 8192]),
            3 => {
                let mut nearly = self.value(random, attribute);
                let at = random.usize(..=nearly.len());
                nearly.insert(at, [0, 0xff, b'%', b':', b'.', b'/', b'['][random.usize(..7)]);
                Some(nearly)
            }
            _ => Some((0..random.usize(..40)).map(|_| random.u8(..)).collect()),
        });
        Values(values.collect())
    }
}

/// Texts in JSON, values and names.
pub(crate) fn texts(config: &str) -> Vec<String> {
    fn collect(value: &serde_json::Value, texts: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => texts.push(text.clone()),
            serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    texts.push(name.clone());
                    collect(value, texts);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(config) = serde_json::from_str(config) {
        collect(&config, &mut found);
    }
    found
}
