use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{self, Token};
use super::body::BoundedBytes;
use super::certificates;
use super::document;
use super::error::{ApiError, ErrorBody};
use super::events;
use super::origin::{self, Hosts};
use super::plugins;
use super::query::{self, Asked, Known};
use super::recordings;
use crate::config;
use crate::control::{
    ClusterReport, ConfigChanges, ConfigVersion, Control, EndpointChange, EndpointPatch, EndpointReport, Status,
};
use crate::telemetry;

/// Largest configuration that is taken.
const CONFIG_BYTES: usize = 16 << 20;
const PATCH_BYTES: usize = 16 << 10;
const ENDPOINT_BYTES: usize = 64 << 10;

type Shared = State<Arc<Control>>;

#[derive(OpenApi)]
#[openapi(info(
    title = "Plimsoll admin API",
    description = "Looks at and changes a running Plimsoll proxy. Every change is live on all workers, or on none."
))]
struct Document;

/// All routes, with the token required for each but the two that orchestrators ask. They come here by `routes!` only, so
/// that the document has them all. `hosts` are the names to be asked by, where that matters.
pub(super) fn router(control: Arc<Control>, token: Token, hosts: Option<Hosts>) -> Router {
    let (guarded, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status))
        .routes(routes!(get_config, put_config))
        .routes(routes!(config_versions))
        .routes(routes!(roll_back_config))
        .routes(routes!(clusters))
        .routes(routes!(cluster))
        .routes(routes!(endpoints, add_endpoint))
        .routes(routes!(patch_endpoint, remove_endpoint))
        .routes(routes!(plugins::plugins))
        .routes(routes!(plugins::plugin, plugins::put_plugin, plugins::remove_plugin))
        .routes(routes!(plugins::roll_back_plugin))
        .routes(routes!(plugins::release_plugin))
        .routes(routes!(plugins::put_shadow, plugins::delete_shadow))
        .routes(routes!(plugins::promote_plugin))
        .routes(routes!(recordings::recording, recordings::put_recording, recordings::delete_recording))
        .routes(routes!(recordings::end_recording))
        .routes(routes!(certificates::list))
        .routes(routes!(certificates::put, certificates::remove))
        .routes(routes!(certificates::renew))
        .routes(routes!(events::events))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
        .split_for_parts();
    if token.is_wanted() {
        auth::document(&mut document);
    }
    let (open, open_document) = OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).split_for_parts();
    document.merge(open_document);
    document::describe_answers(&mut document);
    let known = Known::of(&document);
    // The token first: who has none is told nothing.
    let all = guarded
        .layer(middleware::from_fn_with_state(known.clone(), query::require))
        .layer(middleware::from_fn_with_state(token, auth::require))
        .merge(open.layer(middleware::from_fn_with_state(known, query::require)))
        .layer(Extension(Arc::new(document)))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    let all = match hosts {
        Some(hosts) => all.layer(middleware::from_fn_with_state(hosts, origin::require)),
        None => all,
    };
    all.with_state(control)
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, body = Object)))]
async fn openapi(Extension(document): Extension<Arc<utoipa::openapi::OpenApi>>) -> Response {
    Json(&*document).into_response()
}

async fn unknown_path() -> ApiError {
    ApiError::not_found("no such path; GET /v1/openapi.json tells all there are")
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the path is right, the method is not")
}

/// How the proxy is.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status)))]
async fn status(State(control): Shared) -> Json<Status> {
    Json(control.status())
}

/// The configuration that is live, as it was written, but for its secrets: `(redacted)` stands for them, and when it comes
/// back in a `PUT`, for those that are live then. `ETag` is its version.
#[utoipa::path(get, path = "/v1/config", responses(
    (status = 200, body = String, content_type = "application/yaml", headers(("ETag" = String))),
    (status = 404, body = ErrorBody)
))]
async fn get_config(State(control): Shared) -> Result<Response, ApiError> {
    // The version first: of a change in between, the next `If-Match` is to hear.
    let version = etag(control.config_version());
    let config = control.config().ok_or_else(|| ApiError::not_found("no configuration is live yet"))?;
    let kind = "application/yaml".to_owned();
    Ok(([(CONTENT_TYPE, kind), (ETAG, version)], config.source.redacted()).into_response())
}

fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PutConfig {
    /// Also write it to the file that the proxy was started with.
    #[serde(default)]
    save: bool,
    /// Only say whether it could become live, and what it would change.
    #[serde(default)]
    dry_run: bool,
}

