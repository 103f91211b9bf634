use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::policy::{Affinity, AffinityPlan, Binding, Edit, one};
use crate::Attribute;
use crate::{Availability, Endpoint, Subject};

/// How clients and application behave: what an affinity goes by is its own affair, so that ways are tried until one shows
/// that it knows clients again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    sends: Sends,
    application: Application,
}

/// What a client sends where the affinity asks for something that it was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Nothing,
    /// A name of its own.
    Name,
    /// A JSON Web Token with its name in the usual claims, and in those that the configuration names.
    Claims,
}

/// What the application adds to an answer to a client whose session it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    Silent,
    /// A cookie, and the headers that were asked for, with the name of a session.
    BeginsSessions,
    /// The same, with the name of the endpoint at the end.
    NamesItself,
}

impl Way {
    const ALL: [Self; 5] = [
        Self { sends: Sends::Nothing, application: Application::Silent },
        Self { sends: Sends::Name, application: Application::Silent },
        Self { sends: Sends::Claims, application: Application::Silent },
        Self { sends: Sends::Nothing, application: Application::BeginsSessions },
        Self { sends: Sends::Nothing, application: Application::NamesItself },
    ];

    /// In which nobody but the affinity gives anything.
    pub(super) const PLAIN: Self = Self::ALL[0];

    /// Whether the value of a session's name is the application's.
    pub(super) fn has_sessions(self) -> bool {
        self.application != Application::Silent
    }
}

/// The way in which a plugin knows clients again; none if it does in none of them.
pub(super) fn way(subject: &dyn Subject, config: &str) -> Result<Option<Way>, String> {
    for way in Way::ALL {
        if knows_clients(Site::new(subject, config, way, 0, Endpoint::several(4))?)? {
            return Ok(Some(way));
        }
    }
    Ok(None)
}

