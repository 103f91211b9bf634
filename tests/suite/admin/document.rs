//! The OpenAPI document says what the API does, and the API does what it says.

use std::collections::BTreeSet;

use plimsoll_tests::{Endpoint, Proxy, Response, python};
use serde_json::{Value, json};

use crate::in_front_of;

/// What the API has. A route that comes or goes is entered here as well, so that nobody changes the API by accident.
const OPERATIONS: [&str; 33] = [
    "DELETE /v1/certificates/{name}",
    "DELETE /v1/clusters/{cluster}/endpoints/{endpoint}",
    "DELETE /v1/plugins/{name}",
    "DELETE /v1/plugins/{name}/recording",
    "DELETE /v1/plugins/{name}/shadow",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/certificates",
    "GET /v1/clusters",
    "GET /v1/clusters/{cluster}",
    "GET /v1/clusters/{cluster}/endpoints",
    "GET /v1/config",
    "GET /v1/config/versions",
    "GET /v1/events",
    "GET /v1/openapi.json",
    "GET /v1/plugins",
    "GET /v1/plugins/{name}",
    "GET /v1/plugins/{name}/recording",
    "GET /v1/status",
    "PATCH /v1/clusters/{cluster}/endpoints/{endpoint}",
    "POST /v1/certificates/{name}/renew",
    "POST /v1/clusters/{cluster}/endpoints",
    "POST /v1/config/rollback",
    "POST /v1/plugins/{name}/promote",
    "POST /v1/plugins/{name}/recording/end",
    "POST /v1/plugins/{name}/release",
    "POST /v1/plugins/{name}/rollback",
    "PUT /v1/certificates/{name}",
    "PUT /v1/config",
    "PUT /v1/plugins/{name}",
    "PUT /v1/plugins/{name}/recording",
    "PUT /v1/plugins/{name}/shadow",
];

/// The document, with its schemas made strict: a field of an answer that they do not name is a mistake.
struct Document(Value);

impl Document {
    fn of(proxy: &Proxy) -> Self {
        let mut document = proxy.admin_json("GET", "/v1/openapi.json", None);
        for schema in document["components"]["schemas"].as_object_mut().expect("there are schemas").values_mut() {
            if schema["properties"].is_object() {
                schema["additionalProperties"] = json!(false);
            }
        }
        Self(document)
    }

    /// `METHOD template`, and what is said about it.
    fn operations(&self) -> Vec<(String, &Value)> {
        let paths = self.0["paths"].as_object().expect("there are paths");
        paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("a path has methods").iter();
                methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
            })
            .collect()
    }

    /// Checks that an answer is one of those that are said of its operation.
    fn foresees(&self, name: &str, operation: &Value, response: &Response) {
        let foreseen = &operation["responses"][response.status.to_string()];
        assert!(foreseen.is_object(), "{name}: {} is not in the document: {}", response.status, response.text());
        let content = foreseen["content"].as_object().unwrap_or_else(|| panic!("{name}: no content is told"));
        let sent = response.header("content-type").unwrap_or_default();
        let (_, content) = content
            .iter()
            .find(|(kind, _)| sent.starts_with(kind.as_str()))
            .unwrap_or_else(|| panic!("{name}: {sent} is not in the document"));
        if sent == "application/json" {
            let value = serde_json::from_slice(&response.body).expect("JSON");
            self.check(name, &content["schema"], &value);
        }
    }

    fn check(&self, name: &str, schema: &Value, value: &Value) {
        // References point into the document, so the schema becomes a part of it.
        let whole = json!({ "allOf": [schema], "components": self.0["components"] });
        let validator = jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mistakes: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(mistakes.is_empty(), "{name}: {mistakes:#?} in {value:#}");
    }
}

fn filled(template: &str, one: &Endpoint) -> String {
    template
        .replace("{cluster}", "app")
        .replace("{endpoint}", &one.address().to_string())
        .replace("{name}", "least-request")
}

#[test]
fn it_names_every_route() {
    let one = Endpoint::named("one");
    let document = Document::of(&in_front_of(&[&one], "", ""));
    let named: BTreeSet<String> = document.operations().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, BTreeSet::from(OPERATIONS.map(str::to_owned)));
    // What is not added by `routes!` is not in the document.
    let source = include_str!("../../../host/src/admin/api.rs");
    for past_the_document in [".route(", ".nest(", ".route_service("] {
        assert!(!source.contains(past_the_document), "`{past_the_document}` in admin/api.rs");
    }
}

#[test]
fn every_operation_that_it_names_answers_as_it_says() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "health: { probe: { plugin: tcp } }, affinity: { plugin: cookie }");
    let document = Document::of(&proxy);
    for (name, operation) in document.operations() {
        let (method, template) = name.split_once(' ').expect("a method and a path");
        let body = (method != "GET").then_some(b"{}".as_slice());
        if template == "/v1/events" {
            // It does not end; see `events`.
            continue;
        }
        if template.ends_with("/recording") {
            // One that has ended, whatever came before.
            let recording = filled(template, &one);
            proxy.admin("PUT", &recording, None);
            proxy.admin("POST", &format!("{recording}/end"), None);
        }
        let response = proxy.admin(method, &filled(template, &one), body);
        document.foresees(&name, operation, &response);
        if method == "GET" {
            assert_eq!(response.status, 200, "{name}");
        }
        assert!(!response.text().contains("no such path"), "{name}");
        // A path of the document has no methods besides those of the document.
        let methods: Vec<&str> = OPERATIONS.iter().filter_map(|known| known.strip_suffix(template)).collect();
        for other in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            if !methods.contains(&format!("{other} ").as_str()) {
                assert_eq!(proxy.admin(other, &filled(template, &one), None).status, 405, "{other} {template}");
            }
        }
    }
}

