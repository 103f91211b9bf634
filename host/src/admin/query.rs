use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;
use crate::telemetry::printable_within;

/// What the query of each operation may have, as the document says.
#[derive(Clone, Debug)]
pub(super) struct Known(Arc<BTreeMap<String, BTreeMap<&'static str, Vec<String>>>>);

impl Known {
    pub(super) fn of(document: &OpenApi) -> Self {
        Self(Arc::new(document.paths.paths.iter().map(|(path, item)| (path.clone(), operations(item))).collect()))
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else { return Ok(()) };
        let bad = |message: String| Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_query", message));
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
        // Where there is no such operation, that is what the answer says.
        let Some(known) = path.and_then(|path| self.0.get(path)?.get(method)) else { return Ok(()) };
        let asked = match Query::<Vec<(String, String)>>::try_from_uri(request.uri()) {
            Ok(Query(asked)) => asked,
            Err(error) => return bad(error.body_text()),
        };
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in &asked {
            if !known.contains(name) {
                let name = printable_within(name, 64);
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return bad(format!("unknown query parameter `{name}`; known here: {known}"));
            }
            if seen.contains(&name.as_str()) {
                return bad(format!("query parameter `{name}` is there twice"));
            }
            seen.push(name);
        }
        if asked.is_empty() {
            return bad(format!("the query `{}` says nothing", printable_within(query, 64)));
        }
        Ok(())
    }
}

fn operations(item: &PathItem) -> BTreeMap<&'static str, Vec<String>> {
    let by_method = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    by_method.into_iter().filter_map(|(method, operation)| Some((method, parameters(operation.as_ref()?)))).collect()
}

fn parameters(operation: &Operation) -> Vec<String> {
    let all = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    all.filter(|parameter| parameter.parameter_in == ParameterIn::Query)
        .map(|parameter| parameter.name.clone())
        .collect()
}

/// Lets a request through whose query says nothing that nobody would read: what is misspelt must not be left out.
pub(super) async fn require(State(known): State<Known>, request: Request, next: Next) -> Response {
    match known.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// What the query asks for.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let asked = Query::try_from_uri(&parts.uri);
        asked
            .map(|Query(asked)| Self(asked))
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_query", error.body_text()))
    }
}