fn knows_clients(mut site: Site) -> Result<bool, String> {
    let mut clients: Vec<Client> = (1..4).map(Client::new).collect();
    for client in &mut clients {
        let visit = site.visit(client, client.number % 4)?;
        if visit.found.is_some() {
            return Ok(false);
        }
    }
    for _ in 0..2 {
        for client in &mut clients {
            if site.visit(client, 0)?.found != Some(client.number % 4) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// An affinity with an application behind it.
pub(super) struct Site {
    pub(super) affinity: Box<dyn Affinity>,
    pub(super) plan: AffinityPlan,
    pub(super) endpoints: Vec<Endpoint>,
    way: Way,
    claims: Vec<String>,
    /// Names of sessions are drawn, so that nobody mistakes one of another site for one of its own.
    names: fastrand::Rng,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    /// Whom the client was bound to, if that can serve it.
    pub(super) found: Option<u32>,
    /// Who answered.
    pub(super) served: u32,
}

impl Site {
    pub(super) fn new(
        subject: &dyn Subject,
        config: &str,
        way: Way,
        proxy: u32,
        endpoints: Vec<Endpoint>,
    ) -> Result<Self, String> {
        Self::of(one(subject, config, proxy)?, config, way, proxy, endpoints)
    }

    /// Of an affinity that was told nothing yet.
    pub(super) fn of(
        affinity: Box<dyn Affinity>,
        config: &str,
        way: Way,
        proxy: u32,
        endpoints: Vec<Endpoint>,
    ) -> Result<Self, String> {
        let names = fastrand::Rng::with_seed(u64::from(proxy) + 17);
        let mut site =
            Self { plan: affinity.plan(), affinity, endpoints: Vec::new(), way, claims: claims(config), names };
        site.tell(endpoints)?;
        Ok(site)
    }

    /// The same application on another worker.
    pub(super) fn another(&self) -> Result<Self, String> {
        let affinity = self.affinity.another()?;
        Ok(Self {
            plan: affinity.plan(),
            affinity,
            endpoints: self.endpoints.clone(),
            way: self.way,
            claims: self.claims.clone(),
            names: self.names.clone(),
        })
    }

    pub(super) fn tell(&mut self, endpoints: Vec<Endpoint>) -> Result<(), String> {
        self.endpoints = endpoints;
        self.affinity.set_endpoints(&self.endpoints)
    }

    /// Whether an endpoint may serve who is bound to it.
    pub(super) fn keeps_bound(&self, slot: u32) -> bool {
        self.endpoint(slot).is_some_and(|endpoint| endpoint.availability != Availability::Unavailable)
    }

    fn endpoint(&self, slot: u32) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.slot == slot)
    }

    /// Whom a client is bound to, without a request.
    pub(super) fn find(&mut self, client: &Client) -> Result<Binding, String> {
        self.affinity.find(&self.values(client))
    }

    /// A request of a client, which goes to `choice` unless it is bound.
    pub(super) fn visit(&mut self, client: &mut Client, choice: u32) -> Result<Visit, String> {
        let values = self.values(client);
        let binding = self.affinity.find(&values)?;
        if self.plan.rewrites_requests {
            self.affinity.prepare(&values)?;
        }
        let found = binding.slot().filter(|slot| self.keeps_bound(*slot));
        let served = found.unwrap_or(choice);
        let answer = self.answer(client, served);
        let response = self.asked_for(&answer);
        let is_told = response.iter().any(|fields| !fields.is_empty());
        let answer = if found.is_none() || is_told || matches!(binding, Binding::Renew(_)) {
            edited(answer, self.affinity.bind(&values, served, &response)?)
        } else {
            answer
        };
        client.receive(answer);
        Ok(Visit { found, served })
    }

    /// Fields that the application sends to the client.
    fn answer(&mut self, client: &mut Client, slot: u32) -> Vec<(String, Vec<u8>)> {
        let Some(id) = self.endpoint(slot).map(|endpoint| endpoint.id.clone()) else { return Vec::new() };
        let knows_it = client.session.as_ref().is_some_and(|session| session.endpoint == id);
        if !self.way.has_sessions() || knows_it {
            return Vec::new();
        }
        let mut name = format!("s{:08x}", self.names.u32(..));
        if self.way.application == Application::NamesItself {
            name = format!("{name}.{id}");
        }
        let mut fields = Vec::new();
        for attribute in &self.plan.attributes {
            if let Attribute::Cookie(cookie) = attribute {
                fields.push((SET_COOKIE.to_owned(), format!("{cookie}={name}; Path=/").into_bytes()));
            }
        }
        for header in self.plan.response_headers.iter().filter(|name| *name != SET_COOKIE) {
            fields.push((header.clone(), name.clone().into_bytes()));
        }
        client.session = Some(Session { endpoint: id, name });
        fields
    }

    fn asked_for(&self, answer: &[(String, Vec<u8>)]) -> Vec<Vec<Vec<u8>>> {
        let of = |name: &String| {
            let fields = answer.iter().filter(|(field, _)| field == name);
            fields.map(|(_, value)| value.clone()).collect()
        };
        self.plan.response_headers.iter().map(of).collect()
    }

    /// What the affinity sees of a request of the client.
    pub(super) fn values(&self, client: &Client) -> Vec<Option<Vec<u8>>> {
        self.plan.attributes.iter().map(|attribute| self.value(client, attribute)).collect()
    }

    fn value(&self, client: &Client, attribute: &Attribute) -> Option<Vec<u8>> {
        let fixed = match attribute {
            Attribute::Method => "GET",
            Attribute::Scheme => "https",
            Attribute::Authority | Attribute::ServerName => "app.test",
            Attribute::Path => "/",
            Attribute::Query => "",
            Attribute::SourcePort => "40001",
            Attribute::ApplicationProtocol => "h2",
            Attribute::Listener => "web",
            Attribute::Route => "all",
            Attribute::SourceAddress => return Some(client.address().to_string().into_bytes()),
            Attribute::Cookie(name) => {
                return client.cookies.get(name).cloned().or_else(|| self.own(client, attribute));
            }
            Attribute::Header(name) => {
                return client.headers.get(name).cloned().or_else(|| self.own(client, attribute));
            }
            Attribute::QueryParameter(_) => return self.own(client, attribute),
        };
        Some(fixed.as_bytes().to_vec())
    }

    /// What a client makes up, or has from the application by a way that the proxy does not see.
    fn own(&self, client: &Client, attribute: &Attribute) -> Option<Vec<u8>> {
        if let Some(session) = client.session.as_ref().filter(|_| self.way.has_sessions()) {
            return Some(session.name.clone().into_bytes());
        }
        match self.way.sends {
            Sends::Nothing => None,
            Sends::Name => Some(format!("client-{}", client.number).into_bytes()),
            Sends::Claims => {
                let token = token(&format!("client-{}", client.number), &self.claims);
                let is_authorization = *attribute == Attribute::Header("authorization".into());
                Some(if is_authorization { format!("Bearer {token}") } else { token }.into_bytes())
            }
        }
    }
}

pub(super) const SET_COOKIE: &str = "set-cookie";

/// A client with what it was given.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) number: u32,
    pub(super) cookies: BTreeMap<String, Vec<u8>>,
    pub(super) headers: BTreeMap<String, Vec<u8>>,
    session: Option<Session>,
}