#[test]
fn answers_to_what_is_not_there_are_as_it_says() {
    let one = Endpoint::named("one");
    let proxy = in_front_of(&[&one], "", "");
    let document = Document::of(&proxy);
    let operations = document.operations();
    for (name, path, body, status) in [
        ("GET /v1/clusters/{cluster}", "/v1/clusters/none", None, 404),
        ("GET /v1/clusters/{cluster}/endpoints", "/v1/clusters/none/endpoints", None, 404),
        ("PATCH /v1/clusters/{cluster}/endpoints/{endpoint}", "/v1/clusters/none/endpoints/x", Some("{}"), 404),
        ("PATCH /v1/clusters/{cluster}/endpoints/{endpoint}", "/v1/clusters/app/endpoints/x", Some("{}"), 404),
        ("PATCH /v1/clusters/{cluster}/endpoints/{endpoint}", "/v1/clusters/app/endpoints/x", Some("{"), 400),
        ("DELETE /v1/clusters/{cluster}/endpoints/{endpoint}", "/v1/clusters/app/endpoints/x", None, 404),
        ("POST /v1/clusters/{cluster}/endpoints", "/v1/clusters/none/endpoints", Some("\"127.0.0.1:1\""), 404),
        ("POST /v1/clusters/{cluster}/endpoints", "/v1/clusters/app/endpoints", Some("nowhere"), 422),
        ("POST /v1/clusters/{cluster}/endpoints", "/v1/clusters/app/endpoints", Some("\"127.0.0.1:1\""), 201),
        ("POST /v1/clusters/{cluster}/endpoints", "/v1/clusters/app/endpoints", Some("\"127.0.0.1:1\""), 409),
        ("POST /v1/config/rollback", "/v1/config/rollback?version=77", None, 404),
        ("POST /v1/config/rollback", "/v1/config/rollback?version=x", None, 400),
        ("PUT /v1/config", "/v1/config?save=perhaps", Some("{}"), 400),
        ("PUT /v1/config", "/v1/config", Some("{}"), 422),
        ("GET /v1/plugins/{name}", "/v1/plugins/none", None, 404),
        ("DELETE /v1/plugins/{name}", "/v1/plugins/none", None, 404),
        ("DELETE /v1/plugins/{name}", "/v1/plugins/least-request", None, 409),
        ("POST /v1/plugins/{name}/rollback", "/v1/plugins/none/rollback", None, 404),
        ("POST /v1/plugins/{name}/rollback", "/v1/plugins/least-request/rollback", None, 409),
        ("POST /v1/plugins/{name}/release", "/v1/plugins/none/release", None, 404),
        ("PUT /v1/plugins/{name}", "/v1/plugins/least-request", Some("no component"), 422),
        ("PUT /v1/plugins/{name}/shadow", "/v1/plugins/least-request/shadow", Some("no component"), 422),
        ("PUT /v1/plugins/{name}/shadow", "/v1/plugins/none/shadow", Some("no component"), 404),
        ("DELETE /v1/plugins/{name}/shadow", "/v1/plugins/least-request/shadow", None, 404),
        ("POST /v1/plugins/{name}/promote", "/v1/plugins/least-request/promote", None, 404),
        ("PUT /v1/plugins/{name}", "/v1/plugins/least-request?conformance=perhaps", Some("no component"), 400),
        ("PUT /v1/plugins/{name}", "/v1/plugins/Not-A-Name", Some("no component"), 400),
    ] {
        let (method, _) = name.split_once(' ').expect("a method");
        let response = proxy.admin(method, path, body.map(str::as_bytes));
        assert_eq!(response.status, status, "{method} {path}: {}", response.text());
        let (_, operation) = operations.iter().find(|(known, _)| known == name).expect("a known operation");
        document.foresees(name, operation, &response);
    }
}

/// By a validator that nobody here wrote.
#[test]
fn it_is_one_of_openapi() {
    let proxy = in_front_of(&[], "", "");
    let document = Document(proxy.admin_json("GET", "/v1/openapi.json", None));
    let file = proxy.directory().join("openapi.json");
    std::fs::write(&file, document.0.to_string()).expect("room for a file");
    let output = python("admin/openapi.py").arg(&file).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let upload = &document.0["paths"]["/v1/plugins/{name}"]["put"]["requestBody"]["content"]["application/wasm"];
    assert_eq!(upload["schema"], json!({ "type": "string", "format": "binary" }));
}

#[test]
fn with_a_token_it_tells_of_the_token() {
    let proxy = Proxy::start(
        crate::PLIMSOLL,
        "admin: { bind: 127.0.0.1:0, token: s3cret-token }
listeners: [ { name: web, bind: 127.0.0.1:0, cluster: app } ]
clusters: [ { name: app, endpoints: [ 127.0.0.1:9 ] } ]",
    );
    let token = [("authorization", "Bearer s3cret-token")];
    let response = proxy.admin_with("GET", "/v1/openapi.json", &token, None);
    let document = Document(super::json(&response));
    assert_eq!(document.0["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for (name, operation) in document.operations() {
        let open = name.ends_with("/healthz") || name.ends_with("/readyz");
        assert_eq!(operation["security"].is_array(), !open, "{name}");
        assert_eq!(operation["responses"]["401"].is_object(), !open, "{name}");
    }
    let refused = proxy.admin("GET", "/v1/status", None);
    document.foresees("GET /v1/status", &document.0["paths"]["/v1/status"]["get"], &refused);
}