/// The configuration that is live.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
struct Live {
    version: u64,
    /// Of a dry run: what would have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change: Option<ConfigChanges>,
}

/// Makes another configuration live, YAML or JSON. With `If-Match`, only in the place of that version. A dry run changes
/// nothing, and answers what would.
#[utoipa::path(put, path = "/v1/config",
    params(PutConfig, ("If-Match" = Option<String>, Header, description = "`ETag` of the version that this was made from")),
    request_body(content = String, content_type = "application/yaml"), responses(
    (status = 200, body = Live, headers(("ETag" = String))),
    (status = 400, body = ErrorBody),
    (status = 409, body = ErrorBody),
    (status = 412, body = ErrorBody, description = "Another version is live by now; nothing has changed"),
    (status = 413, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "All mistakes with their lines; nothing has changed")
))]
async fn put_config(
    State(control): Shared,
    Asked(how): Asked<PutConfig>,
    MadeFrom(made_from): MadeFrom,
    body: BoundedBytes<CONFIG_BYTES>,
) -> Result<Response, ApiError> {
    let text = String::from_utf8(body.0)
        .map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "not_utf8", "a configuration is UTF-8 text"))?;
    if how.save {
        control.can_save()?;
    }
    let config = control.parse(&text)?;
    if how.save {
        control.would_start_again(&config)?;
    }
    if how.dry_run {
        let (version, changes) = control.dry_run(made_from, config).await?;
        return Ok(([(ETAG, etag(version))], Json(Live { version, would_change: Some(changes) })).into_response());
    }
    let text = config.source.text().to_owned();
    let version = control.apply_after(made_from, config, "api").await?;
    if how.save {
        control.save(&text).await?;
    }
    Ok(([(ETAG, etag(version))], Json(Live { version, would_change: None })).into_response())
}

/// The versions of the configuration that can be gone back to, newest first.
#[utoipa::path(get, path = "/v1/config/versions", responses((status = 200, body = Vec<ConfigVersion>)))]
async fn config_versions(State(control): Shared) -> Json<Vec<ConfigVersion>> {
    Json(control.config_versions())
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RollBack {
    /// The version to go back to; the one before the live one if not given.
    version: Option<u64>,
}

/// Makes an earlier configuration live again, as a new version.
#[utoipa::path(post, path = "/v1/config/rollback", params(RollBack), responses(
    (status = 200, body = Live),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody)
))]
async fn roll_back_config(State(control): Shared, Asked(to): Asked<RollBack>) -> Result<Json<Live>, ApiError> {
    Ok(Json(Live { version: control.roll_back(to.version).await?, would_change: None }))
}

/// All clusters with their endpoints, health and live counters.
#[utoipa::path(get, path = "/v1/clusters", responses((status = 200, body = Vec<ClusterReport>)))]
async fn clusters(State(control): Shared) -> Json<Vec<ClusterReport>> {
    Json(control.clusters())
}

/// One cluster.
#[utoipa::path(get, path = "/v1/clusters/{cluster}", params(("cluster" = String, Path)), responses(
    (status = 200, body = ClusterReport), (status = 404, body = ErrorBody)
))]
async fn cluster(State(control): Shared, Path(name): Path<String>) -> Result<Json<ClusterReport>, ApiError> {
    control.cluster(&name).map(Json).ok_or_else(|| no_cluster(&name))
}

fn no_cluster(name: &str) -> ApiError {
    ApiError::not_found(format!("no cluster of the name `{name}`"))
}

/// The endpoints of a cluster, from all its sources.
#[utoipa::path(get, path = "/v1/clusters/{cluster}/endpoints", params(("cluster" = String, Path)), responses(
    (status = 200, body = Vec<EndpointReport>), (status = 404, body = ErrorBody)
))]
async fn endpoints(State(control): Shared, Path(name): Path<String>) -> Result<Json<Vec<EndpointReport>>, ApiError> {
    let found = control.cluster(&name).ok_or_else(|| no_cluster(&name))?;
    Ok(Json(found.endpoints))
}

