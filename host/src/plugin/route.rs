use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::api::v0_2::exports::plimsoll::plugin::router as wit;
use super::convert;

/// What holds for the requests of a route, before what the configuration of listener and cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// For logs and metrics.
    pub label: Arc<str>,
    /// From the head of the request to that of the answer.
    pub request_timeout: Limit,
    /// Of an attempt, from sending to the first byte of the answer.
    pub first_byte_timeout: Limit,
    pub retry: RouteRetry,
    /// Whether clients are bound to endpoints, where the cluster binds them.
    pub binds_clients: bool,
}

/// What a route says of requests that an endpoint has failed, before what its cluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteRetry {
    /// How often a request may be tried, the first time counted.
    pub max_attempts: Option<usize>,
    /// Statuses of answers after which another endpoint is tried.
    pub statuses: Option<Arc<[u16]>>,
    /// Requests are tried again, too, that it may do harm to send twice.
    pub non_idempotent: bool,
}

/// A limit that may take the place of a configured one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    #[default]
    AsConfigured,
    Unlimited,
    At(Duration),
}

impl Limit {
    /// The limit that holds.
    pub fn over(self, configured: Option<Duration>) -> Option<Duration> {
        match self {
            Self::AsConfigured => configured,
            Self::Unlimited => None,
            Self::At(limit) => Some(limit),
        }
    }

    fn of_ms(ms: Option<u64>) -> Self {
        match ms {
            None => Self::AsConfigured,
            Some(0) => Self::Unlimited,
            Some(ms) => Self::At(Duration::from_millis(ms)),
        }
    }
}

/// As many as a cluster may have, too.
const MOST_ATTEMPTS: u32 = 16;
/// Statuses of answers that are failures.
const FAILURES: Range<u16> = 400..600;

impl RouteSettings {
    /// The settings as the host acts on them, or what it does not act on: connections have no head of an answer to wait for.
    pub(super) fn of(route: &wit::RouteSettings, of_connections: bool) -> Result<Self, String> {
        if let Some(setting) = unserved(route) {
            return Err(format!("route `{}`: this proxy does not act on {setting}", route.label));
        }
        if of_connections && let Some(setting) = of_requests(route) {
            let label = &route.label;
            return Err(format!(
                "route `{label}`: `{setting}` are those of requests, which a TCP listener does not have"
            ));
        }
        let retry = route.retry.as_ref().map(RouteRetry::of).transpose();
        let retry = retry.map_err(|mistake| format!("route `{}`: {mistake}", route.label))?.unwrap_or_default();
        Ok(Self {
            label: convert::label(&route.label),
            request_timeout: Limit::of_ms(route.timeouts.request_ms),
            first_byte_timeout: Limit::of_ms(route.timeouts.first_byte_ms),
            retry,
            binds_clients: !matches!(route.affinity, Some(wit::Affinity::Off)),
        })
    }
}

impl RouteRetry {
    fn of(retry: &wit::Retry) -> Result<Self, String> {
        let wit::Retry { attempts, statuses, unsafe_methods } = retry;
        if *attempts > MOST_ATTEMPTS {
            return Err(format!("expected at most {MOST_ATTEMPTS} attempts, not {attempts}"));
        }
        if let Some(status) = statuses.iter().find(|status| !FAILURES.contains(*status)) {
            return Err(format!("expected statuses of failures to retry after, from 400 to 599, not {status}"));
        }
        if statuses.len() > FAILURES.len() {
            return Err(format!("expected at most {} statuses to retry after", FAILURES.len()));
        }
        Ok(Self {
            max_attempts: (*attempts > 0).then_some(*attempts as usize),
            statuses: (!statuses.is_empty()).then(|| statuses[..].into()),
            non_idempotent: *unsafe_methods,
        })
    }
}

/// A setting that has no effect on connections: nobody waits for their answers, or reads them.
fn of_requests(route: &wit::RouteSettings) -> Option<&'static str> {
    if route.timeouts.request_ms.is_some() || route.timeouts.first_byte_ms.is_some() {
        return Some("timeouts");
    }
    route.retry.as_ref().filter(|retry| !retry.statuses.is_empty() || retry.unsafe_methods).map(|_| "retries")
}

