use std::collections::{BTreeSet, HashMap};

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::{DirectResponse, Redirect, Retry, RouteAffinity, pointer, sort_by};
use regex_lite::{Regex, RegexBuilder};

use crate::action::{Replace, Split, Target};
use crate::config::{self, Config, Match, Value};
use crate::host;
use crate::index::{Index, PathKey};
use crate::rule::{PathRule, Rule, ValueRule, Wanted};
use crate::source::Network;

/// Keeps an expression small enough to be run on the path of a request.
const REGEX_BYTES: usize = 32 * 1024;

/// A configuration that has been checked.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) wanted: Wanted,
    pub(crate) clusters: Vec<String>,
    pub(crate) routes: Vec<Route>,
    pub(crate) index: Index,
    /// Cluster for requests that nobody can be asked about.
    pub(crate) fallback: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Route {
    /// What the host is to hold to.
    pub(crate) told: plimsoll_sdk::Route,
    pub(crate) rule: Rule,
    pub(crate) target: Target,
    /// It asks for nothing.
    takes_all: bool,
}

/// What is gathered while routes are checked.
#[derive(Default)]
struct Compiler {
    errors: ConfigErrors,
    wanted: Wanted,
    clusters: Vec<String>,
    cluster_numbers: HashMap<String, u32>,
    names: BTreeSet<String>,
}

impl Compiled {
    pub(crate) fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut compiler = Compiler::default();
        if config.routes.is_empty() {
            compiler.errors.push("/routes", "expected at least one route");
        }
        let mut routes = Vec::with_capacity(config.routes.len());
        let mut places = Vec::with_capacity(config.routes.len());
        for (index, route) in config.routes.into_iter().enumerate() {
            let at = format!("/routes/{index}");
            let label = compiler.label(&route, &at);
            let takes_all = route.matches == Match::default();
            let (place, rule) = compiler.rule(route.matches, &format!("{at}/match"));
            let retry = compiler.retry(route.max_attempts, route.retries, &format!("{at}/retries"));
            let told = settings(label, &route.timeouts, retry, route.affinity.as_ref());
            let actions = (route.cluster, route.clusters, route.redirect, route.respond);
            let target = compiler.target(actions, &at);
            places.extend(place);
            routes.extend(target.map(|target| Route { told, rule, target, takes_all }));
        }
        let fallback = match config.fallback {
            Some(cluster) => compiler.cluster(cluster, "/fallback"),
            None => cluster_of_all(&routes),
        };
        let Compiler { errors, wanted, clusters, .. } = compiler;
        errors.or(())?;

        let mut order: Vec<usize> = (0..routes.len()).collect();
        let specific = |index: usize| specificity(&routes[index].rule);
        sort_by(&mut order, |a, b| specific(*b).cmp(&specific(*a)).then(a.cmp(b)));
        let mut places: Vec<_> = places.into_iter().map(Some).collect();
        let mut index = Index::default();
        for route in order {
            if let Some((host, path)) = places[route].take() {
                index.add(host, path, route as u32);
            }
        }
        Ok(Self { wanted, clusters, routes, index, fallback })
    }
}

fn settings(
    label: String,
    timeouts: &config::Timeouts,
    retry: Option<Retry>,
    affinity: Option<&config::Affinity>,
) -> plimsoll_sdk::Route {
    let mut route = plimsoll_sdk::Route::new(label);
    route.timeouts.request_ms = timeouts.request.map(Duration::as_millis);
    route.timeouts.first_byte_ms = timeouts.first_byte.map(Duration::as_millis);
    route.retry = retry;
    route.affinity = affinity.map(|config::Affinity::None| RouteAffinity::Off);
    route
}

