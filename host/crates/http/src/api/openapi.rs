//! The OpenAPI 3.1 document of the API, made of the tables.
//!
//! What every route can answer with is added here, so that no table repeats it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::answers::document;
use super::doc::{Content, Kind, Parameter, Place, ResponseDoc, RouteDoc};
use super::{Access, ApiRoute, Base, MODULES, Module};
use crate::template::{Segment, Template};

pub(super) const MODULE: Module = Module {
    name: "Document",
    description: "This document, and what its parts have in common.",
    routes: ROUTES,
    schemas,
};

const ROUTES: &[ApiRoute] = &[ApiRoute {
    method: "GET",
    base: Base::Management,
    path: "openapi.json",
    access: Access::Management,
    handler: |_, _| Box::pin(async { Ok(document(StatusCode::OK, DOCUMENT.as_str())) }),
    doc: RouteDoc {
        id: "getOpenApi",
        summary: "The OpenAPI document of this API.",
        parameters: &[],
        body: None,
        responses: &[ResponseDoc::new(200, "The document.", Content::AnyJson)],
    },
}];

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi().to_string());

/// What every route can answer with.
const COMMON: &[ResponseDoc] = &[
    ResponseDoc::error(400, "The request is malformed."),
    ResponseDoc::error(414, "The path and query are too long."),
    ResponseDoc::new(431, "There are too many headers, or they are too large.", Content::Nothing),
    ResponseDoc::error(500, "The host has a problem, which its log names."),
    ResponseDoc::error(503, "The host has too much under way, or is stopping.")
        .with_headers(&["Retry-After"]),
];

/// What those can answer with that take a body.
const COMMON_OF_BODIES: &[ResponseDoc] = &[
    ResponseDoc::error(408, "The body did not come in time."),
    ResponseDoc::error(413, "The body is too large."),
];

/// What those can answer with that are not for everybody.
const COMMON_OF_KEYS: &[ResponseDoc] = &[
    ResponseDoc::error(401, "The management key is missing.").with_headers(&["WWW-Authenticate"]),
    ResponseDoc::error(403, "Without a key: a browser asks on behalf of a web site."),
];

/// The whole document.
fn openapi() -> Value {
    let tags: Vec<Value> = MODULES
        .iter()
        .map(|module| json!({ "name": module.name, "description": module.description }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Everstate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Manages orchestrations and entities, and the host that runs them.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths(),
        "components": {
            "schemas": all_schemas(),
            "securitySchemes": {
                "header": { "type": "apiKey", "in": "header", "name": "x-functions-key" },
                "query": { "type": "apiKey", "in": "query", "name": "code" },
            },
        },
    })
}

fn all_schemas() -> Map<String, Value> {
    let named = MODULES.iter().flat_map(|module| (module.schemas)());
    named.map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn paths() -> BTreeMap<String, Map<String, Value>> {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for module in MODULES {
        for route in module.routes {
            let methods = paths.entry(document_path(route)).or_default();
            methods.insert(route.method.to_ascii_lowercase(), operation(module.name, route));
        }
    }
    paths
}

/// The path of a route as the document writes it, which knows names only: not `{*rest}`, not `{id:int}`.
fn document_path(route: &ApiRoute) -> String {
    let template = Template::parse(&route.template()).expect("the built-in routes are well-formed");
    let mut path = String::new();
    for segment in &template.segments {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Parameter(parameter) | Segment::CatchAll(parameter) => {
                path.push_str(&format!("{{{}}}", parameter.name));
            }
            Segment::Complex(_) => unreachable!("no built-in route has a segment of several parts"),
        }
    }
    path
}