/// A setting of a route that the host cannot do yet: to leave it out would be to do something else than was asked for.
fn unserved(route: &wit::RouteSettings) -> Option<String> {
    let fields = [
        ("`affinity.policy`", matches!(route.affinity, Some(wit::Affinity::Policy(_)))),
        ("`filters`", !route.filters.is_empty()),
        ("`rewrite`", route.rewrite.is_some()),
        ("`mirrors`", !route.mirrors.is_empty()),
    ];
    let field = fields.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name.to_owned());
    field.or_else(|| route.more.first().map(|(name, _)| format!("`{name}`")))
}

#[cfg(test)]
mod tests {
    use super::super::api::v0_2::plimsoll::plugin::types::Policy;
    use super::*;

    fn route() -> wit::RouteSettings {
        wit::RouteSettings {
            label: "api".into(),
            timeouts: wit::Timeouts { request_ms: None, first_byte_ms: None },
            retry: None,
            affinity: None,
            filters: Vec::new(),
            rewrite: None,
            mirrors: Vec::new(),
            more: Vec::new(),
        }
    }

    #[test]
    fn a_limit_takes_the_place_of_the_configured_one() {
        let second = Duration::from_secs(1);
        let timeouts = wit::Timeouts { request_ms: Some(0), first_byte_ms: Some(1000) };
        let settings = RouteSettings::of(&wit::RouteSettings { timeouts, ..route() }, false).expect("settings");
        assert_eq!(settings.request_timeout.over(Some(second)), None);
        assert_eq!(settings.first_byte_timeout.over(None), Some(second));
        let settings = RouteSettings::of(&route(), false).expect("settings");
        assert_eq!(settings.request_timeout.over(Some(second)), Some(second));
        assert!(settings.binds_clients && settings.retry == RouteRetry::default());
    }

    #[test]
    fn connections_have_no_timeouts_of_requests() {
        let timeouts = wit::Timeouts { request_ms: None, first_byte_ms: Some(1000) };
        let timed = wit::RouteSettings { timeouts, ..route() };
        assert!(RouteSettings::of(&timed, false).is_ok());
        let error = RouteSettings::of(&timed, true).expect_err("it is refused");
        assert!(error.contains("`timeouts`"), "{error}");
        let retry = |statuses| Some(wit::Retry { attempts: 2, statuses, unsafe_methods: false });
        let error = RouteSettings::of(&wit::RouteSettings { retry: retry(vec![503]), ..route() }, true);
        assert!(error.expect_err("it is refused").contains("`retries`"));
        assert!(RouteSettings::of(&wit::RouteSettings { retry: retry(vec![]), ..route() }, true).is_ok());
    }

    #[test]
    fn what_the_host_does_not_act_on_is_refused_by_name() {
        let policy = || Policy { plugin: "p".into(), config: String::new() };
        let rewrite = wit::Rewrite { path: None, authority: None, request: Vec::new(), response: Vec::new() };
        for (refused, route) in [
            ("`affinity.policy`", wit::RouteSettings { affinity: Some(wit::Affinity::Policy(policy())), ..route() }),
            ("`filters`", wit::RouteSettings { filters: vec![policy()], ..route() }),
            ("`rewrite`", wit::RouteSettings { rewrite: Some(rewrite), ..route() }),
            ("`mirrors`", wit::RouteSettings { mirrors: vec![wit::Mirror { cluster: 0, share: 1 }], ..route() }),
            ("`hedge`", wit::RouteSettings { more: vec![("hedge".into(), "1".into())], ..route() }),
        ] {
            let error = RouteSettings::of(&route, false).expect_err("it is refused");
            assert_eq!(error, format!("route `api`: this proxy does not act on {refused}"));
        }
    }

    #[test]
    fn what_a_route_says_of_retries_is_within_bounds() {
        let retry = |attempts, statuses: &[u16], unsafe_methods| {
            let retry = Some(wit::Retry { attempts, statuses: statuses.into(), unsafe_methods });
            RouteSettings::of(&wit::RouteSettings { retry, ..route() }, false).map(|settings| settings.retry)
        };
        assert_eq!(retry(0, &[], false), Ok(RouteRetry::default()), "as its cluster says");
        let all = RouteRetry { max_attempts: Some(16), statuses: Some([503].into()), non_idempotent: true };
        assert_eq!(retry(16, &[503], true), Ok(all));
        for (attempts, statuses) in [(17, &[][..]), (1, &[399]), (1, &[600]), (1, &[503, 200]), (1, &[500; 201])] {
            assert!(retry(attempts, statuses, false).is_err(), "{attempts} {statuses:?}");
        }
    }
}
