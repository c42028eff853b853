//! Keys: made, made anew, listed, deleted. What is answered here is the only place where the value of
//! a key is seen.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::response::Response;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::answers::{document, empty};
use super::doc::{Content, Kind, Parameter, ResponseDoc, RouteDoc};
use super::{Access, Api, ApiCall, ApiRoute, Base, Module};
use crate::error::ApiError;
use crate::json::ObjectWriter;
use crate::keys::{Deleted, KEY_NAME_CHARS_MAX, KeyScope, KeyScopeError, KeysError, is_key_name};
use crate::time::with_millis;

pub(super) const MODULE: Module = Module {
    name: "Keys",
    description: "What opens functions and the management of the host.",
    routes: ROUTES,
    schemas: || {
        let text = || json!({ "type": "string" });
        let fields = |last: &str| json!({ "scope": text(), "name": text(), last: text() });
        let keys = json!({
            "type": "array",
            "items": {
                "type": "object",
                "required": ["scope", "name", "createdTime"],
                "properties": fields("createdTime"),
            },
        });
        let new_key = json!({
            "type": "object",
            "required": ["scope", "name", "value"],
            "properties": fields("value"),
        });
        vec![("Keys", keys), ("NewKey", new_key)]
    },
};

const SCOPE: Parameter = Parameter {
    kind: Kind::OneOf(&["management", "host"]),
    ..Parameter::path("scope", "What the key opens: everything, or all functions that need a key.")
};

const FUNCTION: Parameter = Parameter::path("functionName", "The function that the key opens.");

const NAME: Parameter =
    Parameter::path("keyName", "Its name: letters, digits, `_`, `-` and `.`, at most 64.");

const NEW: Parameter = Parameter::query(
    "new",
    Kind::Boolean,
    "`true`: only if there is no such key yet; `false`: only if there is one. Either way without it.",
);

const ROUTES: &[ApiRoute] = &[
    ApiRoute {
        method: "GET",
        base: Base::Admin,
        path: "keys",
        access: Access::Management,
        handler: |api, _| Box::pin(async { Ok(list(api)) }),
        doc: RouteDoc {
            id: "listKeys",
            summary: "All keys, without their values, which nobody knows.",
            parameters: &[],
            body: None,
            responses: &[ResponseDoc::new(200, "The keys.", Content::Json("Keys"))],
        },
    },
    set("keys/{scope}/{keyName}", "setKey", &[SCOPE, NAME, NEW]),
    set("keys/function/{functionName}/{keyName}", "setFunctionKey", &[FUNCTION, NAME, NEW]),
    delete("keys/{scope}/{keyName}", "deleteKey", &[SCOPE, NAME]),
    delete("keys/function/{functionName}/{keyName}", "deleteFunctionKey", &[FUNCTION, NAME]),
    ApiRoute {
        method: "POST",
        base: Base::Admin,
        path: "keys/links",
        access: Access::Management,
        handler: |api, _| Box::pin(rotate_links(api)),
        doc: RouteDoc {
            id: "rotateLinkCodes",
            summary: "Makes the codes of links anew: links that were given so far ask for a key.",
            parameters: &[],
            body: None,
            responses: &[ResponseDoc::new(204, "They open nothing any more.", Content::Nothing)],
        },
    },
];

const MADE: &[ResponseDoc] = &[
    ResponseDoc::new(201, "The key, for the only time.", Content::Json("NewKey"))
        .with_headers(&["Cache-Control"]),
    ResponseDoc::error(404, "There is no such key, with `new=false`."),
    ResponseDoc::error(409, "There is such a key, with `new=true`."),
];

const DELETED: &[ResponseDoc] = &[
    ResponseDoc::new(204, "It opens nothing any more.", Content::Nothing),
    ResponseDoc::error(404, "There is no such key."),
    ResponseDoc::error(409, "It is the last one that opens the management."),
];

const fn set(path: &'static str, id: &'static str, parameters: &'static [Parameter]) -> ApiRoute {
    ApiRoute {
        method: "POST",
        base: Base::Admin,
        path,
        access: Access::Management,
        handler: |api, call| Box::pin(set_key(api, call)),
        doc: RouteDoc {
            id,
            summary: "Makes a key; one of that name opens nothing any more.",
            parameters,
            body: None,
            responses: MADE,
        },
    }
}