fn operation(tag: &str, route: &ApiRoute) -> Value {
    let doc = &route.doc;
    let mut operation = json!({
        "operationId": doc.id,
        "summary": doc.summary,
        "tags": [tag],
        "parameters": doc.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses(route),
    });
    if let Some(body) = &doc.body {
        let contents: Map<String, Value> =
            body.contents.iter().filter_map(|content| media(*content)).collect();
        operation["requestBody"] = json!({
            "description": body.description,
            "required": body.is_required,
            "content": contents,
        });
    }
    if route.access == Access::Management {
        // Without a management key nobody needs one.
        operation["security"] = json!([{ "header": [] }, { "query": [] }, {}]);
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let (place, name) = match (parameter.place, parameter.kind) {
        (Place::Path, _) => ("path", parameter.name.to_owned()),
        (Place::Query, Kind::Prefixed) => ("query", format!("{}.{{name}}", parameter.name)),
        (Place::Query, _) => ("query", parameter.name.to_owned()),
        (Place::Header, _) => ("header", parameter.name.to_owned()),
    };
    let mut described = json!({
        "name": name,
        "in": place,
        "description": parameter.description,
        "required": parameter.is_required,
        "schema": schema(parameter),
    });
    match parameter.kind {
        Kind::Flag => described["allowEmptyValue"] = json!(true),
        Kind::List(_) => {
            described["style"] = json!("form");
            described["explode"] = json!(false);
        }
        _ => {}
    }
    described
}

fn schema(parameter: &Parameter) -> Value {
    match parameter.kind {
        Kind::Text if parameter.place == Place::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Text | Kind::Prefixed => json!({ "type": "string" }),
        Kind::Count => json!({ "type": "integer", "minimum": 1 }),
        Kind::Seconds => json!({ "type": "number", "minimum": 0 }),
        Kind::Boolean | Kind::Flag => json!({ "type": "boolean" }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Json => json!({ "type": "string", "contentMediaType": "application/json" }),
        Kind::List(values) => json!({ "type": "array", "items": { "enum": values } }),
        Kind::OneOf(values) => json!({ "enum": values }),
    }
}

fn responses(route: &ApiRoute) -> BTreeMap<String, Value> {
    let own = route.doc.responses;
    let has_body = route.method != "GET";
    let has_key = route.access == Access::Management;
    let common = COMMON
        .iter()
        .chain(COMMON_OF_BODIES.iter().filter(|_| has_body))
        .chain(COMMON_OF_KEYS.iter().filter(|_| has_key));
    let mut responses = BTreeMap::new();
    for response in own {
        let is_common = COMMON.iter().any(|common| common.status == response.status);
        responses.insert(response.status.to_string(), described(response, is_common));
    }
    for response in common {
        let status = response.status.to_string();
        responses.entry(status).or_insert_with(|| described(response, false));
    }
    responses
}

/// A response; `or_error`: with that status an error can come as well.
fn described(response: &ResponseDoc, or_error: bool) -> Value {
    let mut described = json!({ "description": response.description });
    if let Some((media_type, mut body)) = media(response.content) {
        if or_error
            && let Content::Json(name) = response.content
            && name != "Error"
        {
            body["schema"] = json!({ "anyOf": [reference(name), reference("Error")] });
        }
        described["content"] = json!({ media_type: body });
    }
    if !response.headers.is_empty() {
        let headers = response.headers.iter().map(|name| ((*name).to_owned(), header(name)));
        described["headers"] = Value::Object(headers.collect());
    }
    described
}

/// The media type of a body and what is said of it.
fn media(content: Content) -> Option<(String, Value)> {
    match content {
        Content::Nothing => None,
        Content::Json(name) => {
            Some(("application/json".to_owned(), json!({ "schema": reference(name) })))
        }
        Content::AnyJson => Some(("application/json".to_owned(), json!({ "schema": {} }))),
        Content::Media(media_type) => Some((media_type.to_owned(), json!({}))),
    }
}

fn header(name: &str) -> Value {
    let (description, schema) = match name {
        "Location" => ("Where to look.", json!({ "type": "string" })),
        "Retry-After" => {
            ("After how many seconds to ask again.", json!({ "type": "integer", "minimum": 1 }))
        }
        "WWW-Authenticate" => {
            ("How to send a key.", json!({ "type": "string", "pattern": "^ApiKey " }))
        }
        "x-ms-continuation-token" => (
            "Where the next page begins; without it this was the last.",
            json!({ "type": "string" }),
        ),
        _ => ("", json!({ "type": "string" })),
    };
    json!({ "description": description, "schema": schema })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// What several modules refer to.
fn schemas() -> Vec<(&'static str, Value)> {
    let error = json!({
        "type": "object",
        "required": ["Message"],
        "properties": {
            "Message": { "type": "string" },
            "ExceptionMessage": { "type": "string" },
        },
    });
    let error_or_text = json!({ "anyOf": [reference("Error"), { "type": "string" }] });
    let count = json!({
        "type": "object",
        "required": ["count"],
        "properties": { "count": { "type": "integer", "minimum": 0 } },
    });
    let text_or_null = json!({ "type": ["string", "null"] });
    let failure = json!({
        "type": "object",
        "required": ["errorType", "errorMessage"],
        "properties": {
            "errorType": { "type": "string" },
            "errorMessage": { "type": "string" },
            "stackTrace": text_or_null,
            "innerFailure": { "anyOf": [reference("Failure"), { "type": "null" }] },
            "isNonRetriable": { "type": "boolean" },
            "properties": { "type": "object" },
        },
    });
    vec![("Count", count), ("Error", error), ("ErrorOrText", error_or_text), ("Failure", failure)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::super::routes;
    use super::{Access, MODULES, document_path, openapi};

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(target) if name == "$ref" => found.push(target),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn document_has_every_route_with_answers_that_are_good_and_bad() {
        let document = openapi();
        for route in routes() {
            let path = &document["paths"][document_path(route)];
            let operation = &path[route.method.to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.doc.id);
            assert!(!route.doc.summary.is_empty(), "{}", route.doc.id);
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{}", route.doc.id);
            assert!(responses.contains_key("503"), "{}", route.doc.id);
            let is_guarded = route.access == Access::Management;
            for status in ["401", "403"] {
                assert_eq!(responses.contains_key(status), is_guarded, "{}", route.doc.id);
            }
        }
    }

    #[test]
    fn document_refers_to_no_missing_schema_and_has_none_that_nobody_refers_to() {
        let document = openapi();
        let mut found = Vec::new();
        references(&document, &mut found);
        for target in &found {
            let pointer = target.strip_prefix('#').expect("a place in the document");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
        let names: Vec<&str> =
            MODULES.iter().flat_map(|m| (m.schemas)()).map(|(name, _)| name).collect();
        let unique: HashSet<&&str> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "a name twice in {names:?}");
        for name in names {
            let target = format!("#/components/schemas/{name}");
            assert!(found.contains(&target.as_str()), "nobody refers to {name}");
        }
    }

    #[test]
    fn error_that_any_route_can_give_is_one_of_the_shapes_of_its_status() {
        let document = openapi();
        let paths = &document["paths"]["/runtime/webhooks/durabletask/instances/{instanceId}"];
        let shapes = &paths["get"]["responses"]["500"]["content"]["application/json"]["schema"];
        assert_eq!(shapes["anyOf"][0]["$ref"], "#/components/schemas/InstanceStatus");
        assert_eq!(shapes["anyOf"][1]["$ref"], "#/components/schemas/Error");
    }
}
