use crate::JsonSchema;
use crate::schema::document;
use crate::wit::lifecycle::Manifest;

/// `profiles` has names with a comma after each, so that nothing is made of them here.
pub fn manifest(
    name: &str,
    version: &str,
    summary: &str,
    profiles: &str,
    config_schemas: Vec<(String, String)>,
) -> Manifest {
    let more = if profiles.is_empty() { Vec::new() } else { vec![("profiles".to_owned(), profiles.to_owned())] };
    Manifest { name: name.to_owned(), version: version.to_owned(), summary: summary.to_owned(), config_schemas, more }
}

/// The name of a role.
pub fn named(role: &str) -> String {
    role.to_owned()
}

/// JSON Schema (draft 2020-12) of a configuration.
pub fn schema<C: JsonSchema>() -> String {
    document(C::schema())
}

/// Makes a plugin of types that implement the traits of the roles. Once per crate:
///
/// ```ignore
/// plimsoll_sdk::plugin! {
///     name: "tenant-pin",        // the crate's name unless given
///     version: "1.2.0",          // the crate's version unless given
///     summary: "what it is for", // the crate's description unless given
///     profiles: ["balancer/weighted"], // what the conformance suite is to hold it to; nothing unless given
///     balancer: TenantPin,       // then one type per role, at least one
///     health: TenantHealth,
/// }
/// ```
///
/// Roles are `router`, `balancer`, `partitioner`, `affinity`, `health`, `prober`, `discovery` and `filter`. The crate needs
/// `crate-type = ["cdylib", "rlib"]`: the first for the component, the second for its tests.
#[macro_export]
macro_rules! plugin {
    ($($tokens:tt)*) => {
        $crate::__plugin! {
            @read
            { env!("CARGO_PKG_NAME") } { env!("CARGO_PKG_VERSION") } { env!("CARGO_PKG_DESCRIPTION") } { } { }
            $($tokens)*
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __plugin {
    (@read {$($n:tt)*} {$($v:tt)*} {$($s:tt)*} {$($p:tt)*} {$($roles:tt)*} name: $name:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin! { @read {$name} {$($v)*} {$($s)*} {$($p)*} {$($roles)*} $($($rest)*)? }
    };
    (@read {$($n:tt)*} {$($v:tt)*} {$($s:tt)*} {$($p:tt)*} {$($roles:tt)*} version: $version:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin! { @read {$($n)*} {$version} {$($s)*} {$($p)*} {$($roles)*} $($($rest)*)? }
    };
    (@read {$($n:tt)*} {$($v:tt)*} {$($s:tt)*} {$($p:tt)*} {$($roles:tt)*} summary: $summary:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin! { @read {$($n)*} {$($v)*} {$summary} {$($p)*} {$($roles)*} $($($rest)*)? }
    };
    (@read {$($n:tt)*} {$($v:tt)*} {$($s:tt)*} {$($p:tt)*} {$($roles:tt)*} profiles: [$($profile:tt)*] $(, $($rest:tt)*)?) => {
        $crate::__plugin! { @read {$($n)*} {$($v)*} {$($s)*} {$($profile)*} {$($roles)*} $($($rest)*)? }
    };
    (@read {$($n:tt)*} {$($v:tt)*} {$($s:tt)*} {$($p:tt)*} {$($roles:tt)*} $role:ident: $type:ty $(, $($rest:tt)*)?) => {
        $crate::__plugin! { @read {$($n)*} {$($v)*} {$($s)*} {$($p)*} {$($roles)* $role: $type,} $($($rest)*)? }
    };
    (@read {$($n:tt)*} {$($v:tt)*} {$($s:tt)*} {$($p:tt)*} {}) => {
        ::std::compile_error!("a plugin has at least one role: router, balancer, partitioner, affinity, health, prober, discovery or filter");
    };
    (@read {$name:expr} {$version:expr} {$summary:expr} {$($profile:literal),*} {$($role:ident: $type:ty,)+}) => {
        const _: () = {
            struct Component;

            $( $crate::__plugin! { @role $role $type } )+

            impl $crate::__private::wit::lifecycle::Guest for Component {
                fn describe() -> $crate::__private::wit::lifecycle::Manifest {
                    $crate::__private::have_panics_told();
                    let schemas = ::std::vec![$( $crate::__plugin!(@schema $role $type) ),+];
                    $crate::__private::manifest(
                        $name, $version, $summary, ::std::concat!($($profile, ","),*), schemas
                    )
                }

                fn save(role: ::std::string::String, policy: u32) -> ::std::vec::Vec<u8> {
                    $( if role == ::std::stringify!($role) {
                        return $crate::__plugin!(@static $role).with(|exports| exports.save(policy));
                    } )+
                    ::std::vec::Vec::new()
                }

                fn restore(role: ::std::string::String, policy: u32, state: ::std::vec::Vec<u8>) -> bool {
                    $( if role == ::std::stringify!($role) {
                        return $crate::__plugin!(@static $role).with(|exports| exports.restore(policy, &state));
                    } )+
                    false
                }
            }

            #[cfg(target_arch = "wasm32")]
            #[allow(unsafe_code, reason = "the exported functions of the component")]
            const _: () = {
                $crate::__private::wit::lifecycle::export_lifecycle!(
                    Component with_types_in $crate::__private::wit::lifecycle
                );
                $( $crate::__plugin! { @export $role } )+
            };
        };
    };

    (@static router) => { ROUTER };
    (@static balancer) => { BALANCER };
    (@static affinity) => { AFFINITY };
    (@static health) => { HEALTH };
    (@static prober) => { PROBER };
    (@static discovery) => { DISCOVERY };
    (@static partitioner) => { PARTITIONER };
    (@static filter) => { FILTER };

    (@schema router $type:ty) => {
        ($crate::__private::named("router"), $crate::__private::schema::<<$type as $crate::Router>::Config>())
    };
    (@schema balancer $type:ty) => {
        ($crate::__private::named("balancer"), $crate::__private::schema::<<$type as $crate::Balancer>::Config>())
    };
    (@schema affinity $type:ty) => {
        ($crate::__private::named("affinity"), $crate::__private::schema::<<$type as $crate::Affinity>::Config>())
    };
    (@schema health $type:ty) => {
        ($crate::__private::named("health"), $crate::__private::schema::<<$type as $crate::Health>::Config>())
    };
    (@schema prober $type:ty) => {
        ($crate::__private::named("prober"), $crate::__private::schema::<<$type as $crate::Prober>::Config>())
    };
    (@schema discovery $type:ty) => {
        ($crate::__private::named("discovery"), $crate::__private::schema::<<$type as $crate::Discovery>::Config>())
    };
    (@schema partitioner $type:ty) => {
        ($crate::__private::named("partitioner"), $crate::__private::schema::<<$type as $crate::Partitioner>::Config>())
    };
    (@schema filter $type:ty) => {
        ($crate::__private::named("filter"), $crate::__private::schema::<<$type as $crate::Filter>::Config>())
    };

    (@export router) => {
        $crate::__private::wit::router::export_router!(Component with_types_in $crate::__private::wit::router);
    };
    (@export balancer) => {
        $crate::__private::wit::balancer::export_balancer!(Component with_types_in $crate::__private::wit::balancer);
    };
    (@export affinity) => {
        $crate::__private::wit::affinity::export_affinity!(Component with_types_in $crate::__private::wit::affinity);
    };
    (@export health) => {
        $crate::__private::wit::health::export_health!(Component with_types_in $crate::__private::wit::health);
    };
    (@export prober) => {
        $crate::__private::wit::prober::export_prober!(Component with_types_in $crate::__private::wit::prober);
    };
    (@export discovery) => {
        $crate::__private::wit::discovery::export_discovery!(Component with_types_in $crate::__private::wit::discovery);
    };
    (@export partitioner) => {
        $crate::__private::wit::partitioner::export_partitioner!(
            Component with_types_in $crate::__private::wit::partitioner
        );
    };
    (@export filter) => {
        $crate::__private::wit::filter::export_filter!(Component with_types_in $crate::__private::wit::filter);
    };

    (@role router $type:ty) => {
        $crate::__role! {
            ROUTER: RouterExports<$type>, router {
                route(policy: u32, attributes: Vec<Option<Vec<u8>>>) -> router::Decision {
                    |it| it.route(policy, &attributes)
                }
            }
        }
    };
    (@role balancer $type:ty) => {
        $crate::__role! {
            BALANCER: BalancerExports<$type>, balancer {
                endpoints(policy: u32, generation: u64, endpoints: Vec<types::Endpoint>) -> () {
                    |it| it.endpoints(policy, generation, endpoints)
                }
                changes(policy: u32, base: u64, generation: u64, changes: Vec<types::Change>) -> bool {
                    |it| it.changes(policy, base, generation, &changes)
                }
                prepare(policy: u32) -> Vec<u32> {
                    |it| it.prepare(policy)
                }
                adopt(policy: u32, prepared: Vec<u32>) -> () {
                    |it| it.adopt(policy, prepared)
                }
                pick(policy: u32, key: Option<u64>) -> Option<balancer::Choice> {
                    |it| it.pick(policy, key, 1, &[])
                }
                pick_again(policy: u32, key: Option<u64>, attempt: u32, tried: Vec<u32>) -> Option<balancer::Choice> {
                    |it| it.pick(policy, key, attempt, &tried)
                }
                pick_for(policy: u32, question: balancer::Question) -> Option<balancer::Choice> {
                    |it| it.pick_for(policy, &question)
                }
                tick(policy: u32, now_ms: u64) -> () {
                    |it| it.tick(policy, now_ms)
                }
                outcomes(policy: u32, batch: Vec<types::Outcome>) -> () {
                    |it| it.outcomes(policy, &batch)
                }
            }
        }
    };
    (@role partitioner $type:ty) => {
        $crate::__role! {
            PARTITIONER: PartitionerExports<$type>, partitioner {
                endpoints(
                    policy: u32, generation: u64, endpoints: Vec<types::Endpoint>
                ) -> Vec<partitioner::Group> {
                    |it| it.endpoints(policy, generation, endpoints)
                }
                choose(
                    policy: u32, attributes: Vec<Option<Vec<u8>>>, key: Option<u64>, attempt: u32
                ) -> Option<u32> {
                    |it| it.choose(policy, &attributes, key, attempt)
                }
            }
        }
    };
    (@role affinity $type:ty) => {
        $crate::__role! {
            AFFINITY: AffinityExports<$type>, affinity {
                endpoints(policy: u32, generation: u64, endpoints: Vec<types::Endpoint>) -> () {
                    |it| it.endpoints(policy, generation, endpoints)
                }
                changes(policy: u32, base: u64, generation: u64, changes: Vec<types::Change>) -> bool {
                    |it| it.changes(policy, base, generation, &changes)
                }
                find(policy: u32, attributes: Vec<Option<Vec<u8>>>) -> affinity::Binding {
                    |it| it.find(policy, &attributes)
                }
                prepare(policy: u32, attributes: Vec<Option<Vec<u8>>>) -> Vec<affinity::Edit> {
                    |it| it.prepare(policy, &attributes)
                }
                bind(
                    policy: u32, attributes: Vec<Option<Vec<u8>>>, slot: u32, response: Vec<Vec<Vec<u8>>>
                ) -> Vec<affinity::Edit> {
                    |it| it.bind(policy, &attributes, slot, &response)
                }
                tick(policy: u32, now_ms: u64) -> () {
                    |it| it.tick(policy, now_ms)
                }
            }
        }
    };
    (@role health $type:ty) => {
        $crate::__role! {
            HEALTH: HealthExports<$type>, health {
                endpoints(policy: u32, generation: u64, endpoints: Vec<types::Endpoint>) -> () {
                    |it| it.endpoints(policy, generation, endpoints)
                }
                probed(policy: u32, now_ms: u64, probe: health::ProbeResult) -> Vec<health::Transition> {
                    |it| it.probed(policy, now_ms, &probe)
                }
                outcomes(policy: u32, now_ms: u64, batch: Vec<types::Outcome>) -> Vec<health::Transition> {
                    |it| it.outcomes(policy, now_ms, &batch)
                }
                tick(policy: u32, now_ms: u64) -> Vec<health::Transition> {
                    |it| it.tick(policy, now_ms)
                }
            }
        }
    };
    (@role prober $type:ty) => {
        $crate::__role! {
            PROBER: ProberExports<$type>, prober {
                open(policy: u32, session: u32, target: prober::Target) -> Vec<prober::Action> {
                    |it| it.open(policy, session, &target)
                }
                advance(policy: u32, session: u32, event: prober::Event) -> Vec<prober::Action> {
                    |it| it.advance(policy, session, event)
                }
                close(policy: u32, session: u32) -> () {
                    |it| it.close(policy, session)
                }
            }
        }
    };
    (@role discovery $type:ty) => {
        $crate::__role! {
            DISCOVERY: DiscoveryExports<$type>, discovery {
                tick(policy: u32, now_ms: u64) -> Vec<discovery::Action> {
                    |it| it.tick(policy, now_ms)
                }
                answered(
                    policy: u32, now_ms: u64, number: u32, answer: Result<discovery::Answer, discovery::CallError>
                ) -> Vec<discovery::Action> {
                    |it| it.answered(policy, now_ms, number, answer)
                }
            }
        }
    };
    (@role filter $type:ty) => {
        $crate::__role! {
            FILTER: FilterExports<$type>, filter {
                request_head(policy: u32, exchange: u64, attributes: Vec<Option<Vec<u8>>>) -> filter::Verdict {
                    |it| it.request_head(policy, exchange, &attributes)
                }
                request_body(policy: u32, exchange: u64, chunk: Vec<u8>, last: bool) -> filter::ChunkVerdict {
                    |it| it.request_body(policy, exchange, &chunk, last)
                }
                response_head(
                    policy: u32, exchange: u64, status: u16, headers: Vec<Option<Vec<u8>>>
                ) -> filter::Verdict {
                    |it| it.response_head(policy, exchange, status, &headers)
                }
                response_body(policy: u32, exchange: u64, chunk: Vec<u8>, last: bool) -> filter::ChunkVerdict {
                    |it| it.response_body(policy, exchange, &chunk, last)
                }
                request_trailers(policy: u32, exchange: u64, trailers: Vec<types::Header>) -> filter::Verdict {
                    |it| it.request_trailers(policy, exchange, &trailers)
                }
                response_trailers(policy: u32, exchange: u64, trailers: Vec<types::Header>) -> filter::Verdict {
                    |it| it.response_trailers(policy, exchange, &trailers)
                }
                answered(
                    policy: u32, exchange: u64, answer: Result<filter::Answer, filter::CallError>
                ) -> filter::Verdict {
                    |it| it.answered(policy, exchange, answer)
                }
                end(policy: u32, exchange: u64, ending: filter::Ending) -> () {
                    |it| it.end(policy, exchange, ending)
                }
            }
        }
    };
    (@role $other:ident $type:ty) => {
        ::std::compile_error!(::std::concat!(
            "`", ::std::stringify!($other), "` is no role: expected router, balancer, partitioner, affinity, health, prober, discovery or filter"
        ));
    };
}

/// The table of one role's policies, and the exported functions that pass on to it.
#[doc(hidden)]
#[macro_export]
macro_rules! __role {
    ($static:ident: $exports:ident<$type:ty>, $role:ident {
        $($function:ident($($argument:ident: $argument_type:ty),*) -> $result:ty { $call:expr })+
    }) => {
        ::std::thread_local! {
            static $static: $crate::__private::$exports<$type> = const { $crate::__private::$exports::new() };
        }

        const _: () = {
            use $crate::__private::wit::$role;
            #[allow(unused_imports, reason = "not every role takes shared types")]
            use $crate::__private::wit::imports::types;

            impl $role::Guest for Component {
                fn create(policy: u32, config: String) -> Result<$role::Plan, Vec<$crate::ConfigError>> {
                    $crate::__private::have_panics_told();
                    $static.with(|exports| exports.create(policy, &config))
                }

                fn destroy(policy: u32) {
                    $static.with(|exports| exports.destroy(policy));
                }

                $( fn $function($($argument: $argument_type),*) -> $result {
                    $static.with($call)
                } )+
            }
        };
    };
}
