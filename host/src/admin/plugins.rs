use std::num::NonZeroU64;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::body::BoundedBytes;
use super::error::{ApiError, ErrorBody};
use super::peer::Peer;
use super::query::Asked;
use crate::config::{Conformance, Span};
use crate::control::{
    Component, Conditions, Control, MOST_COMPONENT_BYTES, PluginDetail, PluginReport, ShadowReport, Upload,
};

type Shared = State<Arc<Control>>;

/// All plugins, built-in ones too, with where they are used and how they are.
#[utoipa::path(get, path = "/v1/plugins", responses((status = 200, body = Vec<PluginReport>)))]
pub(super) async fn plugins(State(control): Shared) -> Json<Vec<PluginReport>> {
    Json(control.plugins())
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PutPlugin {
    /// What it is held against before: `quick`, `full`, or `off` for nothing.
    #[serde(default)]
    #[param(inline)]
    conformance: Conformance,
    /// What minisign has written about the component (all four lines of the file), where the proxy asks for signatures.
    signature: Option<String>,
    /// Only say whether it could become live, and how the plugin would be.
    #[serde(default)]
    dry_run: bool,
}

/// One plugin: its versions, what it is configured with, where it is used, and what went wrong with it.
#[utoipa::path(get, path = "/v1/plugins/{name}", params(("name" = String, Path)), responses(
    (status = 200, body = PluginDetail), (status = 404, body = ErrorBody), (status = 500, body = ErrorBody)
))]
pub(super) async fn plugin(State(control): Shared, Path(name): Path<String>) -> Result<Json<PluginDetail>, ApiError> {
    Ok(Json(control.plugin_detail(&name).await?))
}

/// Forgets everything that was uploaded under a name, also on disk. A built-in plugin, or one from a file of the configuration,
/// is there again.
#[utoipa::path(delete, path = "/v1/plugins/{name}", params(("name" = String, Path)), responses(
    (status = 200, body = Removed),
    (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody, description = "It is used, or nothing was uploaded; nothing has changed"),
    (status = 500, body = ErrorBody)
))]
pub(super) async fn remove_plugin(State(control): Shared, Path(name): Path<String>) -> Result<Json<Removed>, ApiError> {
    control.remove_plugin(&name).await?;
    let left = control.plugin(&name).map(|plugin| plugin.source);
    Ok(Json(Removed { name, left }))
}

/// A plugin that was removed.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct Removed {
    name: String,
    /// Where the one comes from that the name stands for now; none when it stands for nothing.
    left: Option<String>,
}

#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "it is read as bytes; this is what the document says of it")]
struct ComponentBytes(Vec<u8>);

/// Makes a version of a plugin live wherever its name is used, on all workers or on none. The body is the component.
/// Before that it is held against the conformance suite, with the configuration that it is used with. A dry run changes
/// nothing.
#[utoipa::path(put, path = "/v1/plugins/{name}", params(("name" = String, Path), PutPlugin),
    request_body(content = inline(ComponentBytes), content_type = "application/wasm"),
    responses((status = 200, body = PluginReport), (status = 400, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody, description = "Which check it did not pass; the live version stays"))
)]
pub(super) async fn put_plugin(
    State(control): Shared,
    Path(name): Path<String>,
    Asked(how): Asked<PutPlugin>,
    Extension(peer): Extension<Peer>,
    body: BoundedBytes<MOST_COMPONENT_BYTES>,
) -> Result<Json<PluginReport>, ApiError> {
    let upload = upload(&name, component(body, how.signature), how.conformance, peer);
    if how.dry_run {
        return Ok(Json(control.dry_run_plugin(upload).await?));
    }
    control.load_plugin(upload).await?;
    plugin_report(&control, &name)
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RollBackPlugin {
    /// The digest of the version to go back to, or `builtin`; the one before the live one if not given.
    to: Option<String>,
}

/// Makes the version live again that was live before the last change, or another one. Asking for the live one changes
/// nothing.
#[utoipa::path(post, path = "/v1/plugins/{name}/rollback", params(("name" = String, Path), RollBackPlugin), responses(
    (status = 400, body = ErrorBody),
    (status = 200, body = PluginReport), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)
))]
pub(super) async fn roll_back_plugin(
    State(control): Shared,
    Path(name): Path<String>,
    Asked(how): Asked<RollBackPlugin>,
) -> Result<Json<PluginReport>, ApiError> {
    control.roll_back_plugin(&name, how.to.as_deref()).await?;
    plugin_report(&control, &name)
}