const fn delete(
    path: &'static str,
    id: &'static str,
    parameters: &'static [Parameter],
) -> ApiRoute {
    ApiRoute {
        method: "DELETE",
        base: Base::Admin,
        path,
        access: Access::Management,
        handler: |api, call| Box::pin(delete_key(api, call)),
        doc: RouteDoc { id, summary: "Deletes a key.", parameters, body: None, responses: DELETED },
    }
}

fn list(api: &Api) -> Response {
    let mut body = vec![b'['];
    for key in api.services.exposure.admission.keys.list() {
        if body.len() > 1 {
            body.push(b',');
        }
        ObjectWriter::new(&mut body)
            .string("scope", &key.scope.to_string())
            .string("name", &key.name)
            .string("createdTime", &with_millis(key.created))
            .end();
    }
    body.push(b']');
    document(StatusCode::OK, body)
}

async fn set_key(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let (scope, name) = scope_and_name(&call)?;
    let keys = api.services.exposure.admission.keys.clone();
    let now = api.services.clock.now();
    let what = format!("{scope}/{name}");
    let made = match call.query().flag("new") {
        None => blocking(move || keys.set(&scope, &name, now)).await?,
        Some(is_new) => {
            let set = move || keys.set_if(!is_new, &scope, &name, now);
            blocking(set).await?.ok_or_else(|| {
                if is_new {
                    ApiError::conflict(format!("There is a key '{what}' already."))
                } else {
                    no_key(&what)
                }
            })?
        }
    };
    tracing::info!(scope = %made.scope, name = made.name, "a key was made");
    let mut body = Vec::new();
    ObjectWriter::new(&mut body)
        .string("scope", &made.scope.to_string())
        .string("name", &made.name)
        .string("value", &made.value)
        .end();
    let mut response = document(StatusCode::CREATED, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn delete_key(api: &Api, call: ApiCall) -> Result<Response, ApiError> {
    let (scope, name) = scope_and_name(&call)?;
    let admission = &api.services.exposure.admission;
    let (keys, keeps_last) = (admission.keys.clone(), admission.requires_keys);
    let what = format!("{scope}/{name}");
    match blocking(move || keys.delete(&scope, &name, keeps_last)).await? {
        Deleted::Yes => {
            tracing::info!("the key {what} was deleted");
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Deleted::NotFound => Err(no_key(&what)),
        Deleted::LastOne => Err(ApiError::conflict(format!(
            "'{what}' is the last key that opens the management. Make another one first."
        ))),
    }
}

async fn rotate_links(api: &Api) -> Result<Response, ApiError> {
    let keys = api.services.exposure.admission.keys.clone();
    blocking(move || keys.rotate_links()).await?;
    tracing::info!("the codes of links were made anew");
    Ok(empty(StatusCode::NO_CONTENT))
}

fn no_key(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_key", format!("There is no key '{what}'."))
}

fn scope_and_name(call: &ApiCall) -> Result<(KeyScope, String), ApiError> {
    let scope = match call.optional("functionName") {
        Some(function) => format!("function/{function}"),
        None => call.value("scope").to_owned(),
    };
    let scope: KeyScope =
        scope.parse().map_err(|error: KeyScopeError| ApiError::bad_request(error.to_string()))?;
    let name = call.value("keyName");
    if !is_key_name(name) {
        return Err(ApiError::bad_request(format!(
            "'{name}' is no name of a key: use 1 to {KEY_NAME_CHARS_MAX} letters, digits, '_', '-' \
             and '.'."
        )));
    }
    Ok((scope, name.to_owned()))
}

/// Changes keys off the threads that serve, because the disk is waited for.
async fn blocking<T: Send + 'static>(
    change: impl FnOnce() -> Result<T, KeysError> + Send + 'static,
) -> Result<T, ApiError> {
    let changed = spawn_blocking(change).await;
    let refused = |reason: String| ApiError::internal("keys_not_written", reason);
    changed.map_err(|error| refused(error.to_string()))?.map_err(|error| refused(error.to_string()))
}