/// The cluster that every request goes to, whatever it is like: all routes lead to it, and one of them takes everything.
fn cluster_of_all(routes: &[Route]) -> Option<u32> {
    let Some(Target::Cluster(cluster)) = routes.first().map(|route| &route.target) else { return None };
    let leads_there = |route: &Route| matches!(route.target, Target::Cluster(other) if other == *cluster);
    (routes.iter().all(leads_there) && routes.iter().any(|route| route.takes_all)).then_some(*cluster)
}

/// What decides between routes of the same host and path. The sort that uses it keeps the order of the list for equals.
fn specificity(rule: &Rule) -> (bool, usize, usize, bool, bool) {
    let Rule { methods, headers, query, source, protocols, .. } = rule;
    (!methods.is_empty(), headers.len(), query.len(), !source.is_empty(), !protocols.is_empty())
}

impl Compiler {
    fn label(&mut self, route: &config::Route, at: &str) -> String {
        if let Some(name) = &route.name {
            if name.is_empty() || !self.names.insert(name.clone()) {
                self.errors.push(format!("{at}/name"), format_args!("expected a name of its own, not `{name}`"));
            }
            return name.clone();
        }
        let m = &route.matches;
        let path = match (&m.path_exact, &m.path_prefix, &m.path_regex) {
            (Some(path), _, _) => format!("={path}"),
            (_, Some(prefix), _) => prefix.clone(),
            (_, _, Some(regex)) => format!("~{regex}"),
            _ if m.host.is_some() => String::new(),
            _ => "*".to_owned(),
        };
        format!("{}{path}", m.host.as_deref().unwrap_or_default())
    }

    fn retry(&mut self, attempts: Option<u32>, retries: config::Retries, at: &str) -> Option<Retry> {
        let config::Retries { statuses, non_idempotent } = retries;
        for (index, status) in statuses.iter().enumerate().filter(|(_, status)| !(400..600).contains(*status)) {
            self.errors.push(format!("{at}/statuses/{index}"), format_args!("expected from 400 to 599, not {status}"));
        }
        let says_nothing = attempts.is_none() && statuses.is_empty() && !non_idempotent;
        // 0 attempts are as many as the cluster says.
        (!says_nothing).then(|| Retry { attempts: attempts.unwrap_or(0), statuses, unsafe_methods: non_idempotent })
    }

    fn rule(&mut self, matches: Match, at: &str) -> (Option<(Option<host::Pattern>, PathKey)>, Rule) {
        let host = matches.host.as_deref().map(|text| {
            self.wanted.host = true;
            let pattern = host::pattern(text);
            if pattern.is_none() {
                let message = format_args!("expected a host such as `example.com` or `*.example.com`, not `{text}`");
                self.errors.push(format!("{at}/host"), message);
            }
            pattern
        });
        let (path_key, path) = self.path(&matches, at);
        for (index, method) in matches.methods.iter().enumerate() {
            if !is_token(method) {
                self.errors.push(format!("{at}/methods/{index}"), format_args!("`{method}` is no method"));
            }
        }
        self.wanted.method |= !matches.methods.is_empty();
        self.wanted.source |= !matches.source.is_empty();
        for (index, name) in matches.application_protocols.iter().enumerate() {
            if name.is_empty() || name.len() > 255 || name.contains(',') {
                let message = format_args!("expected a name such as `h2`, without commas, not `{name}`");
                self.errors.push(format!("{at}/application_protocols/{index}"), message);
            }
        }
        self.wanted.protocol |= !matches.application_protocols.is_empty();
        let source = matches.source.iter().enumerate().filter_map(|(index, text)| {
            let network = Network::parse(text);
            if network.is_none() {
                let message = format_args!("expected an address or a network such as `192.0.2.0/24`, not `{text}`");
                self.errors.push(format!("{at}/source/{index}"), message);
            }
            network
        });
        let source = source.collect();
        let header = |name: &str| Attribute::Header(name.to_ascii_lowercase());
        let parameter = |name: &str| Attribute::QueryParameter(name.to_owned());
        let rule = Rule {
            path,
            methods: matches.methods.into_iter().map(String::into_bytes).collect(),
            headers: self.values(matches.headers, &format!("{at}/headers"), is_token, header),
            query: self.values(matches.query, &format!("{at}/query"), |name| !name.is_empty(), parameter),
            source,
            protocols: matches.application_protocols.into_iter().map(String::into_bytes).collect(),
        };
        let place = match host {
            None => Some((None, path_key)),
            Some(pattern) => pattern.map(|pattern| (Some(pattern), path_key)),
        };
        (place, rule)
    }