/// Lets a quarantined plugin try again.
#[utoipa::path(post, path = "/v1/plugins/{name}/release", params(("name" = String, Path)), responses(
    (status = 200, body = PluginReport), (status = 404, body = ErrorBody)
))]
pub(super) async fn release_plugin(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<PluginReport>, ApiError> {
    control.release_plugin(&name)?;
    plugin_report(&control, &name)
}

fn plugin_report(control: &Control, name: &str) -> Result<Json<PluginReport>, ApiError> {
    let report = control.plugin(name);
    report.map(Json).ok_or_else(|| ApiError::not_found(format!("no plugin of the name `{name}`")))
}

#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PutShadow {
    /// What it is held against before: `quick`, `full`, or `off` for nothing.
    #[serde(default)]
    #[param(inline)]
    conformance: Conformance,
    /// What minisign has written about the component (all four lines of the file), where the proxy asks for signatures.
    signature: Option<String>,
    /// Decisions that it takes in each of its roles before it is judged: then it is made live, as by `promote`, or given up.
    #[param(value_type = Option<u64>, minimum = 1)]
    promote_after: Option<NonZeroU64>,
    /// How many in a hundred decisions have to be those of the live version then; 100 if not given.
    min_agreement: Option<f64>,
    /// Faults that it may have; with one more it is given up. 0 if not given, where it is to be made live.
    failure_limit: Option<u64>,
    /// Time after which it is given up, such as `10m`; none if not given.
    #[param(value_type = Option<String>)]
    progress_deadline: Option<Span>,
}

/// Puts a version of a plugin in shadow: it decides beside the live version on live traffic, without effect. The body is the
/// component, which passes the checks of an upload before. It takes the place of a candidate that was there. By conditions it
/// becomes the live version, or is given up, by itself.
#[utoipa::path(put, path = "/v1/plugins/{name}/shadow", params(("name" = String, Path), PutShadow),
    request_body(content = inline(ComponentBytes), content_type = "application/wasm"),
    responses((status = 200, body = ShadowReport), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "It is the live version, or the plugin is neither router nor balancer of anything; nothing has changed"),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody, description = "Which check it did not pass; nothing has changed"))
)]
pub(super) async fn put_shadow(
    State(control): Shared,
    Path(name): Path<String>,
    Asked(how): Asked<PutShadow>,
    Extension(peer): Extension<Peer>,
    body: BoundedBytes<MOST_COMPONENT_BYTES>,
) -> Result<Json<ShadowReport>, ApiError> {
    let deadline = how.progress_deadline.map(|span| span.0);
    let conditions = Conditions::new(how.promote_after, how.min_agreement, how.failure_limit, deadline);
    let conditions = conditions.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_query", error))?;
    Ok(Json(
        control.shadow_plugin(upload(&name, component(body, how.signature), how.conformance, peer), conditions).await?,
    ))
}

/// Ends the shadow of a plugin. Answers how its candidate did.
#[utoipa::path(delete, path = "/v1/plugins/{name}/shadow", params(("name" = String, Path)), responses(
    (status = 200, body = ShadowReport), (status = 404, body = ErrorBody)
))]
pub(super) async fn delete_shadow(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<ShadowReport>, ApiError> {
    Ok(Json(control.delete_shadow(&name).await?))
}

/// Makes the candidate of a plugin live, as an upload of it would.
#[utoipa::path(post, path = "/v1/plugins/{name}/promote", params(("name" = String, Path)), responses(
    (status = 200, body = PluginReport), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)
))]
pub(super) async fn promote_plugin(
    State(control): Shared,
    Path(name): Path<String>,
) -> Result<Json<PluginReport>, ApiError> {
    control.promote_plugin(&name).await?;
    plugin_report(&control, &name)
}

fn component(body: BoundedBytes<MOST_COMPONENT_BYTES>, signature: Option<String>) -> Component {
    Component { bytes: body.0.into(), signature: signature.map(Into::into) }
}

fn upload(name: &str, component: Component, conformance: Conformance, peer: Peer) -> Upload {
    let by = peer.0.map_or_else(|| "unix socket".to_owned(), |peer| peer.to_string());
    Upload { name: name.to_owned(), component, conformance, by }
}