/// An endpoint as it stands in a cluster of the configuration. Just its address, as text, will do as well.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "it is read as the configuration's endpoints are; this is what the document says of it")]
struct NewEndpoint {
    /// `IP:PORT` or `HOST:PORT`.
    address: String,
    /// Default: the address.
    id: Option<String>,
    /// 0 to 65535. Default: 1.
    weight: Option<u32>,
    /// Default: 0.
    priority: Option<u32>,
    /// Default: what the cluster says.
    max_connections: Option<u32>,
    zone: Option<String>,
    metadata: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Amend {
    /// Also keep it in a file beside the configuration, so that it is so after a restart.
    #[serde(default)]
    persist: bool,
}

/// Adds an endpoint to a cluster, on all workers, without a reload. It stays through reloads, until it is removed or the
/// configuration has one of its id.
#[utoipa::path(post, path = "/v1/clusters/{cluster}/endpoints", params(("cluster" = String, Path), Amend),
    request_body(content = NewEndpoint, content_type = "application/json"), responses(
    (status = 201, body = EndpointChange),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "There is one of that id, or no file to keep it in; nothing has changed"),
    (status = 413, body = ErrorBody),
    (status = 422, body = ErrorBody, description = "All mistakes with their paths; nothing has changed")
))]
async fn add_endpoint(
    State(control): Shared,
    Path(cluster): Path<String>,
    Asked(how): Asked<Amend>,
    body: BoundedBytes<ENDPOINT_BYTES>,
) -> Result<(StatusCode, Json<EndpointChange>), ApiError> {
    let text = String::from_utf8(body.0)
        .map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "not_utf8", "an endpoint is UTF-8 text"))?;
    let given =
        config::parse_endpoint(&text, "endpoint").map_err(|errors| ApiError::invalid("invalid_endpoint", errors))?;
    let change = control.add_endpoint(&cluster, given, how.persist).await?;
    Ok((StatusCode::CREATED, Json(change)))
}

/// Removes an endpoint from a cluster, on all workers, without a reload: one that was added, or one of the configuration. It
/// gets nothing new; requests under way there finish.
#[utoipa::path(delete, path = "/v1/clusters/{cluster}/endpoints/{endpoint}",
    params(("cluster" = String, Path), ("endpoint" = String, Path), Amend), responses(
    (status = 200, body = EndpointChange),
    (status = 400, body = ErrorBody),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "A source would bring it back, or there is no file to keep it in; nothing has changed")
))]
async fn remove_endpoint(
    State(control): Shared,
    Path((cluster, endpoint)): Path<(String, String)>,
    Asked(how): Asked<Amend>,
) -> Result<Json<EndpointChange>, ApiError> {
    Ok(Json(control.remove_endpoint(&cluster, &endpoint, how.persist).await?))
}

/// Changes weight, drain or enable of an endpoint at once, on all workers.
#[utoipa::path(patch, path = "/v1/clusters/{cluster}/endpoints/{endpoint}",
    params(("cluster" = String, Path), ("endpoint" = String, Path)),
    request_body = EndpointPatch,
    responses((status = 200, body = EndpointReport), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody))
)]
async fn patch_endpoint(
    State(control): Shared,
    Path((cluster, endpoint)): Path<(String, String)>,
    body: BoundedBytes<PATCH_BYTES>,
) -> Result<Json<EndpointReport>, ApiError> {
    let patch: EndpointPatch = serde_json::from_slice(&body.0)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_patch", error.to_string()))?;
    let generation = control.patch_endpoint(&cluster, &endpoint, patch)?;
    control.workers_told(&cluster, generation).await;
    let report =
        control.cluster(&cluster).and_then(|cluster| cluster.endpoints.into_iter().find(|now| now.id == endpoint));
    report.map(Json).ok_or_else(|| ApiError::not_found("the endpoint has just gone"))
}

/// Metrics for Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(control): Shared) -> Response {
    ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], control.metrics()).into_response()
}

/// 200 while the process lives.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 while the proxy takes traffic; 503 while it starts or drains.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, body = String, content_type = "text/plain"), (status = 503, body = ErrorBody)
))]
async fn readyz(State(control): Shared) -> Result<&'static str, ApiError> {
    if control.is_ready() {
        Ok("ready\n")
    } else {
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "starting or draining"))
    }
}

/// The version that `If-Match` names (RFC 9110 section 13.1.1); none when any will do.
struct MadeFrom(Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for MadeFrom {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(IF_MATCH).filter(|value| *value != "*") else { return Ok(Self(None)) };
        let version = value.to_str().ok().and_then(|value| value.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        version.map(|version| Self(Some(version))).ok_or_else(|| {
            let message = "If-Match: expected the ETag of a version, such as \"3\"";
            ApiError::new(StatusCode::BAD_REQUEST, "bad_if_match", message)
        })
    }
}