    fn path(&mut self, matches: &Match, at: &str) -> (PathKey, PathRule) {
        let Match { path_exact, path_prefix, path_regex, .. } = matches;
        let given = [path_exact, path_prefix, path_regex].iter().filter(|path| path.is_some()).count();
        if given > 1 {
            self.errors.push(at, "expected only one of `path_exact`, `path_prefix` and `path_regex`");
        }
        self.wanted.path |= given > 0;
        for (path, key) in [(path_exact, "path_exact"), (path_prefix, "path_prefix")] {
            let Some(path) = path else { continue };
            if !path.starts_with('/') || path.contains(['?', '#']) {
                let message = format_args!("expected a path that begins with `/` and has no query, not `{path}`");
                self.errors.push(format!("{at}/{key}"), message);
            } else if *crate::path::resolved(path.as_bytes()) != *path.as_bytes() {
                let message = "a path with `.` or `..` segments never matches: they are resolved before";
                self.errors.push(format!("{at}/{key}"), message);
            }
        }
        match (path_exact, path_prefix, path_regex) {
            (Some(path), _, _) => (PathKey::Exact(path.clone().into_bytes()), PathRule::Indexed),
            (_, Some(prefix), _) => {
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                (PathKey::Prefix(prefix.to_owned().into_bytes()), PathRule::Indexed)
            }
            (_, _, Some(pattern)) => {
                let regex = self.regex(pattern, &format!("{at}/path_regex"));
                (PathKey::Regex(pattern.len()), regex.map_or(PathRule::Any, PathRule::Regex))
            }
            _ => (PathKey::Prefix(Vec::new()), PathRule::Any),
        }
    }

    fn values(
        &mut self,
        values: impl IntoIterator<Item = (String, Value)>,
        at: &str,
        valid: impl Fn(&str) -> bool,
        attribute: impl Fn(&str) -> Attribute,
    ) -> Vec<(usize, ValueRule)> {
        let mut rules = Vec::new();
        for (name, value) in values {
            let at = pointer(at, &name);
            if !valid(&name) {
                self.errors.push(&at, format_args!("`{name}` cannot be a name"));
                continue;
            }
            let rule = match value {
                Value::Exact(text) => ValueRule::Exact(text.into_bytes()),
                Value::Prefix(text) => ValueRule::Prefix(text.into_bytes()),
                Value::Present(present) => ValueRule::Present(present),
                Value::Regex(pattern) => match self.regex(&pattern, &format!("{at}/regex")) {
                    Some(regex) => ValueRule::Regex(regex),
                    None => continue,
                },
            };
            rules.push((self.wanted.named(attribute(&name)), rule));
        }
        rules
    }