#[derive(Clone, Debug)]
struct Session {
    /// Id of the endpoint that knows it.
    endpoint: String,
    name: String,
}

impl Client {
    pub(super) fn new(number: u32) -> Self {
        Self { number, cookies: BTreeMap::new(), headers: BTreeMap::new(), session: None }
    }

    /// The name of its session, which is no part of what the affinity gave.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.name.as_str())
    }

    /// Addresses of different numbers differ in their first bits, since some affinities heed no more of them.
    fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits((self.number + 1).reverse_bits())
    }

    /// Keeps what the answer gives it. It is not a browser's business to know which headers matter: it keeps all.
    fn receive(&mut self, answer: Vec<(String, Vec<u8>)>) {
        for (name, value) in answer {
            if name != SET_COOKIE {
                self.headers.insert(name, value);
                continue;
            }
            let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
            let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let cookie = String::from_utf8_lossy(pair[..at].trim_ascii()).into_owned();
            self.cookies.insert(cookie, pair[at + 1..].trim_ascii().to_vec());
        }
    }
}

/// The fields of an answer after the edits, made as the host makes them.
fn edited(mut answer: Vec<(String, Vec<u8>)>, edits: Vec<Edit>) -> Vec<(String, Vec<u8>)> {
    for edit in edits {
        match edit {
            Edit::Set(name, value) => {
                answer.retain(|(field, _)| *field != name);
                answer.push((name, value));
            }
            Edit::Append(name, value) => answer.push((name, value)),
            Edit::Remove(name) => answer.retain(|(field, _)| *field != name),
            // Answers have no such cookies.
            Edit::ReplaceCookie(..) | Edit::RemoveCookie(_) | Edit::Unusable(_) => {}
        }
    }
    answer
}

/// Names of claims that a client's token has: the usual ones, and whatever the configuration says that could be one.
fn claims(config: &str) -> Vec<String> {
    let mut claims: Vec<String> = ["iss", "sub", "sid", "tenant", "user"].map(str::to_owned).to_vec();
    let config = serde_json::from_str(config).unwrap_or_default();
    texts(&config, &mut |text| {
        if !claims.iter().any(|claim| claim == text) {
            claims.push(text.to_owned());
        }
    });
    claims
}

/// All texts in a configuration.
pub(super) fn texts(config: &serde_json::Value, found: &mut impl FnMut(&str)) {
    match config {
        serde_json::Value::String(text) => found(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        serde_json::Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

/// A JSON Web Token (RFC 7519) that nobody signed.
fn token(value: &str, claims: &[String]) -> String {
    let payload: serde_json::Map<String, serde_json::Value> =
        claims.iter().map(|claim| (claim.clone(), value.into())).collect();
    let parts =
        [br#"{"alg":"none"}"#.to_vec(), serde_json::Value::Object(payload).to_string().into_bytes(), vec![0; 8]];
    parts.map(|part| base64url(&part)).join(".")
}

/// Without padding (RFC 4648 section 5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_usize, |group, at| group << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * digit)) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_that_of_the_rules() {
        // RFC 4648 section 10, in the alphabet of section 5.
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(token("x", &claims(r#"{"claim":"org"}"#)).split('.').count(), 3);
        assert!(claims(r#"{"a":{"b":["org"]}}"#).contains(&"org".to_owned()));
    }

    #[test]
    fn a_client_keeps_what_it_is_given() {
        let mut client = Client::new(3);
        client.receive(vec![
            (SET_COOKIE.into(), b"a=1=2; Path=/".to_vec()),
            (SET_COOKIE.into(), b" a = 3 ;x".to_vec()),
            ("x-token".into(), b"t".to_vec()),
        ]);
        assert_eq!(client.cookies.get("a").map(Vec::as_slice), Some(&b"3"[..]));
        assert_eq!(client.headers.get("x-token").map(Vec::as_slice), Some(&b"t"[..]));
    }

    #[test]
    fn addresses_differ_in_their_first_bits() {
        let networks: std::collections::BTreeSet<u8> =
            (0..100).map(|number| Client::new(number).address().octets()[0]).collect();
        assert_eq!(networks.len(), 100);
    }
}