    /// An expression for the whole of a value.
    fn regex(&mut self, pattern: &str, at: &str) -> Option<Regex> {
        // By itself first: a parenthesis too many must not find its partner in what is put around it.
        let regex = Regex::new(pattern)
            .and_then(|_| RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES).build());
        regex.map_err(|error| self.errors.push(at, error)).ok()
    }

    fn target(&mut self, actions: Actions, at: &str) -> Option<Target> {
        match actions {
            (Some(cluster), None, None, None) => self.cluster(cluster, &format!("{at}/cluster")).map(Target::Cluster),
            (None, Some(shares), None, None) => self.split(shares, &format!("{at}/clusters")).map(Target::Split),
            (None, None, Some(redirect), None) => Some(self.redirect(redirect, &format!("{at}/redirect"))),
            (None, None, None, Some(respond)) => Some(self.respond(respond, &format!("{at}/respond"))),
            _ => {
                self.errors.push(at, "expected exactly one of `cluster`, `clusters`, `redirect` and `respond`");
                None
            }
        }
    }

    fn cluster(&mut self, name: String, at: &str) -> Option<u32> {
        if name.is_empty() {
            self.errors.push(at, "expected the name of a cluster");
            return None;
        }
        if let Some(number) = self.cluster_numbers.get(&name) {
            return Some(*number);
        }
        let number = self.clusters.len() as u32;
        self.clusters.push(name.clone());
        self.cluster_numbers.insert(name, number);
        Some(number)
    }

    fn split(&mut self, shares: Vec<config::Share>, at: &str) -> Option<Split> {
        let mut clusters = Vec::with_capacity(shares.len());
        let mut sum = 0u32;
        for (index, share) in shares.into_iter().enumerate() {
            let at = format!("{at}/{index}");
            let total = sum.checked_add(share.weight).filter(|_| share.weight <= 1_000_000);
            match total {
                Some(total) => sum = total,
                None => self.errors.push(format!("{at}/weight"), "expected at most 1000000"),
            }
            clusters.push((self.cluster(share.cluster, &format!("{at}/cluster"))?, sum));
        }
        if sum == 0 {
            self.errors.push(at, "expected at least one cluster with a weight above 0");
        }
        Some(Split { clusters })
    }

    fn redirect(&mut self, redirect: config::Redirect, at: &str) -> Target {
        let config::Redirect { status, location, scheme, host, path } = redirect;
        if ![301, 302, 303, 307, 308].contains(&status) {
            self.errors.push(format!("{at}/status"), format_args!("expected 301, 302, 303, 307 or 308, not {status}"));
        }
        for (part, key) in [(&location, "location"), (&host, "host"), (&path, "path")] {
            if part.as_ref().is_some_and(|text| text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic())) {
                self.errors.push(format!("{at}/{key}"), "expected a part of a URL, without spaces and in ASCII");
            }
        }
        if scheme.as_deref().is_some_and(|scheme| !["http", "https"].contains(&scheme)) {
            self.errors.push(format!("{at}/scheme"), "expected `http` or `https`");
        }
        if path.as_deref().is_some_and(|path| !path.starts_with('/')) {
            self.errors.push(format!("{at}/path"), "expected a path that begins with `/`");
        }
        let replaces = scheme.is_some() || host.is_some() || path.is_some();
        match location {
            Some(_) if replaces => {
                self.errors.push(at, "expected either `location` or some of `scheme`, `host` and `path`");
            }
            None if !replaces => {
                self.errors.push(at, "expected `location` or some of `scheme`, `host` and `path`");
            }
            _ => {}
        }
        match location {
            Some(location) => Target::Redirect(Redirect { status, location }),
            None => {
                self.wanted.url = true;
                Target::Replace(Replace { status, scheme, host, path })
            }
        }
    }

    fn respond(&mut self, respond: config::Respond, at: &str) -> Target {
        if !(200..=599).contains(&respond.status) {
            let message = format_args!("expected a status from 200 to 599, not {}", respond.status);
            self.errors.push(format!("{at}/status"), message);
        }
        let mut headers = Vec::with_capacity(respond.headers.len());
        for (name, value) in respond.headers {
            if !is_token(&name) || value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
                self.errors.push(pointer(&format!("{at}/headers"), &name), "expected a header field");
            }
            headers.push(Header { name: name.to_ascii_lowercase(), value: value.into_bytes() });
        }
        Target::Respond(DirectResponse { status: respond.status, headers, body: respond.body.into_bytes() })
    }
}

/// `cluster`, `clusters`, `redirect` and `respond` of a route.
type Actions = (Option<String>, Option<Vec<config::Share>>, Option<config::Redirect>, Option<config::Respond>);

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
